package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

const (
	bridgeName = "lan0" // the kernel may have no dummy interface; a bridge it has
	uplinkName = "eth0"
)

// link makes the bridge in the first machine, or plugs another machine into it.
func (s *supervisor) link(it *machine) error {
	first := s.running[s.plan.Machines[0].Name]
	if first == nil {
		return errors.New("the first machine does not run")
	}
	space, err := netns.GetFromPid(first.cmd.Process.Pid)
	if err != nil {
		return err
	}
	defer space.Close()
	handle, err := netlink.NewHandleAt(space)
	if err != nil {
		return err
	}
	defer handle.Close()
	if it == first {
		return handle.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}})
	}
	bridge, err := handle.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	// An interface name has 15 bytes at most; machine names are as short (xtask sees to it).
	port := "to-" + it.plan.Name
	// After a power loss the other end goes with its namespace, which the kernel removes in its own time.
	if old, err := handle.LinkByName(port); err == nil {
		_ = handle.LinkDel(old)
	}
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index},
		PeerName:  uplinkName, PeerNamespace: netlink.NsPid(it.cmd.Process.Pid),
	}
	if err := handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("add %s: %w", port, err)
	}
	return handle.LinkSetUp(veth)
}

// configureNetwork is done by the machine itself, in its own namespace, once the supervisor has linked it.
func configureNetwork(plan *MachinePlan) error {
	name := uplinkName
	if _, err := netlink.LinkByName(bridgeName); err == nil {
		name = bridgeName
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	address, err := netlink.ParseAddr(plan.Address)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("address %s: %w", plan.Address, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, route := range plan.Routes {
		if err := addRoute(link, route); err != nil {
			return fmt.Errorf("route to %s: %w", route.To, err)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

func addRoute(link netlink.Link, route Route) error {
	_, to, err := net.ParseCIDR(route.To)
	if err != nil {
		return err
	}
	rule := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK}
	if route.Via != "" {
		rule.Gw, rule.Scope = net.ParseIP(route.Via), netlink.SCOPE_UNIVERSE
	}
	return netlink.RouteAdd(rule)
}

// awaitFile polls: the wait is short, and what appears may be on any kind of file system.
func awaitFile(path string, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not appear within %s", path, within)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
