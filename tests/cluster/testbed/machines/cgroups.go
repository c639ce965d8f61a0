package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// hierarchy of cgroups: the one of version 2, or one of version 1's, which has a few of the controllers.
type hierarchy struct {
	root    string
	unified bool
}

func hierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	found := hierarchiesIn(string(mounts))
	if len(found) == 0 {
		return nil, errors.New("no cgroups are mounted on this machine")
	}
	return found, nil
}

func hierarchiesIn(mounts string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) > 2 && (fields[2] == "cgroup" || fields[2] == "cgroup2") {
			found = append(found, hierarchy{root: fields[1], unified: fields[2] == "cgroup2"})
		}
	}
	return found
}

// renewCgroup gives a machine an empty group. What the dead of a former life left in it would hold its kubelet up for
// seconds each; after a power loss there is nothing, either.
func renewCgroup(cluster, machine string) error {
	if err := removeCgroups(filepath.Join(cluster, machine)); err != nil {
		return err
	}
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, it := range all {
		// Beside version 1, version 2 has no part in pods; a kubelet makes empty groups in it all the same.
		if it.unified && len(all) > 1 {
			continue
		}
		if err := makeCgroup(it, cluster, machine); err != nil {
			return fmt.Errorf("make cgroups below %s (is it mounted read-only?): %w", it.root, err)
		}
	}
	return nil
}

func makeCgroup(in hierarchy, path ...string) error {
	parent := in.root
	for _, part := range path {
		if in.unified {
			if err := delegate(parent); err != nil {
				return err
			}
		}
		child := filepath.Join(parent, part)
		if err := os.Mkdir(child, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if !in.unified {
			if err := inheritCpuset(parent, child); err != nil {
				return err
			}
		}
		parent = child
	}
	return nil
}

// inheritCpuset: one of version 1 starts empty, and nothing can run in it.
func inheritCpuset(parent, child string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another controller's hierarchy
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(child, file), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// delegate gives a group's controllers of version 2 to its children.
func delegate(group string) error {
	controllers, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(controllers)) {
		file := filepath.Join(group, "cgroup.subtree_control")
		if err := os.WriteFile(file, []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("give the controller %s to children of %s (no process may be in that group itself): %w",
				controller, group, err)
		}
	}
	return nil
}

// removeCgroups takes the tree down, leaves first. Processes that were killed may still be on their way out.
func removeCgroups(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, it := range all {
		for {
			err := removeTree(filepath.Join(it.root, name))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("remove a cgroup: %w", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

func removeTree(group string) error {
	entries, err := os.ReadDir(group)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(group, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(group)
}
