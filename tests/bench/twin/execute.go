package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	generationAnnotation = "dr.openova.io/generation"
	intentAnnotation     = "dr.openova.io/intent"
	subject              = "catalyst.audit"
)

var steps = [7]string{"validate-lease", "cordon-old-primary", "drain-http", "flip-dns", "swap-lease", "uncordon-new-primary", "audit-emit"}

// API takes orders.
type API struct {
	reconciler *Reconciler
	settings   settings
	stream     jetstream.JetStream
}

func newAPI(s settings, r *Reconciler) (*API, error) {
	api := &API{reconciler: r, settings: s}
	if s.nats == "" {
		return api, nil
	}
	connection, err := nats.Connect(s.nats)
	if err != nil {
		return nil, err
	}
	api.stream, err = jetstream.New(connection)
	return api, err
}

// Start serves until the process ends.
func (a *API) Start(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/continuums/{namespace}/{name}/switchover", func(w http.ResponseWriter, r *http.Request) {
		name := types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
		if err := a.execute(r.Context(), name); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	server := &http.Server{Addr: a.settings.api, Handler: mux}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A move under way.
type move struct {
	api      *API
	name     types.NamespacedName
	c        *Continuum
	term     *Term
	id       string
	from, to string
	at       map[string]client.Client
}

// execute does the seven steps, one after the other, and waits for no effect of any: what it writes is what a switchover
// writes, in that order.
func (a *API) execute(ctx context.Context, name types.NamespacedName) error {
	r := a.reconciler
	c := &Continuum{}
	if err := r.own.Get(ctx, name, c); err != nil {
		return err
	}
	term := r.term(name)
	term.mu.Lock()
	defer term.mu.Unlock()
	if err := r.witness.Read(ctx, name, term); err != nil {
		return err
	}
	if term.holder() != r.region || term.record.Intent != nil {
		return fmt.Errorf("%s holds the lease, and nothing else may be under way", term.holder())
	}
	m := &move{
		api: a, name: name, c: c, term: term, from: r.region, to: r.other,
		id: fmt.Sprintf("%s/%d", name, term.record.Renewal),
		at: map[string]client.Client{r.region: r.own, r.other: r.away},
	}
	old, err := r.half(ctx, r.own, c)
	if err != nil || old == nil {
		return fmt.Errorf("the half in %s: %v, %w", m.from, old, err)
	}
	fresh, err := r.half(ctx, r.away, c)
	if err != nil || fresh == nil {
		return fmt.Errorf("the half in %s: %v, %w", m.to, fresh, err)
	}
	work := [7]func(context.Context) error{
		func(context.Context) error { return nil },
		func(ctx context.Context) error { return m.patchCluster(ctx, m.from, old, fresh.Name, "") },
		m.weights,
		m.publish,
		m.swap,
		func(ctx context.Context) error {
			return m.patchCluster(ctx, m.to, fresh, fresh.Name, old.Status.DemotionToken)
		},
		m.emit,
	}
	record := term.record
	record.Intent = &Intent{ID: m.id, From: m.from, To: m.to}
	for number, name := range steps {
		record.Intent.Steps = append(record.Intent.Steps, StepTime{Name: name, StartedAt: metav1.Now()})
		record.Renewal++
		if err := m.write(ctx, record); err != nil {
			return err
		}
		said := map[string]any{"status": map[string]any{
			"phase": "SwitchingOver", "switchoverInProgress": true,
			"switchoverStep": fmt.Sprintf("step %d/7 — %s", number+1, name),
		}}
		if err := patchStatus(ctx, r.own, c, said); err != nil {
			return err
		}
		if err := work[number](ctx); err != nil {
			return fmt.Errorf("step %d, %s: %w", number+1, name, err)
		}
		record = m.term.record
	}
	return m.end(ctx, record)
}

// write journals; the holder stays who it is.
func (m *move) write(ctx context.Context, record Record) error {
	ttl := m.c.Spec.LeaseClient.Config.TTLSeconds
	return m.api.reconciler.witness.Write(ctx, m.term, record, m.term.holder(), ttl)
}

func (m *move) swap(ctx context.Context) error {
	record := m.term.record
	record.Renewal++
	transitions := int32(1)
	if before := m.term.lease.Spec.LeaseTransitions; before != nil {
		transitions = *before + 1
	}
	m.term.lease.Spec.LeaseTransitions = &transitions
	return m.api.reconciler.witness.Write(ctx, m.term, record, m.to, m.c.Spec.LeaseClient.Config.TTLSeconds)
}

func (m *move) claim() map[string]string {
	return map[string]string{generationAnnotation: fmt.Sprint(m.term.record.Renewal), intentAnnotation: m.id}
}

// patchCluster tells a half its role, where it is still the one that was looked at.
func (m *move) patchCluster(ctx context.Context, region string, half *Cluster, primary, token string) error {
	patch := map[string]any{
		"metadata": map[string]any{"resourceVersion": half.ResourceVersion, "annotations": m.claim()},
		"spec":     map[string]any{"replica": map[string]any{"primary": primary, "promotionToken": orNull(token)}},
	}
	target := &Cluster{}
	target.Namespace, target.Name = half.Namespace, half.Name
	return m.patch(ctx, region, target, patch)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (m *move) patch(ctx context.Context, region string, target client.Object, patch any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return m.at[region].Patch(ctx, target, client.RawPatch(types.MergePatchType, text))
}

// weights leads all requests to the new region, in both routes.
func (m *move) weights(ctx context.Context) error {
	if m.c.Spec.HTTPRoute == nil {
		return nil
	}
	key := types.NamespacedName{Namespace: m.name.Namespace, Name: m.c.Spec.HTTPRoute.Name}
	for _, region := range []string{m.from, m.to} {
		route := &HTTPRoute{}
		if err := m.at[region].Get(ctx, key, route); err != nil {
			return err
		}
		// The cache's is everybody's.
		rules := route.DeepCopyObject().(*HTTPRoute).Spec.Rules
		for i := range rules {
			for j := range rules[i].BackendRefs {
				weight := int32(0)
				if strings.HasSuffix(rules[i].BackendRefs[j].Name, "-"+m.to) {
					weight = 100
				}
				rules[i].BackendRefs[j].Weight = &weight
			}
		}
		patch := map[string]any{
			"metadata": map[string]any{"resourceVersion": route.ResourceVersion, "annotations": m.claim()},
			"spec":     map[string]any{"rules": rules},
		}
		target := &HTTPRoute{}
		target.Namespace, target.Name = key.Namespace, key.Name
		if err := m.patch(ctx, region, target, patch); err != nil {
			return err
		}
	}
	return nil
}

// publish makes the names answer the new region's addresses.
func (m *move) publish(ctx context.Context) error {
	if m.c.Spec.LuaRecord == nil || m.api.settings.powerdns == "" {
		return nil
	}
	var addresses []string
	for _, region := range m.c.Spec.Regions {
		if region.Name == m.to {
			addresses = region.LBIPs
		}
	}
	var sets []map[string]any
	for _, hostname := range m.c.Spec.LuaRecord.Hostnames {
		content := fmt.Sprintf(`A "pickwhashed({'%s'})"`, strings.Join(addresses, "','"))
		sets = append(sets, map[string]any{
			"name": hostname + ".", "type": "LUA", "ttl": 30, "changetype": "REPLACE",
			"records": []map[string]any{{"content": content, "disabled": false}},
		})
	}
	text, err := json.Marshal(map[string]any{"rrsets": sets})
	if err != nil {
		return err
	}
	_, zone, _ := strings.Cut(m.c.Spec.LuaRecord.Hostnames[0], ".")
	url := fmt.Sprintf("%s/api/v1/servers/localhost/zones/%s.", m.api.settings.powerdns, zone)
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", m.api.settings.powerdnsKey)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		why, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("PowerDNS answers %d: %s", answer.StatusCode, why)
	}
	return nil
}

func (m *move) emit(ctx context.Context) error {
	if m.api.stream == nil {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"type": "continuum-switchover", "continuum": m.name.String(), "from": m.from, "to": m.to, "at": time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	_, err = m.api.stream.Publish(ctx, subject, body, jetstream.WithMsgID("twin:"+m.id))
	return err
}

// end closes the journal, and tells both copies who is primary.
func (m *move) end(ctx context.Context, record Record) error {
	record.Last, record.Intent = record.Intent, nil
	record.Renewal++
	if err := m.write(ctx, record); err != nil {
		return err
	}
	for _, region := range []string{m.from, m.to} {
		target := &Continuum{}
		target.Namespace, target.Name = m.name.Namespace, m.name.Name
		spec := map[string]any{"primaryRegion": m.to, "hotStandbyRegions": []string{m.from}}
		if err := m.patch(ctx, region, target, map[string]any{"spec": spec}); err != nil {
			return err
		}
	}
	said := map[string]any{"status": map[string]any{
		"phase": "Healthy", "switchoverInProgress": false, "switchoverStep": nil, "primaryRegion": m.to, "leaseHolder": m.to,
	}}
	return patchStatus(ctx, m.api.reconciler.own, m.c, said)
}
