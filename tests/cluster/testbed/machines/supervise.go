package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// machine is one that runs. Its process is the first of its pid namespace: with it, all others of the machine end.
type machine struct {
	plan *MachinePlan
	cmd  *exec.Cmd
	// life is the machine's stdin: it ends itself when this closes.
	life io.Closer
}

// supervisor starts and ends machines, all on the main thread (see main.go).
type supervisor struct {
	state    string
	plan     *Plan
	running  map[string]*machine
	ended    chan *machine
	requests chan request
}

func supervise(state string, tied bool) error {
	// Out of the terminal's session: Ctrl-C is not for us. It fails where we lead a group already, which will do.
	_, _ = unix.Setsid()
	lock, err := takeLock(state)
	if err != nil {
		return err
	}
	defer lock.Close()
	plan, err := readPlan(state)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if tied {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop <- syscall.SIGTERM
		}()
	}
	s := &supervisor{
		state: state, plan: plan, running: map[string]*machine{},
		ended: make(chan *machine), requests: make(chan request),
	}
	defer s.tearDown()
	if err := s.startAll(); err != nil {
		return err
	}
	return s.serve(stop)
}

const (
	lockName   = "lock"
	lockWithin = 2 * time.Second
)

// takeLock says that the cluster lives, for as long as the file is open.
func takeLock(state string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(state, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// Whoever asks whether we live holds it for a moment, too.
	for deadline := time.Now().Add(lockWithin); ; time.Sleep(10 * time.Millisecond) {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		if time.Now().After(deadline) {
			lock.Close()
			return nil, fmt.Errorf("the cluster in %s runs already: %w", state, err)
		}
	}
}

func (s *supervisor) startAll() error {
	for i := range s.plan.Machines {
		if err := s.start(&s.plan.Machines[i]); err != nil {
			return fmt.Errorf("start machine %s: %w", s.plan.Machines[i].Name, err)
		}
	}
	for _, publication := range s.plan.Publish {
		if err := s.publish(publication); err != nil {
			return err
		}
	}
	if err := s.listen(); err != nil {
		return err
	}
	return s.writePids()
}

func (s *supervisor) serve(stop <-chan os.Signal) error {
	for {
		select {
		case <-stop:
			log.Print("asked to end")
			return nil
		case gone := <-s.ended:
			name := gone.plan.Name
			log.Printf("machine %s ended: %v", name, gone.cmd.ProcessState)
			delete(s.running, name)
			if name == s.plan.Machines[0].Name {
				return errors.New("the control plane's machine was lost, and the cluster with it")
			}
			if err := s.writePids(); err != nil {
				return err
			}
		case asked := <-s.requests:
			asked.answer <- s.handle(asked)
		}
	}
}

func (s *supervisor) start(plan *MachinePlan) error {
	if s.running[plan.Name] != nil {
		return fmt.Errorf("machine %s runs already", plan.Name)
	}
	if plan.HasCgroup {
		if err := renewCgroup(s.plan.Cgroup, plan.Name); err != nil {
			return err
		}
	}
	output, err := openLog(s.state, plan.Name, "machine")
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command("/proc/self/exe", "init", s.state, plan.Name)
	cmd.Args[0] = "machines"
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	life, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make its namespaces: %w", err)
	}
	started := &machine{plan: plan, cmd: cmd, life: life}
	s.running[plan.Name] = started
	go func() {
		_ = cmd.Wait() // its state is logged by who hears of it
		s.ended <- started
	}()
	if err := s.link(started); err != nil {
		return fmt.Errorf("link it: %w", err)
	}
	_, err = life.Write([]byte("go\n"))
	return err
}

// end is a power loss: nothing of the machine gets to say anything. Returns when it is gone.
func (s *supervisor) end(victim *machine) error {
	_ = victim.cmd.Process.Kill() // fails where it has just ended by itself
	deadline := time.After(20 * time.Second)
	for {
		select {
		case gone := <-s.ended:
			delete(s.running, gone.plan.Name)
			if gone == victim {
				return nil
			}
		case <-deadline:
			return fmt.Errorf("machine %s does not end", victim.plan.Name)
		}
	}
}

// writePids tells xtask which process to enter; a machine that is not listed does not run.
func (s *supervisor) writePids() error {
	pids := map[string]int{}
	for name, it := range s.running {
		pids[name] = it.cmd.Process.Pid
	}
	text, err := json.Marshal(pids)
	if err != nil {
		return err
	}
	path := filepath.Join(s.state, "pids.json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *supervisor) tearDown() {
	for _, it := range s.running {
		_ = it.cmd.Process.Kill()
	}
	for len(s.running) > 0 {
		var one *machine
		for _, one = range s.running {
			break
		}
		if err := s.end(one); err != nil {
			log.Print(err)
			break
		}
	}
	if err := clean(s.state, s.plan); err != nil {
		log.Print(err)
	}
}

// clean removes what outlives processes: cgroups and the state.
func clean(state string, plan *Plan) error {
	if plan != nil {
		if err := removeCgroups(plan.Cgroup); err != nil {
			return err
		}
	}
	// The lock goes last: without it, nobody could tell that somebody is at work here.
	entries, err := os.ReadDir(state)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(state, entry.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(state)
}

// sweep cleans after a supervisor that was killed. The kernel has ended its machines by then, or is about to.
func sweep(state string) error {
	lock, err := takeLock(state)
	if err != nil {
		return err
	}
	defer lock.Close()
	plan, err := readPlan(state)
	if err != nil {
		plan = nil // broken off before there was one: there are no cgroups either
	}
	return clean(state, plan)
}

func openLog(state, machine, name string) (*os.File, error) {
	folder := filepath.Join(state, "log", machine)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}
