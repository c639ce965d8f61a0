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

const cgroupMount = "/sys/fs/cgroup"

// cgroupRoots are the mounted hierarchies: one of version 2, or one per controller of version 1.
func cgroupRoots() ([]string, bool, error) {
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers")); err == nil {
		return []string{cgroupMount}, true, nil
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, false, err
	}
	roots := versionOneRoots(string(mounts))
	if len(roots) == 0 {
		return nil, false, fmt.Errorf("no cgroup hierarchy is mounted below %s", cgroupMount)
	}
	return roots, false, nil
}

func versionOneRoots(mounts string) []string {
	var roots []string
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup" {
			roots = append(roots, fields[1])
		}
	}
	return roots
}

func makeCgroups(plan *Plan) error {
	roots, unified, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, machine := range plan.Machines {
		if !machine.HasCgroup {
			continue
		}
		for _, root := range roots {
			if err := makeCgroup(root, unified, plan.Cgroup, machine.Name); err != nil {
				return fmt.Errorf("make cgroups below %s (is it mounted read-only?): %w", root, err)
			}
		}
	}
	return nil
}

func makeCgroup(root string, unified bool, path ...string) error {
	parent := root
	for _, part := range path {
		if unified {
			if err := delegate(parent); err != nil {
				return err
			}
		}
		child := filepath.Join(parent, part)
		if err := os.Mkdir(child, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// A cpuset of version 1 starts empty, and nothing can run in it.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if unified {
				continue
			}
			if value, err := os.ReadFile(filepath.Join(parent, file)); err == nil {
				if err := os.WriteFile(filepath.Join(child, file), value, 0o644); err != nil {
					return err
				}
			}
		}
		parent = child
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
	roots, _, err := cgroupRoots()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, root := range roots {
		for {
			err := removeTree(filepath.Join(root, name))
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
