package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	awaitWithin  = 60 * time.Second
	restartFirst = 200 * time.Millisecond
	restartMost  = 10 * time.Second
	// A service that ran this long has earned a quick restart.
	restartForgets = 60 * time.Second
)

// beMachine is the first process of a machine: it makes the machine out of its empty namespaces, starts what runs there,
// starts again what ends, and buries orphans. When it ends, the kernel ends everything else on the machine.
func beMachine(state, name string) error {
	plan, err := readPlan(state)
	if err != nil {
		return err
	}
	self, err := plan.machine(name)
	if err != nil {
		return err
	}
	// What a terminal or a stray signal says to the supervisor's group is not for us; only SIGKILL is.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := makeMounts(self); err != nil {
		return err
	}
	if err := waitForLink(); err != nil {
		return err
	}
	if err := configureNetwork(self); err != nil {
		return err
	}
	services := newServices(state, name)
	go services.reap()
	for _, step := range self.Steps {
		if err := services.take(step); err != nil {
			return err
		}
	}
	log.Printf("machine %s: all its services were started", name)
	select {}
}

// waitForLink returns when the supervisor says that the network is there; from then on, its end is ours.
func waitForLink() error {
	stdin := bufio.NewReader(os.Stdin)
	if _, err := stdin.ReadString('\n'); err != nil {
		return fmt.Errorf("the supervisor has gone: %w", err)
	}
	go func() {
		_, _ = stdin.ReadString('\n')
		os.Exit(1)
	}()
	return nil
}

func makeMounts(self *MachinePlan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, it := range self.Mounts {
		if it.From == "" {
			if err := unix.Mount("tmpfs", it.To, "tmpfs", 0, "mode=755"); err != nil {
				return fmt.Errorf("mount a tmpfs on %s: %w", it.To, err)
			}
			continue
		}
		if _, err := os.Stat(it.From); err != nil {
			if err := os.MkdirAll(it.From, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(it.From, it.To, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", it.From, it.To, err)
		}
	}
	return nil
}

// services are the children of a machine's first process. A child is known before the reaper can have seen it end.
type services struct {
	state, machine string
	mutex          sync.Mutex
	waiting        map[int]chan syscall.WaitStatus
}

func newServices(state, machine string) *services {
	return &services{state: state, machine: machine, waiting: map[int]chan syscall.WaitStatus{}}
}

func (s *services) take(step Step) error {
	switch {
	case step.Service != nil:
		// Started here, so that steps keep their order, and kept running beside us.
		ended, err := s.spawn(step.Service.Name, step.Service.Argv)
		if err != nil {
			return err
		}
		go s.keep(step.Service, ended)
		return nil
	case step.Await != "":
		return awaitFile(step.Await, awaitWithin)
	default:
		ended, err := s.spawn("machine", step.Run)
		if err != nil {
			return err
		}
		if status := <-ended; status.ExitStatus() != 0 {
			return fmt.Errorf("`%s` failed: %s", strings.Join(step.Run, " "), describe(status))
		}
		return nil
	}
}

// keep starts a service again whenever it ends, as an init system would: at once at first, then ever more slowly.
func (s *services) keep(service *Service, ended <-chan syscall.WaitStatus) {
	pause := restartFirst
	for {
		started := time.Now()
		if ended != nil {
			log.Printf("%s ended (%s); starting it again", service.Name, describe(<-ended))
		}
		if time.Since(started) > restartForgets {
			pause = restartFirst
		}
		time.Sleep(pause)
		pause = min(2*pause, restartMost)
		var err error
		if ended, err = s.spawn(service.Name, service.Argv); err != nil {
			log.Print(err)
			ended = nil
		}
	}
}

func (s *services) spawn(name string, argv []string) (<-chan syscall.WaitStatus, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	output, err := openLog(s.state, s.machine, name)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	ended := make(chan syscall.WaitStatus, 1)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), output.Fd(), output.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s (%s): %w", name, argv[0], err)
	}
	s.waiting[pid] = ended
	return ended, nil
}

// reap waits for every child: ours, and the orphans that the kernel gives to a namespace's first process.
func (s *services) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.ECHILD {
			time.Sleep(100 * time.Millisecond) // no child at all: only before the first step
			continue
		}
		if err != nil || !(status.Exited() || status.Signaled()) {
			continue
		}
		s.mutex.Lock()
		ended := s.waiting[pid]
		delete(s.waiting, pid)
		s.mutex.Unlock()
		if ended != nil {
			ended <- status
		}
	}
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
