package main

import (
	"context"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

const school = `
metadata: { namespace: school, name: policy }
spec:
  podSelector: { matchLabels: { app: server } }
`

// The world of most tests: node1 has a server and a client, node2 a server, a client of another namespace, and what policies
// do not see.
func world(t *testing.T, policies ...string) *World {
	t.Helper()
	world := &World{
		Node: "node1", Addresses: netip.MustParsePrefix("10.98.1.0/24"),
		Namespaces: []*corev1.Namespace{
			parsed[corev1.Namespace](t, `metadata: { name: school, labels: { team: blue } }`),
			parsed[corev1.Namespace](t, `metadata: { name: other, labels: { team: red } }`),
		},
		Pods: []*corev1.Pod{
			pod(t, "school", "server-1", "server", "node1", "10.98.1.2", `[{ name: http, containerPort: 8080 }]`),
			pod(t, "school", "client", "client", "node1", "10.98.1.3", `[]`),
			pod(t, "school", "server-2", "server", "node2", "10.98.2.2", `[{ name: http, containerPort: 9090 }]`),
			pod(t, "other", "client", "client", "node2", "10.98.2.3", `[{ name: http, containerPort: 53, protocol: UDP }]`),
		},
	}
	ended := pod(t, "school", "ended", "client", "node2", "10.98.2.4", `[]`)
	ended.Status.Phase = corev1.PodSucceeded
	ofNode := pod(t, "school", "of-node", "client", "node2", "10.99.0.12", `[]`)
	ofNode.Spec.HostNetwork = true
	unborn := pod(t, "school", "unborn", "client", "node1", "", `[]`)
	world.Pods = append(world.Pods, ended, ofNode, unborn)
	for _, text := range policies {
		world.Policies = append(world.Policies, parsed[networkingv1.NetworkPolicy](t, text))
	}
	return world
}

func pod(t *testing.T, namespace, name, app, node, address, ports string) *corev1.Pod {
	t.Helper()
	made := parsed[corev1.Pod](t, "spec: { containers: [{ ports: "+ports+" }] }")
	made.ObjectMeta = metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name), Labels: map[string]string{"app": app},
	}
	made.Spec.NodeName = node
	made.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address}
	return made
}

func parsed[T any](t *testing.T, text string) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return object
}

// chain are the lines of a chain; none, and false, where there is no such chain.
func chain(ruleset, name string) ([]string, bool) {
	_, after, found := strings.Cut(ruleset, "  chain "+name+" {")
	if !found {
		return nil, false
	}
	body, _, _ := strings.Cut(after, "\n  }\n")
	lines := strings.Split(body, "\n")[1:]
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines, true
}

// allowed are the rules of server-1, without those that every pod has.
func allowed(t *testing.T, way direction, world *World) []string {
	t.Helper()
	ruleset, _ := Ruleset(world)
	lines, found := chain(ruleset, way.name+"-10.98.1.2")
	if !found {
		t.Fatalf("server-1 is not isolated for %s in\n%s", way.name, ruleset)
	}
	self, end := "ip "+way.other+" 10.98.1.2 return", "goto refuse"
	if lines[0] != self || lines[len(lines)-1] != end {
		t.Fatalf("the chain does not begin with itself and end with refusal: %q", lines)
	}
	return lines[1 : len(lines)-1]
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("\ngot  %q\nwant %q", got, want)
	}
}

func TestIsolationFollowsTypesAndTheirDefaults(t *testing.T) {
	for rest, want := range map[string][2]bool{
		"":                                 {true, false},
		"  ingress: []":                    {true, false},
		"  egress: [{}]":                   {true, true},
		"  egress: []":                     {true, false},
		"  policyTypes: [Ingress]":         {true, false},
		"  policyTypes: [Egress]":          {false, true},
		"  policyTypes: [Egress, Ingress]": {true, true},
		"  policyTypes: [Ingress]\n  egress: [{}]": {true, false},
	} {
		ruleset, _ := Ruleset(world(t, school+rest))
		_, in := chain(ruleset, "ingress-10.98.1.2")
		_, out := chain(ruleset, "egress-10.98.1.2")
		if [2]bool{in, out} != want {
			t.Errorf("%q isolates %v, not %v", rest, [2]bool{in, out}, want)
		}
		for _, free := range []string{"ingress-10.98.1.3", "egress-10.98.1.3", "ingress-10.98.2.2"} {
			if _, found := chain(ruleset, free); found {
				t.Errorf("%q isolates by %s", rest, free)
			}
		}
	}
}

func TestPeers(t *testing.T) {
	for peers, want := range map[string][]string{
		``:                            {"return"},
		`from: []`:                    {"return"},
		`from: [{ podSelector: {} }]`: {"ip saddr { 10.98.1.2, 10.98.1.3, 10.98.2.2 } return"},
		`from: [{ podSelector: { matchLabels: { app: client } } }]`:                                                    {"ip saddr { 10.98.1.3 } return"},
		`from: [{ podSelector: { matchLabels: { app: nobody } } }]`:                                                    {},
		`from: [{ namespaceSelector: {} }]`:                                                                            {"ip saddr { 10.98.1.2, 10.98.1.3, 10.98.2.2, 10.98.2.3 } return"},
		`from: [{ namespaceSelector: { matchLabels: { team: red } } }]`:                                                {"ip saddr { 10.98.2.3 } return"},
		`from: [{ namespaceSelector: { matchLabels: { team: red } }, podSelector: { matchLabels: { app: server } } }]`: {},
		`from: [{ namespaceSelector: { matchExpressions: [{ key: team, operator: NotIn, values: [red] }] },
		          podSelector: { matchLabels: { app: client } } }]`: {"ip saddr { 10.98.1.3 } return"},
		// Either of them.
		`from: [{ namespaceSelector: { matchLabels: { team: red } } }, { podSelector: { matchLabels: { app: client } } }]`: {"ip saddr { 10.98.1.3, 10.98.2.3 } return"},
		`from: [{ ipBlock: { cidr: 10.99.0.1/24 } }]`: {"ip saddr 10.99.0.0/24 return"},
		`from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [10.98.0.0/16, 10.98.1.0/24] } }, { podSelector: { matchLabels: { app: client } } }]`: {
			"ip saddr 10.0.0.0/8 ip saddr != 10.98.0.0/16 ip saddr != 10.98.1.0/24 return", "ip saddr { 10.98.1.3 } return"},
		`from: [{ ipBlock: { cidr: "::/0" } }]`: {},
	} {
		got := allowed(t, ingress, world(t, school+"  ingress:\n  - { "+peers+" }"))
		expect(t, got, want...)
	}
}

func TestPorts(t *testing.T) {
	for ports, want := range map[string][]string{
		``:                           {"return"},
		`ports: []`:                  {"return"},
		`ports: [{}]`:                {"meta l4proto tcp return"},
		`ports: [{ protocol: UDP }]`: {"meta l4proto udp return"},
		`ports: [{ port: 80 }, { port: 53, protocol: UDP }]`:        {"tcp dport 80 return", "udp dport 53 return"},
		`ports: [{ port: 8000, endPort: 8100, protocol: SCTP }]`:    {"sctp dport 8000-8100 return"},
		`ports: [{ port: http }]`:                                   {"tcp dport 8080 return"},
		`ports: [{ port: http, protocol: UDP }, { port: nothing }]`: {},
		`from: [{ podSelector: { matchLabels: { app: client } } }], ports: [{ port: 1 }, { port: 2 }]`: {
			"ip saddr { 10.98.1.3 } tcp dport 1 return", "ip saddr { 10.98.1.3 } tcp dport 2 return"},
	} {
		expect(t, allowed(t, ingress, world(t, school+"  ingress:\n  - { "+ports+" }")), want...)
	}
}

func TestANamedPortOfEgressIsThatOfEachReceiver(t *testing.T) {
	for rule, want := range map[string][]string{
		`ports: [{ port: http }]`:                                                                           {"ip daddr { 10.98.1.2 } tcp dport 8080 return", "ip daddr { 10.98.2.2 } tcp dport 9090 return"},
		`ports: [{ port: http, protocol: UDP }]`:                                                            {"ip daddr { 10.98.2.3 } udp dport 53 return"},
		`ports: [{ port: http }], to: [{ ipBlock: { cidr: 0.0.0.0/0 } }]`:                                   {},
		`ports: [{ port: http }, { port: 5 }], to: [{ namespaceSelector: { matchLabels: { team: red } } }]`: {"ip daddr { 10.98.2.3 } tcp dport 5 return"},
	} {
		expect(t, allowed(t, egress, world(t, school+"  policyTypes: [Egress]\n  egress:\n  - { "+rule+" }")), want...)
	}
}

func TestPoliciesAddUpAndNothingAllowsNothing(t *testing.T) {
	denied := world(t, school+"  ingress: []")
	expect(t, allowed(t, ingress, denied))
	second := strings.Replace(school, "name: policy", "name: another", 1)
	elsewhere := strings.Replace(school, "namespace: school", "namespace: other", 1)
	both := world(t, school+"  ingress: [{ ports: [{ port: 2 }] }]", second+"  ingress: [{ ports: [{ port: 1 }] }]",
		elsewhere+"  ingress: [{}]")
	expect(t, allowed(t, ingress, both), "tcp dport 1 return", "tcp dport 2 return")
	slices.Reverse(both.Policies)
	slices.Reverse(both.Pods)
	expect(t, allowed(t, ingress, both), "tcp dport 1 return", "tcp dport 2 return")
}

func TestOnlyPodsOfTheNodeAreJudgedAndNobodyElseHasItsAddresses(t *testing.T) {
	ruleset, local := Ruleset(world(t, school+"  ingress: []"))
	in, _ := chain(ruleset, "ingress")
	expect(t, in, "ip daddr vmap { 10.98.1.2 : goto ingress-10.98.1.2, 10.98.1.3 : return }", "ip daddr 10.98.1.0/24 drop")
	out, _ := chain(ruleset, "egress")
	expect(t, out, "ip saddr vmap { 10.98.1.2 : return, 10.98.1.3 : return }", "ip saddr 10.98.1.0/24 drop")
	if len(local) != 2 || local[0].name != "server-1" {
		t.Errorf("%v", local)
	}
	empty := &World{Node: "node1", Addresses: netip.MustParsePrefix("10.98.1.0/24")}
	ruleset, _ = Ruleset(empty)
	in, _ = chain(ruleset, "ingress")
	expect(t, in, "ip daddr 10.98.1.0/24 drop")
}

func TestWhatTheNodeWasToldIsNewerThanTheApiServer(t *testing.T) {
	world := world(t)
	world.Told = map[types.UID]netip.Addr{
		"school/unborn": netip.MustParseAddr("10.98.1.9"), "school/server-1": netip.MustParseAddr("10.98.1.8"),
	}
	ruleset, _ := Ruleset(world)
	in, _ := chain(ruleset, "ingress")
	expect(t, in, "ip daddr vmap { 10.98.1.3 : return, 10.98.1.8 : return, 10.98.1.9 : return }", "ip daddr 10.98.1.0/24 drop")
}

func TestAnAddressIsItsNewestPods(t *testing.T) {
	world := world(t, school+"  ingress: []")
	old := pod(t, "school", "gone", "client", "node1", "10.98.1.2", `[]`)
	old.CreationTimestamp = metav1.Now()
	going := metav1.Now()
	old.DeletionTimestamp = &going
	for _, pods := range [][]*corev1.Pod{append(slices.Clone(world.Pods), old), append([]*corev1.Pod{old}, world.Pods...)} {
		world.Pods = pods
		allowed(t, ingress, world) // or else the address is not isolated
	}
	newer := pod(t, "school", "newer", "client", "node1", "10.98.1.2", `[]`)
	newer.CreationTimestamp = metav1.Now()
	world.Pods = append(world.Pods, newer)
	ruleset, _ := Ruleset(world)
	if _, isolated := chain(ruleset, "ingress-10.98.1.2"); isolated {
		t.Error("the address is still the former pod's")
	}
}

// The real nft, in a network of its own, which takes root; the tier that runs these tests has it.
func TestNftTakesAllOfIt(t *testing.T) {
	everything := school + `  policyTypes: [Ingress, Egress]
  ingress:
  - {}
  - { from: [{ podSelector: {} }, { ipBlock: { cidr: 0.0.0.0/0, except: [10.0.0.0/8, 10.98.0.0/16] } }],
      ports: [{ port: http }, { port: 1, endPort: 9, protocol: UDP }, { protocol: SCTP }, { port: 80 }, { port: 80 }] }
  egress:
  - { ports: [{ port: http }, { port: 53, protocol: UDP }, { port: 4, protocol: SCTP }] }
`
	ruleset, _ := Ruleset(world(t, everything, strings.Replace(everything, "name: policy", "name: twin", 1)))
	// Twice: the second one replaces the first.
	command := exec.CommandContext(context.Background(), "unshare", "--net", "nft", "-f", "-")
	command.Stdin = strings.NewReader(ruleset + ruleset)
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, said, ruleset)
	}
}
