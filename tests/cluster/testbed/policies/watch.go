package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// A cluster begins with its nodes waiting for the API server, and for their rights.
	answersWithin = 3 * time.Minute
	askAgain      = 200 * time.Millisecond
	syncsWithin   = time.Minute
)

// store is what the API server says, as far as it matters.
type store struct {
	node       string
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
}

// watch returns once everything there is was seen; `changed` is called for whatever changes. An API server that is away
// later is asked again by client-go, for as long as it takes; meanwhile the last ruleset stands.
func watch(ctx context.Context, kubeconfig, node string, changed func()) (*store, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.UserAgent = "policies"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	if err := untilAnswered(ctx, client); err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip))
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(_, _ any) { changed() },
		DeleteFunc: func(any) { changed() },
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return nil, err
		}
	}
	factory.Start(ctx.Done())
	waiting, stop := context.WithTimeout(ctx, syncsWithin)
	defer stop()
	for kind, synced := range factory.WaitForCacheSync(waiting.Done()) {
		if !synced {
			return nil, fmt.Errorf("the API server did not list %v within %s", kind, syncsWithin)
		}
	}
	return &store{node, pods.Lister(), namespaces.Lister(), policies.Lister()}, nil
}

// untilAnswered: client-go would wait ever longer between its tries, and a node longer than it has to.
func untilAnswered(ctx context.Context, client kubernetes.Interface) error {
	waiting, stop := context.WithTimeout(ctx, answersWithin)
	defer stop()
	said := ""
	for {
		_, err := client.NetworkingV1().NetworkPolicies("").List(waiting, metav1.ListOptions{Limit: 1})
		if err == nil {
			return nil
		}
		if now := err.Error(); now != said && waiting.Err() == nil {
			said = now
			log.Printf("the API server does not list policies yet: %s", said)
		}
		select {
		case <-waiting.Done():
			return errors.Join(fmt.Errorf("the API server listed no policies within %s", answersWithin), err)
		case <-time.After(askAgain):
		}
	}
}

// strip forgets what no ruleset follows from; most of a Pod.
func strip(object any) (any, error) {
	if of, err := meta.Accessor(object); err == nil {
		of.SetManagedFields(nil)
		of.SetAnnotations(nil)
		of.SetOwnerReferences(nil)
	}
	pod, is := object.(*corev1.Pod)
	if !is {
		return object, nil
	}
	spec := corev1.PodSpec{
		NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork,
		InitContainers: portsAlone(pod.Spec.InitContainers), Containers: portsAlone(pod.Spec.Containers),
	}
	status := corev1.PodStatus{Phase: pod.Status.Phase, PodIP: pod.Status.PodIP}
	return &corev1.Pod{TypeMeta: pod.TypeMeta, ObjectMeta: pod.ObjectMeta, Spec: spec, Status: status}, nil
}

func portsAlone(containers []corev1.Container) []corev1.Container {
	all := make([]corev1.Container, 0, len(containers))
	for i := range containers {
		all = append(all, corev1.Container{Ports: containers[i].Ports})
	}
	return all
}

// seen is all of it, but for who was told what.
func (s *store) seen() (*World, error) {
	pods, err := s.pods.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	namespaces, err := s.namespaces.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var policies []*networkingv1.NetworkPolicy
	if policies, err = s.policies.List(labels.Everything()); err != nil {
		return nil, err
	}
	return &World{Node: s.node, Pods: pods, Namespaces: namespaces, Policies: policies}, nil
}
