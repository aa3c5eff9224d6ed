//! Values that are wrong are refused, each by its name and with its cure.

use crate::ci;
use continuum_tests::chart::Helm;

#[test]
fn values_that_are_wrong_are_refused_by_name() {
    let Some(helm) = Helm::find() else { return };
    let cases: [(&str, &str); 64] = [
        ("continuum.image.tag=", "continuum.image.tag is empty: name the tag"),
        ("continuum.image.tga=1", "'/continuum/image': additional properties 'tga'"),
        ("continum.image.tag=1", "additional properties 'continum'"),
        ("continuum.image.pullPolicy=Sometimes", "'/continuum/image/pullPolicy'"),
        ("continuum.region=", "continuum.region is empty: name the region"),
        ("continuum.region=FSN", "'/continuum/region'"),
        ("continuum.regionKubeconfigsSecret=", "continuum.regionKubeconfigsSecret is empty: name the secret"),
        (
            "continuum.witnessRegion=",
            "continuum.witnessSecret, continuum.witnessRegion and continuum.witnessBucket are empty",
        ),
        ("continuum.witnessSecret=witness", "continuum.witnessSecret and continuum.witnessRegion are both set"),
        ("continuum.witnessBucket=a.b", "'/continuum/witnessBucket'"),
        (
            "continuum.witnessBucket=leases,continuum.natsURL=,continuum.natsURLSecretRef=null",
            "continuum.natsURL is empty, and continuum.witnessBucket stands on its servers",
        ),
        ("witnessCluster.enabled=false", "witnessCluster.enabled is false: set it to true"),
        ("otherCluster.enabled=false", "otherCluster.enabled is false: set it to true"),
        ("witnessCluster.leases=null", "'/witnessCluster'"),
        ("continuum.api.port=80820", "'/continuum/api/port'"),
        ("continuum.api.port=8081", "continuum.api.port, continuum.health.port, continuum.metrics.port: two of them"),
        ("continuum.api.tokenSecretRef.key=", "'/continuum/api/tokenSecretRef'"),
        ("continuum.health.port=", "'/continuum/health/port'"),
        ("continuum.health.postSwitchoverDelaySeconds=3601", "'/continuum/health/postSwitchoverDelaySeconds'"),
        (
            "continuum.leaderElection.enabled=false",
            "continuum.replicas is 2: without continuum.leaderElection.enabled run",
        ),
        ("continuum.powerdns.apiURL=ftp://dns", "'/continuum/powerdns/apiURL'"),
        ("continuum.latency.prometheusURL=https://p/prometheus", "'/continuum/latency/prometheusURL'"),
        (
            "continuum.powerdns.caSecretRef.name=pdns,continuum.powerdns.caSecretRef.key=ca.crt",
            "continuum.powerdns.caSecretRef is for a server that speaks TLS: write https:// in continuum.powerdns.apiURL",
        ),
        (
            "continuum.latency.caSecretRef.name=p,continuum.latency.caSecretRef.key=ca.crt",
            "continuum.latency.caSecretRef is for a server that speaks TLS: write https:// in continuum.latency",
        ),
        (
            "continuum.vantages={8.8.8.8,[2606:4700:4700::1111]:5300}",
            "networkPolicy.dnsPorts lacks 5300, the port of [2606:4700:4700::1111]:5300 of continuum.vantages",
        ),
        ("networkPolicy.dnsPorts=null", "'/networkPolicy': missing property 'dnsPorts'"),
        ("continuum.latency.query=up", "continuum.latency.prometheusURL is empty, and there is a query for it"),
        ("continuum.tracing.otlpEndpoint=grpc://collector:4317", "'/continuum/tracing/otlpEndpoint'"),
        ("continuum.tracing.otlpEndpoint=http://a:b@collector:4318", "'/continuum/tracing/otlpEndpoint'"),
        (
            "continuum.tracing.otlpEndpoint=http://collector:4318/v1/traces/",
            "continuum.tracing.otlpEndpoint ends in /v1/traces, which is added to it",
        ),
        (
            "continuum.tracing.otlpEndpoint=http://collector:4319/otlp",
            "networkPolicy.egressPorts lacks 4319, the port of continuum.tracing.otlpEndpoint",
        ),
        (
            "continuum.tracing.caSecretRef.name=c,continuum.tracing.caSecretRef.key=ca.crt",
            "continuum.tracing.caSecretRef is for a server that speaks TLS: write https:// in continuum.tracing",
        ),
        (
            "continuum.tracing.headersSecretRef.name=c,continuum.tracing.headersSecretRef.key=headers",
            "continuum.tracing.otlpEndpoint is empty, and there are headers for it",
        ),
        ("continuum.powerdns.apiURL=http://dns:65536", "'/continuum/powerdns/apiURL'"),
        (
            "continuum.powerdns.apiURL=http://dns:9191",
            "networkPolicy.egressPorts lacks 9191, the port of continuum.powerdns",
        ),
        (
            "networkPolicy.egressPorts={443}",
            "networkPolicy.egressPorts lacks 8081, the port of continuum.powerdns.apiURL",
        ),
        ("continuum.powerdns.apiURL=", "continuum.powerdns.apiURL is empty, and there is a key for it"),
        ("continuum.powerdns.apiKeySecretRef=null", "continuum.powerdns.apiKeySecretRef is null: name the secret"),
        ("continuum.pdmURL=http://pdm", "continuum.powerdns.apiURL and continuum.pdmURL are both set"),
        ("continuum.pdmURL=http://pdm/v1", "'/continuum/pdmURL'"),
        ("continuum.pdmTokenSecretRef.name=pdm,continuum.pdmTokenSecretRef.key=token", "there is a token for it"),
        ("continuum.natsURL=nats://nats:4222", "continuum.natsURL and continuum.natsURLSecretRef are both set"),
        ("continuum.natsURL=nats", "'/continuum/natsURL'"),
        ("continuum.natsURL=nats://nats:70000", "'/continuum/natsURL'"),
        (
            "continuum.natsURLSecretRef=null,continuum.natsURL=nats://a\\,tls://b:4333",
            "networkPolicy.egressPorts lacks 4333, the port of URL 2 of continuum.natsURL",
        ),
        ("continuum.clusterDomain=Cluster.local", "'/continuum/clusterDomain'"),
        ("continuum.natsURLSecretRef=null", "continuum.natsURL is empty, and there are credentials"),
        (
            "continuum.natsCredsSecretRef.name=n,continuum.natsCredsSecretRef.key=c,\
             continuum.natsTokenSecretRef.name=n,continuum.natsTokenSecretRef.key=t",
            "continuum.natsCredsSecretRef, continuum.natsTokenSecretRef: more than one is set",
        ),
        (
            "continuum.natsTokenSecretRef.name=n,continuum.natsTokenSecretRef.key=t,\
             continuum.natsNkeySecretRef.name=n,continuum.natsNkeySecretRef.key=s",
            "continuum.natsTokenSecretRef, continuum.natsNkeySecretRef: more than one is set",
        ),
        (
            "continuum.natsURLSecretRef=null,continuum.natsCASecretRef=null,\
             continuum.natsNkeySecretRef.name=n,continuum.natsNkeySecretRef.key=s",
            "continuum.natsURL is empty, and there are credentials",
        ),
        ("continuum.vantages={dns.example.org}", "'/continuum/vantages/0'"),
        ("continuum.vantages={8.8.8.8:99999}", "'/continuum/vantages/0'"),
        ("continuum.vantages={8.8.8.256}", "'/continuum/vantages/0'"),
        ("continuum.env.LOG_LEVEL=debug", "continuum.env.LOG_LEVEL: the chart sets this variable"),
        ("continuum.env.PDM_API_URL=http://pdm", "continuum.env.PDM_API_URL: this is said by a value of the chart"),
        (
            "witnessCluster.leases={*},continuum.leaseNamespace=",
            "witnessCluster.leases is for all Leases of the release's own",
        ),
        ("continuum.terminationGracePeriodSeconds=15", "'/continuum/terminationGracePeriodSeconds'"),
        ("rbac.applications=null", "rbac.applications is empty: name the objects"),
        (
            "rbac.applications[1].namespace=books",
            "rbac.applications has an entry of namespace books that names no objects",
        ),
        ("rbac.applications[0].secrets={*}", "'/rbac/applications/0/secrets/0'"),
        (
            "dashboard.enabled=true,continuum.metrics.enabled=false",
            "dashboard.enabled is true: there is nothing to show",
        ),
        (
            "serviceMonitor.enabled=true,continuum.metrics.enabled=false",
            "serviceMonitor.enabled is true: there is nothing to scrape",
        ),
        (
            "prometheusRule.enabled=true,continuum.metrics.enabled=false",
            "prometheusRule.enabled is true: there is nothing",
        ),
        ("prometheusRule.lagSeconds=0", "'/prometheusRule/lagSeconds'"),
    ];
    for (set, said) in cases {
        let refusal = helm.template(&ci("fsn"), &["--set", set]).expect_err(set);
        assert!(refusal.contains(said), "{set}\n{refusal}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let Some(helm) = Helm::find() else { return };
    let refusal = helm.template("{}", &[]).expect_err("nothing is set");
    let (_, mistakes) = refusal.split_once("the values have mistakes:\n").expect(&refusal);
    insta::assert_snapshot!("nothing-is-set", mistakes.split("\n\n").next().unwrap_or_default());
}

#[test]
fn two_entries_of_one_namespace_are_refused() {
    let Some(helm) = Helm::find() else { return };
    let sets = ["--set", "rbac.applications[0].namespace=shop", "--set", "rbac.applications[1].namespace=shop"];
    let refusal = helm.template(&ci("fsn"), &sets).expect_err("twice");
    assert!(refusal.contains("rbac.applications has two entries of namespace shop: make one of them"), "{refusal}");
}

#[test]
fn what_a_parent_chart_hands_down_is_no_mistake() {
    let Some(helm) = Helm::find() else { return };
    assert!(helm.template(&ci("fsn"), &["--set", "global.anything.of=others"]).is_ok());
}

/// What the process takes as well.
#[test]
fn addresses_that_are_good_are_taken() {
    let Some(helm) = Helm::find() else { return };
    for set in [
        "continuum.natsURLSecretRef=null,continuum.natsURL=nats://bob:word@nats-0:4222\\, tls://[fd00::4]",
        "continuum.powerdns.apiURL=http://[fd00::53]:8081/",
        "continuum.vantages={8.8.8.8,10.0.0.53:5353,fd00::53,[fd00::53]:5353,::1},networkPolicy.dnsPorts={53,5353}",
        "continuum.clusterDomain=k8s.example.org.",
        "continuum.replicas=0",
        "continuum.tracing.otlpEndpoint=https://otlp.example.org/otlp",
        "continuum.tracing.otlpEndpoint=http://[fd00::1]:4318/",
        "networkPolicy.enabled=false,networkPolicy.egressPorts={443}",
    ] {
        helm.template(&ci("fsn"), &["--set", set]).unwrap_or_else(|refusal| panic!("{set}\n{refusal}"));
    }
}

#[test]
fn what_is_left_out_and_costs_something_is_told_after_the_installation() {
    let Some(helm) = Helm::find() else { return };
    let notes_of = |cluster: &str, set: &str| {
        let output = helm.run("install", &ci(cluster), &["--dry-run=client", "--set", set]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("helm writes UTF-8");
        text.split_once("NOTES:").expect("notes").1.to_owned()
    };
    let notes = |set: &str| notes_of("fsn", set);
    assert!(!notes("continuum.replicas=1").contains("WARNING"));
    for (set, said) in [
        (
            "continuum.natsURLSecretRef=null,continuum.natsCASecretRef=null",
            "natsURLSecretRef are not set: no switchover",
        ),
        (
            "continuum.powerdns.apiURL=,continuum.powerdns.apiKeySecretRef=null",
            "continuum.pdmURL are not set: no switchover",
        ),
        ("continuum.api.tokenSecretRef=null", "api.tokenSecretRef is not set: whoever reaches the HTTP API"),
        ("continuum.replicas=0", "replicas is 0: nothing of this region is driven"),
    ] {
        let notes = notes(set);
        assert!(notes.matches("WARNING: continuum.").count() == 1 && notes.contains(said), "{set}\n{notes}");
    }
    // Where it differs between regions, each has a record of its own.
    for cluster in ["fsn", "hel", "third-place"] {
        let notes = notes_of(cluster, "continuum.leaseNamespace=leases");
        let said = "The witness's Leases are in namespace leases of";
        assert_eq!(notes.matches(said).count(), 1, "{cluster}\n{notes}");
        assert!(notes.contains("be the same in every region"), "{cluster}\n{notes}");
    }
    let bucket = "continuum.witnessBucket=leases,continuum.witnessRegion=,witnessCluster.enabled=false";
    assert!(!notes(bucket).contains("Leases"));
}

/// docs/install.md says so: whoever gates on lint alone gates on nothing.
#[test]
fn lint_passes_what_template_refuses() {
    let Some(helm) = Helm::find() else { return };
    let wrong = ["--set", "continuum.region="];
    assert!(helm.template(&ci("fsn"), &wrong).is_err());
    let output = helm.run("lint", &ci("fsn"), &wrong);
    assert!(
        output.status.success(),
        "say in docs/install.md that lint tells: {}",
        String::from_utf8_lossy(&output.stdout)
    );
}
