package main

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// World is all that the ruleset of a node follows from.
type World struct {
	Node string
	// Addresses of the node's pods.
	Addresses  netip.Prefix
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*networkingv1.NetworkPolicy
	// Told: addresses of pods of this node that the API server has not heard of yet.
	Told map[types.UID]netip.Addr
}

// subject is a pod with a network of its own.
type subject struct {
	uid       types.UID
	name      string
	namespace string
	labels    labels.Set
	address   netip.Addr
	local     bool
	ports     []corev1.ContainerPort
}

// subjects are by address. Pods in the network of their node are none: to policies they are the node. Nor is what has
// ended, whose address may be another's by now.
func (w *World) subjects() []subject {
	byAddress := map[netip.Addr]*corev1.Pod{}
	for _, pod := range w.Pods {
		address, has := w.address(pod)
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if !has || ended || pod.Spec.HostNetwork {
			continue
		}
		// A pod that goes may have left its address to the next one already.
		if other, taken := byAddress[address]; !taken || isNewer(pod, other) {
			byAddress[address] = pod
		}
	}
	all := make([]subject, 0, len(byAddress))
	for address, pod := range byAddress {
		all = append(all, subject{
			uid: pod.UID, name: pod.Name, namespace: pod.Namespace, labels: pod.Labels,
			address: address, local: pod.Spec.NodeName == w.Node, ports: portsOf(pod),
		})
	}
	slices.SortFunc(all, func(a, b subject) int { return a.address.Compare(b.address) })
	return all
}

// address: what the node was told comes first, as it is never older.
func (w *World) address(pod *corev1.Pod) (netip.Addr, bool) {
	if told, was := w.Told[pod.UID]; was {
		return told, true
	}
	address, err := netip.ParseAddr(pod.Status.PodIP)
	return address, err == nil && address.Is4()
}

func isNewer(pod, other *corev1.Pod) bool {
	if goes, otherGoes := pod.DeletionTimestamp != nil, other.DeletionTimestamp != nil; goes != otherGoes {
		return otherGoes
	}
	at, otherAt := pod.CreationTimestamp, other.CreationTimestamp
	if !at.Equal(&otherAt) {
		return otherAt.Before(&at)
	}
	return pod.UID > other.UID // whichever, but always the same
}

// portsOf counts those of init containers, too: some of them are sidecars.
func portsOf(pod *corev1.Pod) []corev1.ContainerPort {
	var all []corev1.ContainerPort
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, container := range containers {
			all = append(all, container.Ports...)
		}
	}
	return all
}

// named are the numbers of a pod's ports of that name.
func (s *subject) named(name string, protocol corev1.Protocol) []int32 {
	var found []int32
	for _, port := range s.ports {
		if port.Name == name && cmp.Or(port.Protocol, corev1.ProtocolTCP) == protocol {
			found = append(found, port.ContainerPort)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// inOrder: a ruleset is loaded where its text differs, so the order of what was listed may not count.
func (w *World) inOrder() []*networkingv1.NetworkPolicy {
	policies := slices.Clone(w.Policies)
	slices.SortFunc(policies, func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return policies
}
