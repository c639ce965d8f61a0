package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Of each published port. Whoever comes while all are taken is hung up on.
	publishedMost = 8192
	// A target that does not answer within this is given up for the next. A crowd at a short queue of a listener costs
	// some of it a second or three, until the kernel tries again.
	dialWithin = 10 * time.Second
	shovelful  = 16 << 10
)

// publish listens in the namespace of the host, where the supervisor lives, and passes connections into the cluster.
func (s *supervisor) publish(it Publication) error {
	host, _, err := net.SplitHostPort(it.Listen)
	if err != nil {
		return err
	}
	if address := net.ParseIP(host); address == nil || !address.IsLoopback() {
		return fmt.Errorf("publish on %s: only loopback addresses may be published on", it.Listen)
	}
	if len(it.Targets) == 0 {
		return fmt.Errorf("publish on %s: no target", it.Listen)
	}
	first := s.running[s.plan.Machines[0].Name]
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", first.cmd.Process.Pid))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", it.Listen)
	if err != nil {
		space.Close()
		return fmt.Errorf("publish: %w", err)
	}
	log.Printf("%s reaches %v", it.Listen, it.Targets)
	go accept(listener, space, it.Targets)
	return nil
}

func accept(listener net.Listener, space *os.File, targets []string) {
	places := make(chan struct{}, publishedMost)
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Printf("accept on %s: %v", listener.Addr(), err)
			time.Sleep(50 * time.Millisecond) // out of descriptors, most likely: let some end
			continue
		}
		select {
		case places <- struct{}{}:
			go func() {
				defer func() { <-places }()
				pass(client, space, targets)
			}()
		default:
			client.Close()
		}
	}
}

func pass(client net.Conn, space *os.File, targets []string) {
	defer client.Close()
	for _, target := range targets {
		server, err := dialIn(space, target)
		if err != nil {
			log.Printf("published: %v", err)
			continue
		}
		defer server.Close()
		done := make(chan struct{}, 2)
		go shovel(server, client, done)
		go shovel(client, server, done)
		<-done
		<-done
		return
	}
}

// shovel passes the end on, too: who has said all may still listen. It does not let Go splice, which takes two pipes per
// connection, of which the kernel gives a user without CAP_SYS_RESOURCE only so many pages.
func shovel(to, from net.Conn, done chan<- struct{}) {
	writer, reader := struct{ io.Writer }{to}, struct{ io.Reader }{from}
	if _, err := io.CopyBuffer(writer, reader, make([]byte, shovelful)); err != nil {
		to.Close()
		from.Close()
	} else if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	done <- struct{}{}
}

// dialIn makes a connection in a network namespace; a socket stays in the one that it was made in. The thread that goes
// there is not given back, and ends with its goroutine.
func dialIn(space *os.File, target string) (net.Conn, error) {
	type outcome struct {
		server net.Conn
		err    error
	}
	dialled := make(chan outcome, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			dialled <- outcome{nil, err}
			return
		}
		server, err := net.DialTimeout("tcp", target, dialWithin)
		dialled <- outcome{server, err}
	}()
	it := <-dialled
	return it.server, it.err
}
