package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// judge turns policies into rules of nft.
type judge struct {
	pods       []subject
	namespaces map[string]labels.Set
	policies   []*networkingv1.NetworkPolicy
}

func newJudge(world *World) *judge {
	namespaces := map[string]labels.Set{}
	for _, namespace := range world.Namespaces {
		namespaces[namespace.Name] = namespace.Labels
	}
	return &judge{pods: world.subjects(), namespaces: namespaces, policies: world.inOrder()}
}

// rules allow what the pod's policies allow; and whether there are any policies for it in this direction.
func (j *judge) rules(pod *subject, way direction) (rules []string, isolated bool) {
	for _, policy := range j.policies {
		spec := &policy.Spec
		if policy.Namespace != pod.namespace || !selects(&spec.PodSelector, pod.labels) || !speaksOf(spec, way) {
			continue
		}
		isolated = true
		if way == egress {
			for _, rule := range spec.Egress {
				rules = append(rules, j.rule(policy.Namespace, way, pod, rule.To, rule.Ports)...)
			}
			continue
		}
		for _, rule := range spec.Ingress {
			rules = append(rules, j.rule(policy.Namespace, way, pod, rule.From, rule.Ports)...)
		}
	}
	return rules, isolated
}

// speaksOf: a policy that does not say is for what comes in, and for what goes out if it has rules for that.
func speaksOf(spec *networkingv1.NetworkPolicySpec, way direction) bool {
	if len(spec.PolicyTypes) == 0 {
		return way == ingress || len(spec.Egress) > 0
	}
	return slices.Contains(spec.PolicyTypes, way.policyType)
}

// rule: any of the peers, at any of the ports. No peers at all are everybody, no ports at all everything.
func (j *judge) rule(
	namespace string, way direction, pod *subject,
	peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort,
) []string {
	var rules []string
	for _, side := range j.sides(namespace, way, peers) {
		if len(ports) == 0 {
			rules = append(rules, allow(side.match))
		}
		for i := range ports {
			rules = append(rules, side.at(way, pod, &ports[i])...)
		}
	}
	return rules
}

func allow(conditions ...string) string {
	conditions = slices.DeleteFunc(conditions, func(it string) bool { return it == "" })
	return strings.Join(append(conditions, "return"), " ")
}

// side is who a rule allows on the other side.
type side struct {
	match string
	// pods among them, whose ports have names.
	pods []subject
}

func (j *judge) sides(namespace string, way direction, peers []networkingv1.NetworkPolicyPeer) []side {
	if len(peers) == 0 {
		return []side{{pods: j.pods}}
	}
	var sides []side
	var selected []subject
	for i := range peers {
		if block := peers[i].IPBlock; block != nil {
			if match, understood := within(way, block); understood {
				sides = append(sides, side{match: match})
			}
			continue
		}
		for _, pod := range j.pods {
			if j.isPeer(namespace, &peers[i], &pod) {
				selected = append(selected, pod)
			}
		}
	}
	if len(selected) > 0 {
		sides = append(sides, side{match: among(way, selected), pods: selected})
	}
	return sides
}

// isPeer: without a selector for namespaces, the policy's own is meant; without one for pods, all.
func (j *judge) isPeer(namespace string, peer *networkingv1.NetworkPolicyPeer, pod *subject) bool {
	if peer.NamespaceSelector == nil {
		return peer.PodSelector != nil && pod.namespace == namespace && selects(peer.PodSelector, pod.labels)
	}
	// One that is not known yet has labels that are not, either.
	of, known := j.namespaces[pod.namespace]
	if !known || !selects(peer.NamespaceSelector, of) {
		return false
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, pod.labels)
}

// selects: one that the API server would not have taken selects nobody.
func selects(selector *metav1.LabelSelector, of labels.Set) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(of)
}

// within: a block of IPv6 is nobody's here.
func within(way direction, block *networkingv1.IPBlock) (string, bool) {
	network, err := netip.ParsePrefix(block.CIDR)
	if err != nil || !network.Addr().Is4() {
		return "", false
	}
	match := fmt.Sprintf("ip %s %s", way.other, network.Masked())
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil || !except.Addr().Is4() {
			return "", false // rather too few than too many
		}
		match += fmt.Sprintf(" ip %s != %s", way.other, except.Masked())
	}
	return match, true
}

func among(way direction, pods []subject) string {
	addresses := make([]netip.Addr, 0, len(pods))
	for _, pod := range pods {
		addresses = append(addresses, pod.address)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	var texts []string
	for _, address := range slices.Compact(addresses) {
		texts = append(texts, address.String())
	}
	return fmt.Sprintf("ip %s { %s }", way.other, strings.Join(texts, ", "))
}

// at are the rules for a port. A name is that of the receiving pod's port: who is no pod has none.
func (s *side) at(way direction, pod *subject, port *networkingv1.NetworkPolicyPort) []string {
	protocol := corev1.ProtocolTCP
	if port.Protocol != nil {
		protocol = cmp.Or(*port.Protocol, protocol)
	}
	of := strings.ToLower(string(protocol))
	switch {
	case port.Port == nil:
		return []string{allow(s.match, "meta l4proto "+of)}
	case port.Port.Type == intstr.Int && port.EndPort != nil:
		return []string{allow(s.match, fmt.Sprintf("%s dport %d-%d", of, port.Port.IntVal, *port.EndPort))}
	case port.Port.Type == intstr.Int:
		return []string{allow(s.match, fmt.Sprintf("%s dport %d", of, port.Port.IntVal))}
	case way == ingress:
		var rules []string
		for _, number := range pod.named(port.Port.StrVal, protocol) {
			rules = append(rules, allow(s.match, fmt.Sprintf("%s dport %d", of, number)))
		}
		return rules
	default:
		return s.atNamed(way, of, port.Port.StrVal, protocol)
	}
}

// atNamed: pods may have the same name for other numbers.
func (s *side) atNamed(way direction, of, name string, protocol corev1.Protocol) []string {
	byNumber := map[int32][]subject{}
	for _, pod := range s.pods {
		for _, number := range pod.named(name, protocol) {
			byNumber[number] = append(byNumber[number], pod)
		}
	}
	var rules []string
	for _, number := range slices.Sorted(maps.Keys(byNumber)) {
		rules = append(rules, allow(among(way, byNumber[number]), fmt.Sprintf("%s dport %d", of, number)))
	}
	return rules
}
