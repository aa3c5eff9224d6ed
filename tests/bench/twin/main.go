// The twin: the duties of continuum-controller as one would write them with controller-runtime, to be measured beside it.
// It decides nothing that keeps data safe, and is no product.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

type settings struct {
	region, other               string
	ownFile, otherFile, witness string
	leaseNamespace              string
	metrics, health, api        string
	powerdns, powerdnsKey, nats string
}

func main() {
	var s settings
	flag.StringVar(&s.region, "region", "", "the region that this process stands in")
	flag.StringVar(&s.other, "other", "", "the other region")
	flag.StringVar(&s.ownFile, "own", "", "kubeconfig of the region's own cluster")
	flag.StringVar(&s.otherFile, "away", "", "kubeconfig of the other region's cluster")
	flag.StringVar(&s.witness, "witness", "", "kubeconfig of the cluster with the Leases")
	flag.StringVar(&s.leaseNamespace, "lease-namespace", "leases", "namespace of the Leases")
	flag.StringVar(&s.metrics, "metrics", ":8080", "where /metrics listens")
	flag.StringVar(&s.health, "health", ":8081", "where /healthz and /readyz listen")
	flag.StringVar(&s.api, "api", ":8082", "where a switchover is ordered")
	flag.StringVar(&s.powerdns, "powerdns", "", "API of PowerDNS, http://host:port")
	flag.StringVar(&s.powerdnsKey, "powerdns-key", "", "its key")
	flag.StringVar(&s.nats, "nats", "", "nats-server with the audit stream")
	flag.Parse()
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "twin:", err)
		os.Exit(1)
	}
}

func load(file string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, err
	}
	config.UserAgent = "twin"
	// No limit of its own: the server's priority and fairness is what counts.
	config.QPS = -1
	return config, nil
}

func run(s settings) error {
	ctrl.SetLogger(zap.New())
	ctx := ctrl.SetupSignalHandler()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	addKinds(scheme)
	own, err := load(s.ownFile)
	if err != nil {
		return err
	}
	other, err := load(s.otherFile)
	if err != nil {
		return err
	}
	witness, err := load(s.witness)
	if err != nil {
		return err
	}
	// What nobody reads is not kept, and what is read is not copied.
	caches := cache.Options{
		DefaultTransform:             cache.TransformStripManagedFields(),
		DefaultUnsafeDisableDeepCopy: ptr.To(true),
	}
	mgr, err := ctrl.NewManager(own, manager.Options{
		Scheme:                 scheme,
		Cache:                  caches,
		Metrics:                metricsserver.Options{BindAddress: s.metrics},
		HealthProbeBindAddress: s.health,
		LeaderElection:         false,
	})
	if err != nil {
		return err
	}
	away, err := cluster.New(other, func(o *cluster.Options) {
		o.Scheme = scheme
		o.Cache = caches
	})
	if err != nil {
		return err
	}
	if err := mgr.Add(away); err != nil {
		return err
	}
	leases, err := client.New(witness, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	reconciler := &Reconciler{
		region:  s.region,
		other:   s.other,
		own:     mgr.GetClient(),
		away:    away.GetClient(),
		witness: &Witness{client: leases, namespace: s.leaseNamespace, region: s.region},
	}
	if err := reconciler.Setup(ctx, mgr, away); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("readyz", func(*http.Request) error {
		if !mgr.GetCache().WaitForCacheSync(ctx) || !away.GetCache().WaitForCacheSync(ctx) {
			return fmt.Errorf("the caches are not whole")
		}
		return nil
	}); err != nil {
		return err
	}
	api, err := newAPI(s, reconciler)
	if err != nil {
		return err
	}
	if err := mgr.Add(api); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
