package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"path/filepath"
	"syscall"
	"time"
)

// request comes as one line of JSON over STATE/control.sock; the answer is one line: an object, with `error` if it failed.
type request struct {
	Verb    string       `json:"verb"` // kill, start, publish, down
	Machine string       `json:"machine"`
	Publish *Publication `json:"publish"`
	answer  chan error
}

// The longest a client may take to say what it wants.
const requestWithin = 10 * time.Second

func (s *supervisor) listen() error {
	listener, err := net.Listen("unix", filepath.Join(s.state, "control.sock"))
	if err != nil {
		return err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				log.Printf("accept a request: %v", err)
				return
			}
			// One at a time: requests are rare, and the others wait in the kernel's queue.
			s.converse(client)
		}
	}()
	return nil
}

func (s *supervisor) converse(client net.Conn) {
	defer client.Close()
	_ = client.SetReadDeadline(time.Now().Add(requestWithin))
	asked := request{answer: make(chan error, 1)}
	outcome := json.NewDecoder(client).Decode(&asked)
	if outcome == nil {
		s.requests <- asked
		outcome = <-asked.answer
	}
	said := map[string]string{}
	if outcome != nil {
		said["error"] = outcome.Error()
	}
	_ = json.NewEncoder(client).Encode(said) // a client that has gone has its answer no more
}

func (s *supervisor) handle(asked request) error {
	switch asked.Verb {
	case "down":
		return syscall.Kill(syscall.Getpid(), syscall.SIGTERM)
	case "publish":
		if asked.Publish == nil {
			return fmt.Errorf("publish what?")
		}
		return s.publish(*asked.Publish)
	case "kill", "start":
		return s.power(asked.Machine, asked.Verb == "start")
	}
	return fmt.Errorf("unknown request %q", asked.Verb)
}

func (s *supervisor) power(name string, on bool) error {
	plan, err := s.plan.machine(name)
	if err != nil {
		return err
	}
	if plan == &s.plan.Machines[0] {
		return fmt.Errorf("%s is the control plane: without it there is no cluster", name)
	}
	running := s.running[name]
	switch {
	case on:
		err = s.start(plan)
		if running == nil && err != nil && s.running[name] != nil {
			_ = s.end(s.running[name]) // half started
		}
	case running == nil:
		return fmt.Errorf("machine %s does not run", name)
	default:
		err = s.end(running)
	}
	if err != nil {
		return err
	}
	return s.writePids()
}
