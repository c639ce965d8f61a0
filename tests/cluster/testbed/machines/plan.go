package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Plan is the whole cluster, as xtask wrote it to STATE/plan.json.
type Plan struct {
	// Cgroup is the root of all the cluster's cgroups; no other cluster has the same.
	Cgroup string `json:"cgroup"`
	// Machines: the first one holds the bridge that links all of them.
	Machines []MachinePlan `json:"machines"`
	Publish  []Publication `json:"publish"`
}

type MachinePlan struct {
	Name string `json:"name"`
	// Address in CIDR notation, on the bridge of the first machine or on eth0 of the others.
	Address string  `json:"address"`
	Routes  []Route `json:"routes"`
	Mounts  []Mount `json:"mounts"`
	// HasCgroup: pods run here, below PLAN.CGROUP/NAME.
	HasCgroup bool   `json:"has_cgroup"`
	Steps     []Step `json:"steps"`
}

type Route struct {
	To string `json:"to"`
	// Via is empty for what is on the link itself.
	Via string `json:"via"`
}

// Mount is a tmpfs, or where From is set that folder (made where it is missing) or file.
type Mount struct {
	To   string `json:"to"`
	From string `json:"from"`
}

// Step of a machine's start, in order. Exactly one field is set.
type Step struct {
	// Service is started and kept running.
	Service *Service `json:"service,omitempty"`
	// Await is a file or socket that has to appear.
	Await string `json:"await,omitempty"`
	// Run is a command that has to succeed.
	Run []string `json:"run,omitempty"`
}

type Service struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
}

// Publication makes a port of the host's loopback reach the first target that answers.
type Publication struct {
	Listen  string   `json:"listen"`
	Targets []string `json:"targets"`
}

func readPlan(state string) (*Plan, error) {
	text, err := os.ReadFile(filepath.Join(state, "plan.json"))
	if err != nil {
		return nil, err
	}
	plan := new(Plan)
	if err := json.Unmarshal(text, plan); err != nil {
		return nil, fmt.Errorf("plan.json: %w", err)
	}
	if len(plan.Machines) == 0 || plan.Cgroup == "" {
		return nil, fmt.Errorf("plan.json: no machines, or no cgroup")
	}
	return plan, nil
}

func (p *Plan) machine(name string) (*MachinePlan, error) {
	for i := range p.Machines {
		if p.Machines[i].Name == name {
			return &p.Machines[i], nil
		}
	}
	return nil, fmt.Errorf("there is no machine %q", name)
}
