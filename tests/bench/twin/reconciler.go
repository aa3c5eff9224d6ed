package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	pairLabel = "catalyst.openova.io/cnpg-pair"
	// So many are reconciled at once: a slow answer of the witness holds up few others.
	workers = 64
	// A request that got no answer by then is given up.
	requestLimit = 3 * time.Second
	// Indices of the caches.
	byPair  = "pair"
	byRoute = "route"
)

// Reconciler keeps every Continuum of its region's cluster.
type Reconciler struct {
	region  string
	other   string
	own     client.Client
	away    client.Client
	witness *Witness
	terms   sync.Map
}

// Reconcile keeps one: its lease, and its copy's status. It comes again for the next renewal by itself.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	c := &Continuum{}
	if err := r.own.Get(ctx, request.NamespacedName, c); err != nil {
		if apierrors.IsNotFound(err) {
			r.terms.Delete(request.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	t := r.term(request.NamespacedName)
	t.mu.Lock()
	defer t.mu.Unlock()
	every := time.Duration(c.Spec.LeaseClient.Config.RenewSeconds) * time.Second
	if wait := time.Until(t.due); wait > 0 {
		// Something changed; the status says so where it matters, and the lease waits for its time.
		if phase := r.phase(ctx, c, t); phase != c.Status.Phase {
			if err := r.say(ctx, c, t, phase); err != nil {
				return ctrl.Result{}, err
			}
		}
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if err := r.keep(limited, request.NamespacedName, c, t); err != nil {
		return ctrl.Result{}, err
	}
	t.due = began.Add(every)
	if err := r.say(ctx, c, t, r.phase(ctx, c, t)); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: time.Until(t.due)}, nil
}

func (r *Reconciler) term(name types.NamespacedName) *Term {
	t, _ := r.terms.LoadOrStore(name, &Term{})
	return t.(*Term)
}

// keep renews where this region holds the lease, and reads it where it does not.
func (r *Reconciler) keep(ctx context.Context, name types.NamespacedName, c *Continuum, t *Term) error {
	if t.lease == nil || t.holder() != r.region {
		if err := r.witness.Read(ctx, name, t); err != nil {
			return err
		}
	}
	if t.holder() != r.region {
		return nil
	}
	record := t.record
	record.Renewal++
	return r.witness.Write(ctx, t, record, r.region, c.Spec.LeaseClient.Config.TTLSeconds)
}

// phase looks at both halves and both routes, as the caches have them.
func (r *Reconciler) phase(ctx context.Context, c *Continuum, t *Term) string {
	if t.lease == nil {
		return "Pending"
	}
	if c.Spec.CnpgPair != nil {
		for region, at := range map[string]client.Client{r.region: r.own, r.other: r.away} {
			half, err := r.half(ctx, at, c)
			if err != nil || half == nil || half.Spec.Replica == nil {
				return "Degraded"
			}
			isPrimary := half.Spec.Replica.Primary == half.Name
			if isPrimary != (region == t.holder()) {
				return "Degraded"
			}
		}
	}
	if c.Spec.HTTPRoute != nil {
		for _, at := range []client.Client{r.own, r.away} {
			route := &HTTPRoute{}
			key := types.NamespacedName{Namespace: c.Namespace, Name: c.Spec.HTTPRoute.Name}
			if err := at.Get(ctx, key, route); err != nil {
				return "Degraded"
			}
		}
	}
	copyAway := &Continuum{}
	if err := r.away.Get(ctx, client.ObjectKeyFromObject(c), copyAway); err != nil {
		return "Degraded"
	}
	if t.holder() == r.region && !t.Holds(time.Duration(c.Spec.LeaseClient.Config.TTLSeconds)*time.Second) {
		return "Degraded"
	}
	return "Healthy"
}

func (r *Reconciler) half(ctx context.Context, at client.Client, c *Continuum) (*Cluster, error) {
	list := &ClusterList{}
	if err := at.List(ctx, list, client.InNamespace(c.Namespace), client.MatchingFields{byPair: c.Spec.CnpgPair.Name}); err != nil {
		return nil, err
	}
	if len(list.Items) != 1 {
		return nil, nil
	}
	return &list.Items[0], nil
}

// say writes the status: what was seen of the witness, and what follows.
func (r *Reconciler) say(ctx context.Context, c *Continuum, t *Term, phase string) error {
	status := ContinuumStatus{
		Phase:       phase,
		LeaseHolder: t.holder(),
		Seen:        &SeenStatus{Renewal: t.record.Renewal, Beat: t.beat},
	}
	if t.holder() == r.region && !t.renewed.IsZero() {
		left := time.Duration(c.Spec.LeaseClient.Config.TTLSeconds)*time.Second - time.Since(t.renewed)
		status.LeaseExpiresAt = time.Now().Add(left).UTC().Format(time.RFC3339)
	}
	return patchStatus(ctx, r.own, c, map[string]any{"status": status})
}

func patchStatus(ctx context.Context, at client.Client, c *Continuum, patch any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	// An object of its own: the answer is decoded into it, and the cache's is everybody's.
	target := &Continuum{}
	target.Namespace, target.Name = c.Namespace, c.Name
	return at.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, text))
}

func pairOf(object client.Object) []string {
	if pair := object.GetLabels()[pairLabel]; pair != "" {
		return []string{pair}
	}
	return nil
}

// Setup joins it to both regions' caches.
func (r *Reconciler) Setup(ctx context.Context, mgr ctrl.Manager, away cluster.Cluster) error {
	for _, indexer := range []client.FieldIndexer{mgr.GetFieldIndexer(), away.GetFieldIndexer()} {
		if err := indexer.IndexField(ctx, &Cluster{}, byPair, pairOf); err != nil {
			return err
		}
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &Continuum{}, byPair, func(object client.Object) []string {
		if pair := object.(*Continuum).Spec.CnpgPair; pair != nil {
			return []string{pair.Name}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &Continuum{}, byRoute, func(object client.Object) []string {
		if route := object.(*Continuum).Spec.HTTPRoute; route != nil {
			return []string{route.Name}
		}
		return nil
	}); err != nil {
		return err
	}
	requests := func(ctx context.Context, namespace, index, value string) []ctrl.Request {
		list := &ContinuumList{}
		if err := r.own.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{index: value}); err != nil {
			return nil
		}
		found := make([]ctrl.Request, 0, len(list.Items))
		for i := range list.Items {
			found = append(found, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
		return found
	}
	ofCluster := func(ctx context.Context, half *Cluster) []ctrl.Request {
		return requests(ctx, half.Namespace, byPair, half.Labels[pairLabel])
	}
	ofRoute := func(ctx context.Context, route *HTTPRoute) []ctrl.Request {
		return requests(ctx, route.Namespace, byRoute, route.Name)
	}
	// A copy's status is written every few seconds, and says nothing that its own controller does not know.
	ofCopy := func(_ context.Context, c *Continuum) []ctrl.Request {
		return []ctrl.Request{{NamespacedName: client.ObjectKeyFromObject(c)}}
	}
	newGeneration := predicate.TypedFuncs[*Continuum]{UpdateFunc: func(e event.TypedUpdateEvent[*Continuum]) bool {
		return e.ObjectOld.Generation != e.ObjectNew.Generation
	}}
	return ctrl.NewControllerManagedBy(mgr).
		For(&Continuum{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Kind(mgr.GetCache(), &Cluster{}, handler.TypedEnqueueRequestsFromMapFunc(ofCluster))).
		WatchesRawSource(source.Kind(away.GetCache(), &Cluster{}, handler.TypedEnqueueRequestsFromMapFunc(ofCluster))).
		WatchesRawSource(source.Kind(mgr.GetCache(), &HTTPRoute{}, handler.TypedEnqueueRequestsFromMapFunc(ofRoute))).
		WatchesRawSource(source.Kind(away.GetCache(), &HTTPRoute{}, handler.TypedEnqueueRequestsFromMapFunc(ofRoute))).
		WatchesRawSource(source.Kind(away.GetCache(), &Continuum{}, handler.TypedEnqueueRequestsFromMapFunc(ofCopy), newGeneration)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}
