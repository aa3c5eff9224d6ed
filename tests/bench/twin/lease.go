package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const recordAnnotation = "dr.openova.io/record"

// Record is what stands in the Lease's annotation: the journal of the move under way.
type Record struct {
	Renewal uint64  `json:"renewal"`
	Intent  *Intent `json:"intent,omitempty"`
	Last    *Intent `json:"last,omitempty"`
}

// Intent is a move.
type Intent struct {
	ID    string     `json:"id"`
	From  string     `json:"from"`
	To    string     `json:"to"`
	Steps []StepTime `json:"steps"`
}

// StepTime is when a step was begun.
type StepTime struct {
	Name      string      `json:"name"`
	StartedAt metav1.Time `json:"startedAt"`
}

// Term is one Continuum's lease as this process knows it.
type Term struct {
	mu sync.Mutex
	// As the server answered last, so that a renewal is one request.
	lease  *coordinationv1.Lease
	record Record
	// When the last renewal that went through was sent; of the monotonic clock.
	renewed time.Time
	// When it is to be read or renewed again.
	due  time.Time
	beat uint64
}

// Holds says whether the term of this region runs.
func (t *Term) Holds(ttl time.Duration) bool {
	return !t.renewed.IsZero() && time.Since(t.renewed) < ttl
}

// Witness is the API server with the Leases.
type Witness struct {
	client    client.Client
	namespace string
	region    string
}

func (w *Witness) key(name types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: w.namespace, Name: name.Namespace + "." + name.Name}
}

// Read reads the Lease afresh.
func (w *Witness) Read(ctx context.Context, name types.NamespacedName, t *Term) error {
	lease := &coordinationv1.Lease{}
	if err := w.client.Get(ctx, w.key(name), lease); err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	return t.saw(lease)
}

// Write replaces the Lease, where it is still the one that was read last: the API server refuses any other.
func (w *Witness) Write(ctx context.Context, t *Term, record Record, holder string, ttl int32) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	lease := t.lease.DeepCopy()
	now := metav1.NowMicro()
	if lease.Annotations == nil {
		lease.Annotations = map[string]string{}
	}
	lease.Annotations[recordAnnotation] = string(text)
	lease.Spec.HolderIdentity = &holder
	lease.Spec.LeaseDurationSeconds = &ttl
	lease.Spec.RenewTime = &now
	sent := time.Now()
	if err := w.client.Update(ctx, lease); err != nil {
		// What stands there is to be read before anything else is written.
		t.lease = nil
		return fmt.Errorf("write the lease: %w", err)
	}
	if holder == w.region {
		t.renewed = sent
	}
	return t.saw(lease)
}

func (t *Term) saw(lease *coordinationv1.Lease) error {
	lease.ManagedFields = nil
	t.lease = lease
	t.beat++
	t.record = Record{}
	if text := lease.Annotations[recordAnnotation]; text != "" {
		if err := json.Unmarshal([]byte(text), &t.record); err != nil {
			return fmt.Errorf("the record in the lease: %w", err)
		}
	}
	return nil
}

func (t *Term) holder() string {
	if t.lease == nil || t.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *t.lease.Spec.HolderIdentity
}
