package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"maps"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// Changes come in crowds: a Deployment's pods, a namespace with all that is in it.
	gather     = 20 * time.Millisecond
	loadWithin = 20 * time.Second
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
	retries    = 10
	// Pods that start at the same moment on a node; more are told to come again.
	mostTold = 512
	// A pod that the API server does not know after this long is gone.
	toldFor = 2 * time.Minute
)

// source is where the world is seen.
type source interface{ seen() (*World, error) }

// keeper keeps the node's table true.
type keeper struct {
	addresses netip.Prefix
	// load is nft's; tests have their own.
	load    func(ctx context.Context, ruleset string) error
	changes chan struct{}

	mutex sync.Mutex
	told  map[types.UID]tidings
	known map[types.UID]netip.Addr
	// moved is closed, and another one made, whenever `known` is another.
	moved chan struct{}
}

type tidings struct {
	address netip.Addr
	at      time.Time
}

func newKeeper(addresses netip.Prefix) *keeper {
	return &keeper{
		addresses: addresses, load: nft, changes: make(chan struct{}, 1),
		told: map[types.UID]tidings{}, known: map[types.UID]netip.Addr{}, moved: make(chan struct{}),
	}
}

// look says that something may have changed. One that was said already stands for all.
func (k *keeper) look() {
	select {
	case k.changes <- struct{}{}:
	default:
	}
}

// keep fails where nft fails for so long that a new start is the better try: the table stays as it was.
func (k *keeper) keep(ctx context.Context, from source) error {
	last, failed, pause := "", 0, retryFirst
	k.look()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.changes:
		}
		time.Sleep(gather)
		ruleset, err := k.renew(ctx, from, last)
		if err == nil {
			last, failed, pause = ruleset, 0, retryFirst
			continue
		}
		if failed++; failed > retries {
			return err
		}
		log.Printf("not loaded (%d of %d tries): %v", failed, retries, err)
		time.Sleep(pause)
		pause = min(2*pause, retryMost)
		k.look()
	}
}

// renew loads what differs from the last one, and tells who waits.
func (k *keeper) renew(ctx context.Context, from source, last string) (string, error) {
	started := time.Now()
	world, err := from.seen()
	if err != nil {
		return "", err
	}
	world.Addresses = k.addresses
	world.Told = k.stillTold(world)
	ruleset, local := Ruleset(world)
	if ruleset != last {
		if err := k.load(ctx, ruleset); err != nil {
			return "", err
		}
		log.Printf("loaded: %d pods here, %d lines, %d policies and %d pods in all (%s)", len(local),
			strings.Count(ruleset, "\n"), len(world.Policies), len(world.Pods), time.Since(started).Round(time.Millisecond))
	}
	known := make(map[types.UID]netip.Addr, len(local))
	for _, pod := range local {
		known[pod.uid] = pod.address
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if !maps.Equal(known, k.known) {
		k.known = known
		close(k.moved)
		k.moved = make(chan struct{})
	}
	return ruleset, nil
}

// stillTold forgets what the API server says, too, by now.
func (k *keeper) stillTold(world *World) map[types.UID]netip.Addr {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	present := make(map[types.UID]bool, len(world.Pods))
	for _, pod := range world.Pods {
		present[pod.UID] = true
		if told, was := k.told[pod.UID]; was && pod.Status.PodIP == told.address.String() {
			delete(k.told, pod.UID)
		}
	}
	left := make(map[types.UID]netip.Addr, len(k.told))
	for uid, told := range k.told {
		if !present[uid] && time.Since(told.at) > toldFor {
			delete(k.told, uid)
			continue
		}
		left[uid] = told.address
	}
	return left
}

// admit returns when the loaded ruleset knows that the pod has this address.
func (k *keeper) admit(ctx context.Context, uid types.UID, address netip.Addr) error {
	k.mutex.Lock()
	if _, again := k.told[uid]; !again && len(k.told) >= mostTold {
		k.mutex.Unlock()
		return fmt.Errorf("%d pods wait already", mostTold)
	}
	k.told[uid] = tidings{address, time.Now()}
	k.mutex.Unlock()
	k.look()
	for {
		k.mutex.Lock()
		known, moved := k.known[uid] == address, k.moved
		k.mutex.Unlock()
		if known {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("pod %s is not known, or not yet: %w", uid, ctx.Err())
		case <-moved:
		}
	}
}

// nft replaces the table in one transaction, or changes nothing.
func nft(ctx context.Context, ruleset string) error {
	ctx, stop := context.WithTimeout(ctx, loadWithin)
	defer stop()
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(ruleset)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}
