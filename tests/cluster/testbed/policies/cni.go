package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A pod's address is known to the API server only after its containers have begun. So the service is told of it before, by a
// CNI plugin that comes after the one that made the interface: no container runs before its address is judged. Where the
// service does not answer, the pod has no network, and the kubelet tries again.

const (
	admitWithin = 10 * time.Second
	// The plugin waits a little longer than the service does, so that it hears why.
	askWithin = 12 * time.Second
	// Plugins that may ask at once; a kubelet starts far fewer.
	mostAsking = 64
	mostAsked  = 4 << 10
)

// question is what the plugin asks; the answer is `ok`, or why not.
type question struct {
	UID     types.UID  `json:"uid"`
	Address netip.Addr `json:"address"`
}

const ok = "ok"

func listen(ctx context.Context, path string, k *keeper) error {
	// Of a service that was here before; there is one on a node.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	places := make(chan struct{}, mostAsking)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				log.Printf("no more pods are let in: %v", err)
				return
			}
			places <- struct{}{} // those beyond wait in the socket's backlog
			go func() {
				defer func() { <-places }()
				defer connection.Close()
				answer(ctx, connection, k)
			}()
		}
	}()
	return nil
}

func answer(ctx context.Context, connection net.Conn, k *keeper) {
	ctx, stop := context.WithTimeout(ctx, admitWithin)
	defer stop()
	_ = connection.SetDeadline(time.Now().Add(askWithin))
	var asked question
	if err := json.NewDecoder(io.LimitReader(connection, mostAsked)).Decode(&asked); err != nil {
		fmt.Fprintf(connection, "not understood: %v", err)
		return
	}
	if err := k.admit(ctx, asked.UID, asked.Address); err != nil {
		log.Printf("%s gets no network: %v", asked.Address, err)
		fmt.Fprint(connection, err)
		return
	}
	fmt.Fprint(connection, ok)
}

// beCalled is the plugin, as CNI's specification 1.0.0 has it.
func beCalled(command string, stdin io.Reader, stdout io.Writer) int {
	var err error
	switch command {
	case "ADD":
		err = add(stdin, stdout)
	case "VERSION":
		_, err = fmt.Fprint(stdout, `{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}`)
	}
	// There is nothing to undo or to check: the service sees for itself when a pod is gone.
	if err == nil {
		return 0
	}
	_ = json.NewEncoder(stdout).Encode(map[string]any{"cniVersion": "1.0.0", "code": 11, "msg": "policies: " + err.Error()})
	return 1
}

func add(stdin io.Reader, stdout io.Writer) error {
	var config struct {
		PrevResult json.RawMessage `json:"prevResult"`
	}
	if err := json.NewDecoder(stdin).Decode(&config); err != nil {
		return fmt.Errorf("understand the configuration: %w", err)
	}
	asked, err := ask(config.PrevResult, os.Getenv("CNI_ARGS"))
	if err != nil {
		return err
	}
	if err := askService(socketPath, asked); err != nil {
		return err
	}
	_, err = stdout.Write(config.PrevResult)
	return err
}

func ask(result json.RawMessage, args string) (question, error) {
	var made struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(result, &made); err != nil {
		return question{}, fmt.Errorf("understand prevResult: %w", err)
	}
	for pair := range strings.SplitSeq(args, ";") {
		uid, found := strings.CutPrefix(pair, "K8S_POD_UID=")
		if found && uid != "" && len(made.IPs) == 1 {
			return question{types.UID(uid), made.IPs[0].Address.Addr()}, nil
		}
	}
	return question{}, fmt.Errorf("which pod has which one address? CNI_ARGS %q, prevResult %s", args, result)
}

func askService(path string, asked question) error {
	connection, err := net.DialTimeout("unix", path, askWithin)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(askWithin))
	if err := json.NewEncoder(connection).Encode(asked); err != nil {
		return err
	}
	said, err := io.ReadAll(io.LimitReader(connection, mostAsked))
	if err != nil {
		return err
	}
	if string(said) != ok {
		return errors.New(string(said))
	}
	return nil
}
