// Classroom apps on socket.io-client, driven by a test: each line on stdin is a command, each line on stdout says what
// happened. One process plays several people; `as` says whom a line is about.
//
//   {"as":"ann","do":"connect","url":"http://127.0.0.1:8080","transports":["websocket"],"query":{…},"auth":{…}}
//   {"as":"ann","do":"emit","event":"join_lesson","args":[{…}],"ack":1}
//   {"as":"ann","do":"disconnect"}
//
//   {"as":"ann","is":"connected","sid":"…","recovered":false,"transport":"websocket"}
//   {"as":"ann","is":"acknowledged","ack":1,"args":[{"status":"SUCCESS","data":{…}}]}

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const people = new Map();

function tell(who, is, more = {}) {
  process.stdout.write(`${JSON.stringify({ as: who, is, ...more })}\n`);
}

const commands = {
  /** Without `transports`, those of the library: polling, then WebSocket. */
  connect(who, { url, transports, query, auth }) {
    const socket = io(url, {
      ...(transports && { transports }),
      query,
      auth,
      forceNew: true,
      // Soon, so that a test does not wait for the library's polite second.
      reconnectionDelay: 50,
      reconnectionDelayMax: 500,
    });
    people.set(who, socket);

    socket.on("connect", () => {
      const { engine } = socket.io;
      tell(who, "connected", { sid: socket.id, recovered: socket.recovered, transport: engine.transport.name });
    });
    socket.on("connect_error", ({ message, data }) => tell(who, "refused", { message, data, comes_back: socket.active }));
    socket.on("disconnect", (reason) => tell(who, "disconnected", { reason, comes_back: socket.active }));
    socket.onAny((event, ...args) => tell(who, "event", { event, args }));
    socket.io.on("open", () => {
      socket.io.engine.once("upgrade", ({ name }) => tell(who, "upgraded", { transport: name }));
    });
  },

  emit(who, { event, args, ack }) {
    const socket = people.get(who);
    if (ack === undefined) {
      socket.emit(event, ...args);
    } else {
      socket.emit(event, ...args, (...answer) => tell(who, "acknowledged", { ack, args: answer }));
    }
  },

  disconnect(who) {
    people.get(who).disconnect();
  },

  /** A lost network: the TCP connection of a WebSocket goes without a word, and the library notices. */
  lose(who) {
    people.get(who).io.engine.transport.ws.terminate();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { as: who, do: what, ...more } = JSON.parse(line);
  commands[what](who, more);
}

// The test is over.
process.exit(0);
