"""Classroom apps on python-socketio, driven by a test: each line on stdin is a command, each line on stdout says what
happened. One process plays several people; `as` says whom a line is about. The lines are those of `../node/app.mjs`.
"""

import json
import sys
import threading
from urllib.parse import urlencode

import socketio

stdout = threading.Lock()


def tell(who, happened, **more):
    """Handlers run in threads of their own: a line is written whole."""
    with stdout:
        print(json.dumps({"as": who, "is": happened, **more}), flush=True)


class App:
    """One person's client."""

    def __init__(self, who):
        self.who = who
        # Soon, so that a test does not wait for the library's polite second.
        self.client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.5)
        self.client.on("connect", self.connected)
        self.client.on("connect_error", self.refused)
        self.client.on("disconnect", self.disconnected)
        self.client.on("*", self.heard)

    def connect(self, url, query, transports=None, auth=None):
        """Without `transports`, those of the library: polling, then WebSocket."""
        try:
            self.client.connect(f"{url}?{urlencode(query)}", auth=auth, transports=transports)
        except socketio.exceptions.ConnectionError:
            pass  # `refused` has told it

    def emit(self, event, args, ack=None):
        callback = None
        if ack is not None:

            def callback(*answer):
                tell(self.who, "acknowledged", ack=ack, args=answer)

        self.client.emit(event, tuple(args), callback=callback)

    def disconnect(self):
        self.client.disconnect()

    def connected(self):
        tell(self.who, "connected", sid=self.client.get_sid(), transport=self.client.transport())

    def refused(self, reason):
        reason = reason if isinstance(reason, dict) else {"message": reason}
        tell(self.who, "refused", message=reason.get("message"), data=reason.get("data"))

    def disconnected(self, reason):
        tell(self.who, "disconnected", reason=reason)

    def heard(self, event, *args):
        tell(self.who, "event", event=event, args=args)


def main():
    people = {}
    for line in sys.stdin:
        command = json.loads(line)
        who, what = command.pop("as"), command.pop("do")
        if what == "connect":
            people[who] = App(who)
        getattr(people[who], what)(**command)


main()
