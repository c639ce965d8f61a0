package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const patience = 20 * time.Second

// scene is a world that tests change.
type scene struct {
	mutex sync.Mutex
	world World
}

func (s *scene) seen() (*World, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	seen := s.world
	return &seen, nil
}

func (s *scene) show(pods ...*corev1.Pod) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.world.Pods = pods
}

// stage is a keeper that keeps, with rulesets in place of nft.
func stage(t *testing.T, load func(string) error) (*keeper, *scene) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	k := newKeeper(netip.MustParsePrefix("10.98.1.0/24"))
	k.load = func(_ context.Context, ruleset string) error { return load(ruleset) }
	scene := &scene{world: World{Node: "node1"}}
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		_ = k.keep(ctx, scene)
	}()
	t.Cleanup(func() { stop(); <-kept })
	return k, scene
}

func TestAPodIsLetInWhenTheLoadedRulesetKnowsIt(t *testing.T) {
	loads := make(chan string, 16)
	may := make(chan error)
	k, scene := stage(t, func(ruleset string) error { loads <- ruleset; return <-may })
	<-loads
	may <- nil
	scene.show(pod(t, "school", "unborn", "client", "node1", "", `[]`))
	let := make(chan error, 1)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	go func() { let <- k.admit(ctx, "school/unborn", netip.MustParseAddr("10.98.1.7")) }()
	if ruleset := <-loads; !strings.Contains(ruleset, "10.98.1.7 : return") {
		t.Fatalf("the pod is not in\n%s", ruleset)
	}
	select {
	case err := <-let:
		t.Fatalf("the pod was answered before its ruleset was loaded: %v", err)
	default:
	}
	may <- errors.New("nft is not well") // and is asked again
	<-loads
	may <- nil
	if err := <-let; err != nil {
		t.Fatal(err)
	}
	if len(k.told) != 1 {
		t.Fatalf("forgotten too early: %v", k.told)
	}
	// The API server says the same at last, and nothing is loaded for that.
	scene.show(pod(t, "school", "unborn", "client", "node1", "10.98.1.7", `[]`))
	left := k.stillTold(&World{Pods: []*corev1.Pod{pod(t, "school", "unborn", "client", "node1", "10.98.1.7", `[]`)}})
	if len(left) != 0 || len(k.told) != 0 {
		t.Fatalf("still told: %v", left)
	}
}

func TestAPodThatNobodyKnowsIsNotLetIn(t *testing.T) {
	k, _ := stage(t, func(string) error { return nil })
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := k.admit(ctx, "nobody", netip.MustParseAddr("10.98.1.7")); err == nil {
		t.Fatal("it was let in")
	}
	k.told["nobody"] = tidings{k.told["nobody"].address, time.Now().Add(-2 * toldFor)}
	if left := k.stillTold(&World{}); len(left) != 0 {
		t.Fatalf("never forgotten: %v", left)
	}
}

func TestWhoIsToldIsBounded(t *testing.T) {
	k := newKeeper(netip.MustParsePrefix("10.98.1.0/24"))
	for i := range mostTold {
		k.told[types.UID(rune(i))] = tidings{at: time.Now()}
	}
	if err := k.admit(t.Context(), "one-more", netip.MustParseAddr("10.98.1.7")); err == nil {
		t.Fatal("it was let in")
	}
}

func TestTheSameIsLoadedOnce(t *testing.T) {
	k := newKeeper(netip.MustParsePrefix("10.98.1.0/24"))
	loads := 0
	k.load = func(context.Context, string) error { loads++; return nil }
	scene, last := &scene{world: World{Node: "node1"}}, ""
	for range 3 {
		ruleset, err := k.renew(t.Context(), scene, last)
		if err != nil {
			t.Fatal(err)
		}
		last = ruleset
	}
	if loads != 1 {
		t.Fatalf("loaded %d times", loads)
	}
}

func TestThePluginAsksForItsPodAndHandsTheResultOn(t *testing.T) {
	k, scene := stage(t, func(string) error { return nil })
	scene.show(pod(t, "school", "unborn", "client", "node1", "", `[]`))
	path := filepath.Join(t.TempDir(), "policies.sock")
	if err := listen(t.Context(), path, k); err != nil {
		t.Fatal(err)
	}
	result := json.RawMessage(`{"cniVersion": "1.0.0", "ips": [{"address": "10.98.1.7/24", "gateway": "10.98.1.1"}]}`)
	asked, err := ask(result, "IgnoreUnknown=1;K8S_POD_NAME=unborn;K8S_POD_UID=school/unborn")
	if err != nil {
		t.Fatal(err)
	}
	if err := askService(path, asked); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(result, "K8S_POD_NAME=unborn"); err == nil {
		t.Fatal("a pod without a uid was asked for")
	}
	if _, err := ask(json.RawMessage(`{"ips": []}`), "K8S_POD_UID=1"); err == nil {
		t.Fatal("a pod without an address was asked for")
	}
}

func TestAPluginWithoutItsServiceSaysSo(t *testing.T) {
	t.Setenv("CNI_ARGS", "K8S_POD_UID=1")
	var said strings.Builder
	config := `{"prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.98.1.7/24"}]}}`
	if code := beCalled("ADD", strings.NewReader(config), &said); code == 0 || !strings.Contains(said.String(), socketPath) {
		t.Fatalf("%d %s", code, said.String())
	}
	said.Reset()
	if code := beCalled("DEL", strings.NewReader(config), &said); code != 0 || said.Len() != 0 {
		t.Fatalf("%d %s", code, said.String())
	}
}
