// policies: makes NetworkPolicies (networking.k8s.io/v1) count on one node of a test cluster. What it writes is one table
// of nftables; what is in it is a pure function of Pods, Namespaces and policies (ruleset.go).
//
//	policies --kubeconfig FILE --node NAME --pods RANGE   the node's service
//	policies                                              with CNI_COMMAND set: the CNI plugin that is called for each pod
//
// It fails closed: a pod gets its network when the ruleset that knows its address is loaded (cni.go), and an address of
// the node that no pod is known to have reaches nobody.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// Where the plugin finds the service: in the machine's own /run.
const socketPath = "/run/policies.sock"

func main() {
	if command := os.Getenv("CNI_COMMAND"); command != "" {
		os.Exit(beCalled(command, os.Stdin, os.Stdout))
	}
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	if err := serve(); err != nil {
		log.Fatalf("policies: %v", err)
	}
}

func serve() error {
	kubeconfig := flag.String("kubeconfig", "", "how the API server is reached")
	node := flag.String("node", "", "the node, as Kubernetes names it")
	pods := flag.String("pods", "", "the addresses of its pods, in CIDR notation")
	flag.Parse()
	addresses, err := netip.ParsePrefix(*pods)
	if err != nil || *node == "" || *kubeconfig == "" {
		return errors.New("--kubeconfig, --node and --pods are required")
	}
	if err := showBridged(); err != nil {
		return err
	}
	// Each refusal is said, not one a second.
	if err := os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0o644); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	keeper := newKeeper(addresses)
	// At once: who asks waits for the first ruleset, instead of being turned away.
	if err := listen(ctx, socketPath, keeper); err != nil {
		return err
	}
	store, err := watch(ctx, *kubeconfig, *node, keeper.look)
	if err != nil {
		return err
	}
	return keeper.keep(ctx, store)
}

// showBridged lets the hooks of IP see packets between two pods of the node, which only cross its bridge. The switches are
// the network namespace's own.
func showBridged() error {
	for _, name := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		path := "/proc/sys/net/bridge/" + name
		if _, err := os.Stat(path); err != nil {
			_ = exec.Command("modprobe", "br_netfilter").Run() // built in, or else the next line says what is missing
		}
		if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("pods of one node cannot be kept apart without the kernel's br_netfilter: %w", err)
		}
	}
	return nil
}
