package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// The table's frame. Both hooks come after kube-proxy's translation of ClusterIPs, and before addresses of senders are
// masqueraded: what is judged is pod to pod.
//
//   - `input` is what pods say to their node; it is judged as what leaves a pod. There is no `output`: a node always reaches
//     its own pods, as kubelets probe them.
//   - Nothing is assigned an IPv6 address, but neighbours on a bridge have link-local ones: nobody goes around by them.
//   - Refused is said, not dropped: a client that waits for a timeout tells nothing more, and tests wait with it. Not by a
//     reset: what came over a bridge is reset around the translation of ClusterIPs, so who connected to one would not know it.
//   - An address that no pod is known to have is dropped: it may be known by the time the packet is sent again.
//
// In chains of a pod, what is allowed returns, and what comes to their end is refused.
const frame = `table inet policies
delete table inet policies
table inet policies {
  chain forward {
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
    meta nfproto ipv6 drop
    jump egress
    jump ingress
  }
  chain input {
    type filter hook input priority filter + 10; policy accept;
    iifname "lo" accept
    ct state established,related accept
    iifname "cni0" meta nfproto ipv6 drop
    jump egress
  }
  chain refuse {
    reject with icmp type admin-prohibited
  }
`

type direction struct {
	name string
	// other is the side that a rule's peers are on, own the pod's.
	other, own string
	policyType networkingv1.PolicyType
}

var (
	egress  = direction{"egress", "daddr", "saddr", networkingv1.PolicyTypeEgress}
	ingress = direction{"ingress", "saddr", "daddr", networkingv1.PolicyTypeIngress}
)

// Ruleset is what nft is to load, and the pods of the node that it knows.
func Ruleset(world *World) (string, []subject) {
	judge := newJudge(world)
	local := slices.DeleteFunc(slices.Clone(judge.pods), func(pod subject) bool { return !pod.local })
	var text strings.Builder
	text.WriteString(frame)
	for _, way := range []direction{egress, ingress} {
		verdicts := make([]string, 0, len(local))
		for i := range local {
			verdict := "return"
			if rules, isolated := judge.rules(&local[i], way); isolated {
				chain := fmt.Sprintf("%s-%s", way.name, local[i].address)
				writeChain(&text, chain, &local[i], way, rules)
				verdict = "goto " + chain
			}
			verdicts = append(verdicts, fmt.Sprintf("%s : %s", local[i].address, verdict))
		}
		writeEntry(&text, way, verdicts, world.Addresses)
	}
	text.WriteString("}\n")
	return text.String(), local
}

// A pod always reaches itself.
func writeChain(text *strings.Builder, chain string, pod *subject, way direction, rules []string) {
	fmt.Fprintf(text, "  chain %s { # %s/%s\n", chain, pod.namespace, pod.name)
	fmt.Fprintf(text, "    ip %s %s return\n", way.other, pod.address)
	for _, rule := range rules {
		fmt.Fprintf(text, "    %s\n", rule)
	}
	text.WriteString("    goto refuse\n  }\n")
}

func writeEntry(text *strings.Builder, way direction, verdicts []string, addresses netip.Prefix) {
	fmt.Fprintf(text, "  chain %s {\n", way.name)
	if len(verdicts) > 0 {
		fmt.Fprintf(text, "    ip %s vmap { %s }\n", way.own, strings.Join(verdicts, ", "))
	}
	fmt.Fprintf(text, "    ip %s %s drop\n  }\n", way.own, addresses)
}
