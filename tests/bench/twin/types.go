package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds, with the fields that are read: what an informer does not decode it does not keep.

// Continuum is one application's pair under disaster-recovery control.
type Continuum struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ContinuumSpec   `json:"spec"`
	Status            ContinuumStatus `json:"status,omitempty"`
}

// ContinuumSpec is what a person asks for.
type ContinuumSpec struct {
	ApplicationRef    string      `json:"applicationRef"`
	PrimaryRegion     string      `json:"primaryRegion"`
	HotStandbyRegions []string    `json:"hotStandbyRegions"`
	LeaseClient       LeaseClient `json:"leaseClient"`
	CnpgPair          *NameRef    `json:"cnpgPair,omitempty"`
	HTTPRoute         *NameRef    `json:"httpRoute,omitempty"`
	LuaRecord         *LuaRecord  `json:"luaRecord,omitempty"`
	Regions           []Region    `json:"regions,omitempty"`
}

// LeaseClient has the timings of the lease.
type LeaseClient struct {
	Config LeaseConfig `json:"config"`
}

// LeaseConfig has the timings of the lease, s.
type LeaseConfig struct {
	TTLSeconds   int32 `json:"ttlSeconds"`
	RenewSeconds int32 `json:"renewSeconds"`
}

// NameRef names an object in the Continuum's own namespace.
type NameRef struct {
	Name string `json:"name"`
}

// LuaRecord is what clients resolve.
type LuaRecord struct {
	Hostnames []string `json:"hostnames"`
	Selector  string   `json:"selector"`
	TTL       int32    `json:"ttl"`
}

// Region is where a region is reached.
type Region struct {
	Name  string   `json:"name"`
	LBIPs []string `json:"lbIPs"`
}

// ContinuumStatus is what is observed.
type ContinuumStatus struct {
	Phase          string      `json:"phase,omitempty"`
	PrimaryRegion  string      `json:"primaryRegion,omitempty"`
	LeaseHolder    string      `json:"leaseHolder,omitempty"`
	LeaseExpiresAt string      `json:"leaseExpiresAt,omitempty"`
	Seen           *SeenStatus `json:"seen,omitempty"`
}

// SeenStatus is what this region last read from the witness.
type SeenStatus struct {
	Renewal uint64 `json:"renewal"`
	Beat    uint64 `json:"beat"`
}

// Cluster is CloudNativePG's.
type Cluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ClusterSpec   `json:"spec"`
	Status            ClusterStatus `json:"status,omitempty"`
}

// ClusterSpec has what makes the role.
type ClusterSpec struct {
	Replica *ReplicaSpec `json:"replica,omitempty"`
}

// ReplicaSpec makes the role.
type ReplicaSpec struct {
	Primary        string `json:"primary,omitempty"`
	Source         string `json:"source,omitempty"`
	PromotionToken string `json:"promotionToken,omitempty"`
}

// ClusterStatus is what the operator tells.
type ClusterStatus struct {
	Phase          string             `json:"phase,omitempty"`
	CurrentPrimary string             `json:"currentPrimary,omitempty"`
	ReadyInstances int32              `json:"readyInstances,omitempty"`
	TimelineID     int32              `json:"timelineID,omitempty"`
	DemotionToken  string             `json:"demotionToken,omitempty"`
	Conditions     []metav1.Condition `json:"conditions,omitempty"`
}

// HTTPRoute is Gateway API's.
type HTTPRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              HTTPRouteSpec `json:"spec"`
}

// HTTPRouteSpec has the rules.
type HTTPRouteSpec struct {
	Hostnames []string    `json:"hostnames,omitempty"`
	Rules     []RouteRule `json:"rules,omitempty"`
}

// RouteRule has the backends.
type RouteRule struct {
	BackendRefs []BackendRef `json:"backendRefs,omitempty"`
}

// BackendRef is a backend with its weight.
type BackendRef struct {
	Name   string `json:"name"`
	Port   int32  `json:"port,omitempty"`
	Weight *int32 `json:"weight,omitempty"`
}

// ContinuumList is a list.
type ContinuumList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Continuum `json:"items"`
}

// ClusterList is a list.
type ClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Cluster `json:"items"`
}

// HTTPRouteList is a list.
type HTTPRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HTTPRoute `json:"items"`
}

// DeepCopyObject is deep where a caller may write: reads come without a copy, so it is called for lists alone.
func (in *Continuum) DeepCopyObject() runtime.Object {
	out := *in
	out.ObjectMeta = *in.ObjectMeta.DeepCopy()
	out.Spec.HotStandbyRegions = append([]string(nil), in.Spec.HotStandbyRegions...)
	out.Spec.Regions = append([]Region(nil), in.Spec.Regions...)
	if in.Status.Seen != nil {
		seen := *in.Status.Seen
		out.Status.Seen = &seen
	}
	return &out
}

// DeepCopyObject is as for a Continuum.
func (in *Cluster) DeepCopyObject() runtime.Object {
	out := *in
	out.ObjectMeta = *in.ObjectMeta.DeepCopy()
	if in.Spec.Replica != nil {
		replica := *in.Spec.Replica
		out.Spec.Replica = &replica
	}
	out.Status.Conditions = append([]metav1.Condition(nil), in.Status.Conditions...)
	return &out
}

// DeepCopyObject is as for a Continuum.
func (in *HTTPRoute) DeepCopyObject() runtime.Object {
	out := *in
	out.ObjectMeta = *in.ObjectMeta.DeepCopy()
	out.Spec.Hostnames = append([]string(nil), in.Spec.Hostnames...)
	out.Spec.Rules = make([]RouteRule, len(in.Spec.Rules))
	for i, rule := range in.Spec.Rules {
		out.Spec.Rules[i].BackendRefs = append([]BackendRef(nil), rule.BackendRefs...)
	}
	return &out
}

func (in *ContinuumList) DeepCopyObject() runtime.Object {
	out := *in
	out.Items = append([]Continuum(nil), in.Items...)
	return &out
}

func (in *ClusterList) DeepCopyObject() runtime.Object {
	out := *in
	out.Items = append([]Cluster(nil), in.Items...)
	return &out
}

func (in *HTTPRouteList) DeepCopyObject() runtime.Object {
	out := *in
	out.Items = append([]HTTPRoute(nil), in.Items...)
	return &out
}

func addKinds(scheme *runtime.Scheme) {
	continuums := schema.GroupVersion{Group: "dr.openova.io", Version: "v1"}
	clusters := schema.GroupVersion{Group: "postgresql.cnpg.io", Version: "v1"}
	routes := schema.GroupVersion{Group: "gateway.networking.k8s.io", Version: "v1"}
	scheme.AddKnownTypes(continuums, &Continuum{}, &ContinuumList{})
	scheme.AddKnownTypes(clusters, &Cluster{}, &ClusterList{})
	scheme.AddKnownTypes(routes, &HTTPRoute{}, &HTTPRouteList{})
	for _, group := range []schema.GroupVersion{continuums, clusters, routes} {
		metav1.AddToGroupVersion(scheme, group)
	}
}
