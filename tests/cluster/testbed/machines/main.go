// machines: what runs under a test cluster. It knows namespaces, links, cgroups, processes and keys, and nothing about
// Kubernetes: what to run is in the plan that xtask writes (plan.go).
//
//	machines supervise STATE [--tied]   the cluster's life, in the foreground; tied: it ends when stdin does
//	machines init STATE MACHINE         the first process of a machine (started by supervise)
//	machines sweep STATE                what a supervisor that was killed left behind
//	machines pki FOLDER                 keys and certificates, as the JSON on stdin asks for
//	machines image REF PROGRAM ARCHIVE  a container image of one static program
package main

import (
	"fmt"
	"os"
	"runtime"
)

// The kernel sends the parent-death signal when the *thread* that started the child ends, and namespaces belong to
// threads: the main goroutine stays on the main thread, which lives as long as the process.
func init() {
	runtime.LockOSThread()
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "machines: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "supervise":
		return supervise(args[1], false)
	case len(args) == 3 && args[0] == "supervise" && args[2] == "--tied":
		return supervise(args[1], true)
	case len(args) == 3 && args[0] == "init":
		return beMachine(args[1], args[2])
	case len(args) == 2 && args[0] == "sweep":
		return sweep(args[1])
	case len(args) == 2 && args[0] == "pki":
		return makeKeys(args[1], os.Stdin)
	case len(args) == 4 && args[0] == "image":
		return packImage(args[1], args[2], args[3])
	}
	return fmt.Errorf("unknown command %q: see main.go", args)
}
