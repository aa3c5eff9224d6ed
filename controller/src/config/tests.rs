//! Tables of values and what they come to.

use super::*;
use continuum_nats::Credentials;

/// The least that a process can begin with.
const LEAST: [(&str, &str); 3] =
    [("CATALYST_REGION", "fsn"), ("REGION_KUBECONFIGS_DIR", "/etc/regions"), ("WITNESS_KUBECONFIG", "/etc/witness")];

fn read(changed: &[(&'static str, &str)]) -> Result<Config, Vec<String>> {
    let all = LEAST.iter().chain(changed).map(|(name, value)| (*name, (*value).to_owned()));
    let unset = |(_, value): &(&str, String)| value != "(unset)";
    let kept: std::collections::BTreeMap<&'static str, String> = all.collect();
    Config::read(&Values::new(kept.into_iter().filter(unset)))
        .map_err(|mistakes| mistakes.0.iter().map(ToString::to_string).collect())
}

#[test]
fn what_is_not_set_is_as_documented() {
    let config = read(&[]).unwrap();
    assert_eq!(config.region, Region::new("fsn"));
    assert_eq!(config.api, Some(Listen { ip: None, port: 8082 }));
    assert_eq!(config.health, Some(Listen { ip: None, port: 8081 }));
    assert_eq!(config.health_delay, Duration::from_secs(30));
    assert_eq!(config.own, OwnCluster::InCluster);
    assert_eq!(config.cluster_domain, "cluster.local");
    assert_eq!(config.vantages.len(), 3);
    assert_eq!(config.logs, Logs { level: tracing::Level::INFO, format: LogFormat::Json });
    assert_eq!(config.election, Some(ElectionConfig { namespace: None }));
    assert!(config.api_token.is_none() && config.lease_namespace.is_none());
}

#[test]
fn one_that_is_alone_elects_nobody() {
    assert_eq!(read(&[("LEADER_ELECT", "false"), ("LEADER_ELECT_NS", "dr")]).unwrap().election, None);
    let election = read(&[("LEADER_ELECT_NS", "dr")]).unwrap().election;
    assert_eq!(election, Some(ElectionConfig { namespace: Some("dr".into()) }));
}

#[test]
fn latency_is_read_from_a_url_without_a_path_and_by_a_query_of_ones_own() {
    let latency = |values: &[(&'static str, &str)]| read(values).unwrap().latency;
    assert_eq!(latency(&[]), None);
    let hubble = latency(&[("PROMETHEUS_URL", "http://prometheus.monitoring")]).unwrap();
    assert_eq!((hubble.host.as_str(), hubble.port), ("prometheus.monitoring", 9090));
    assert!(hubble.query.contains("$application") && hubble.query.contains("$window"), "{}", hubble.query);
    let own = latency(&[("PROMETHEUS_URL", "http://p:80"), ("PROMETHEUS_LATENCY_QUERY", "my_median")]).unwrap();
    assert_eq!((own.port, own.query.as_str()), (80, "my_median"));
}

#[test]
fn tls_is_spoken_to_a_server_of_https_on_its_port() {
    let scheme = |values: &[(&'static str, &str)]| {
        let latency = read(values).unwrap().latency.unwrap();
        (latency.scheme, latency.port)
    };
    assert_eq!(scheme(&[("PROMETHEUS_URL", "http://p")]), (Scheme::Http, 9090));
    assert_eq!(scheme(&[("PROMETHEUS_URL", "https://p")]), (Scheme::Https(None), 443));
    let by_ca = scheme(&[("PROMETHEUS_URL", "https://p:9090"), ("PROMETHEUS_CA_FILE", "/ca.crt")]);
    assert_eq!(by_ca, (Scheme::Https(Some("/ca.crt".into())), 9090));
    let records =
        read(&[("POWERDNS_API_URL", "https://dns"), ("POWERDNS_API_KEY", "word"), ("POWERDNS_CA_FILE", "/ca.crt")]);
    assert_eq!(records.unwrap().records.unwrap().scheme, Scheme::Https(Some("/ca.crt".into())));
    let plain = read(&[("PROMETHEUS_URL", "http://p"), ("PROMETHEUS_CA_FILE", "/ca.crt")]).unwrap_err();
    assert_eq!(
        plain,
        [
            "PROMETHEUS_CA_FILE=/ca.crt: it is for a server that speaks TLS; write https:// in PROMETHEUS_URL, or leave it out"
        ]
    );
}

#[test]
fn the_server_of_the_records_is_a_url_without_a_path() {
    let url = |url: &str| read(&[("POWERDNS_API_URL", url), ("POWERDNS_API_KEY", "very-secret")]);
    for (given, host, port) in
        [("http://dns.example.org", "dns.example.org", 8081), ("http://[fd00::53]:80/", "fd00::53", 80)]
    {
        let config = url(given).unwrap();
        assert!(!format!("{config:?}").contains("very-secret"));
        let records = config.records.unwrap();
        assert_eq!((records.host.as_str(), records.port), (host, port));
        assert_eq!(records.publisher, Publisher::PowerDns(Key("very-secret".into())));
    }
    for given in ["ftp://dns", "https://dns/api/v1", "http://dns/api/v1", "http://user@dns", "dns:8081", "http://dns?a"]
    {
        let mistakes = url(given).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with("POWERDNS_API_URL="), "{mistakes:?}");
    }
}

#[test]
fn records_are_published_by_one_server_and_a_managers_token_may_be_left_out() {
    let pdm = |values: &[(&'static str, &str)]| read(values).map(|config| config.records.unwrap());
    let url = ("PDM_API_URL", "http://pdm.example.org");
    let records = pdm(&[url, ("PDM_AUTH_TOKEN", "very-secret")]).unwrap();
    assert!(!format!("{records:?}").contains("very-secret"));
    assert_eq!((records.port, records.publisher), (8080, Publisher::Pdm(Some(Key("very-secret".into())))));
    assert_eq!(pdm(&[url]).unwrap().publisher, Publisher::Pdm(None));
    let both = pdm(&[url, ("POWERDNS_API_URL", "http://dns"), ("POWERDNS_API_KEY", "word")]).unwrap_err();
    assert!(both.len() == 1 && both[0].contains("POWERDNS_API_URL is set too"), "{both:?}");
    let broken = pdm(&[url, ("PDM_AUTH_TOKEN", "word\n")]).unwrap_err();
    assert!(broken.len() == 1 && broken[0].contains("line break") && !broken[0].contains("word"), "{broken:?}");
}

#[test]
fn spans_are_sent_where_the_standard_variables_say() {
    let spans = |values: &[(&'static str, &str)]| read(values).unwrap().spans;
    assert_eq!(spans(&[]), None);
    assert_eq!(spans(&[("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_SERVICE_NAME", "dr")]), None);
    for (url, scheme, host, port, path) in [
        ("http://collector:4318", Scheme::Http, "collector", 4318, ""),
        ("http://collector/", Scheme::Http, "collector", 80, ""),
        ("https://[fd00::1]", Scheme::Https(None), "fd00::1", 443, ""),
        ("https://otlp.example.org/otlp/", Scheme::Https(None), "otlp.example.org", 443, "/otlp"),
    ] {
        let found = spans(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]).unwrap();
        assert_eq!((found.scheme, found.host.as_str(), found.port), (scheme, host, port), "{url}");
        assert_eq!((found.path.as_str(), found.service.as_str()), (path, "continuum-controller"), "{url}");
    }
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.crt"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20very-secret, x-tenant=dr,"),
        ("OTEL_SERVICE_NAME", "dr"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("very-secret"));
    let found = config.spans.unwrap();
    assert_eq!((found.scheme, found.service.as_str()), (Scheme::Https(Some("/ca.crt".into())), "dr"));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(found.headers.0, [header("authorization", "Basic very-secret"), header("x-tenant", "dr")]);
}

#[test]
fn a_collector_that_cannot_be_meant_is_refused_and_its_credentials_are_not_shown() {
    let told = |values: &[(&'static str, &str)]| {
        let mistakes = read(values).unwrap_err();
        assert!(mistakes.len() == 1 && !mistakes[0].contains("hunter2"), "{mistakes:?}");
        mistakes.into_iter().next().unwrap()
    };
    for url in
        ["collector:4318", "grpc://collector:4317", "http://c:4318/v1/traces", "http://c#a", "http://", "http:///a"]
    {
        let said = told(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]);
        assert!(said.starts_with(&format!("OTEL_EXPORTER_OTLP_ENDPOINT={url}: write http://host:port")), "{said}");
    }
    for url in ["http://user:hunter2@c", "http://c?key=hunter2"] {
        let said = told(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]);
        assert!(said.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT=(not shown): write http://host:port"), "{said}");
    }
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
    for headers in ["hunter2", "a b=hunter2", "=hunter2", "x=", "x=hunter2%0A", "x=hunter2%ff"] {
        let said = told(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", headers)]);
        assert!(said.starts_with("OTEL_EXPORTER_OTLP_HEADERS=(not shown): write name=value"), "{headers}: {said}");
    }
    let said = told(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "Content-Type=hunter2")]);
    assert!(said.starts_with("OTEL_EXPORTER_OTLP_HEADERS=(not shown): it sets a header that this process"), "{said}");
    let said = told(&[endpoint, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca")]);
    assert!(said.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE=/ca: it is for a server that speaks TLS"), "{said}");
    let both = [("OTEL_EXPORTER_OTLP_ENDPOINT", "c"), ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")];
    assert_eq!(read(&both).unwrap_err().len(), 2);
}

#[test]
fn an_empty_address_turns_its_server_off() {
    let config =
        read(&[("CONTINUUM_API_ADDR", ""), ("HEALTH_ADDR", ""), ("CONTINUUM_HEALTH_DELAY_SECONDS", "0")]).unwrap();
    assert_eq!((config.api, config.health, config.health_delay), (None, None, Duration::ZERO));
}

#[test]
fn secrets_are_named_in_the_namespace_of_secrets() {
    let config = read(&[
        ("REGION_KUBECONFIGS_DIR", ""),
        ("REGION_KUBECONFIGS_SECRET", "regions"),
        ("WITNESS_KUBECONFIG", ""),
        ("WITNESS_SECRET", "witness"),
    ])
    .unwrap();
    assert_eq!(config.others, OtherClusters::Secret(ObjectName::new("catalyst-controllers", "regions")));
    assert_eq!(config.witness, Some(Witness::Secret(ObjectName::new("catalyst-controllers", "witness"))));
}

#[test]
fn a_bucket_is_a_witness_beside_a_cluster_or_alone() {
    let bucket = ("WITNESS_BUCKET", "leases");
    let beside = read(&[bucket, ("NATS_URL", "nats://n")]).unwrap();
    assert!(beside.witness.is_some());
    assert_eq!(beside.witness_bucket.as_deref(), Some("leases"));
    let alone = read(&[bucket, ("NATS_URL", "nats://n"), ("WITNESS_KUBECONFIG", "")]).unwrap();
    assert_eq!((alone.witness, alone.witness_bucket.as_deref()), (None, Some("leases")));
    let without = read(&[bucket]).unwrap_err();
    assert!(
        without.len() == 1 && without[0].starts_with("WITNESS_BUCKET=leases: it stands on the servers of NATS_URL")
    );
    let unnamed = read(&[("WITNESS_BUCKET", "a.b"), ("NATS_URL", "nats://n")]).unwrap_err();
    assert!(
        unnamed.len() == 1 && unnamed[0].starts_with("WITNESS_BUCKET=a.b: it is no name of a bucket"),
        "{unnamed:?}"
    );
}

#[test]
fn nats_servers_know_who_asks_by_one_file_at_most() {
    let url = ("NATS_URL", "nats://n");
    let (creds, token, nkey) =
        (("NATS_CREDS_FILE", "/creds"), ("NATS_TOKEN_FILE", "/token"), ("NATS_NKEY_FILE", "/seed"));
    for (set, expected) in [
        (("NATS_CREDS_FILE", ""), Credentials::None),
        (creds, Credentials::Creds("/creds".into())),
        (token, Credentials::Token("/token".into())),
        (nkey, Credentials::Nkey("/seed".into())),
    ] {
        assert_eq!(read(&[url, set]).unwrap().audit.unwrap().credentials, expected);
    }
    let two = read(&[url, token, nkey, ("LOG_LEVEL", "loud")]).unwrap_err();
    assert_eq!(two.len(), 2, "{two:?}");
    assert!(two[0].starts_with("NATS_NKEY_FILE=/seed: NATS_TOKEN_FILE is set too; "), "{two:?}");
    let three = read(&[("NATS_URL", "http://n"), creds, token, nkey]).unwrap_err();
    let names: Vec<&str> = three.iter().map(|text| text.split('=').next().unwrap()).collect();
    assert_eq!(names, ["NATS_TOKEN_FILE", "NATS_NKEY_FILE", "NATS_URL"]);
}

#[tokio::test]
async fn what_a_file_of_nats_credentials_holds_is_looked_at_before_the_start_and_not_shown() {
    let path = std::env::temp_dir().join(format!("continuum-config-{}.credentials", std::process::id()));
    let file = path.to_str().unwrap();
    for (name, held, said) in [
        ("NATS_CREDS_FILE", "very-secret", "it is no .creds file"),
        ("NATS_TOKEN_FILE", " \n", "it holds no token"),
        ("NATS_TOKEN_FILE", "very-secret\nvery-secret\n", "it holds no token"),
        ("NATS_NKEY_FILE", "SUvery-secret", "it holds no seed of a user's key"),
    ] {
        std::fs::write(&path, held).unwrap();
        let config = read(&[("NATS_URL", "nats://n"), (name, file)]).unwrap();
        // The kubeconfigs of these values are not there either.
        let told = crate::clients::read_files(&config).await.err().unwrap().to_string();
        let line = told.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{told}"));
        assert!(line.contains(&format!("{name}={file}: it is of no use; mend what it holds")), "{line}");
        assert!(line.contains(said) && !told.contains("very-secret"), "{told}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn an_empty_region_is_refused() {
    for value in ["", "(unset)"] {
        let mistakes = read(&[("CATALYST_REGION", value)]).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with("CATALYST_REGION is not set: name the region"), "{mistakes:?}");
    }
}

/// Each alone: what it is set to, and how what is said of it begins.
#[test]
fn each_mistake_names_variable_value_and_cure() {
    for (name, value, said) in [
        ("CATALYST_REGION", "Fsn", "CATALYST_REGION=Fsn: it is no DNS label"),
        ("REGION_KUBECONFIGS_DIR", "", "REGION_KUBECONFIGS_DIR is not set: say where"),
        ("WITNESS_KUBECONFIG", "", "WITNESS_KUBECONFIG is not set: say where"),
        ("WITNESS_REGION", "hel", "WITNESS_KUBECONFIG and WITNESS_REGION are both set: a witness stands at one place"),
        ("WITNESS_SECRET", "w", "WITNESS_KUBECONFIG and WITNESS_SECRET are both set"),
        (
            "REGION_KUBECONFIGS_SECRET",
            "regions",
            "REGION_KUBECONFIGS_DIR and REGION_KUBECONFIGS_SECRET are both set: the kubeconfigs",
        ),
        ("REGION_KUBECONFIGS_SECRET", "a/b", "REGION_KUBECONFIGS_SECRET=a/b: it is no name of a secret"),
        ("CATALYST_LEASE_NS", "a.b", "CATALYST_LEASE_NS=a.b: it is no name of a namespace"),
        ("CONTINUUM_API_ADDR", "8082", "CONTINUUM_API_ADDR=8082: write a port, such as :8082"),
        ("CONTINUUM_API_ADDR", ":65536", "CONTINUUM_API_ADDR=:65536: write a port"),
        ("HEALTH_ADDR", "localhost:8081", "HEALTH_ADDR=localhost:8081: write a port"),
        ("HEALTH_ADDR", ":8082", "HEALTH_ADDR=:8082: CONTINUUM_API_ADDR listens there too; give one of them another"),
        ("HEALTH_ADDR", "127.0.0.1:8080", "METRICS_ADDR=:8080: HEALTH_ADDR listens there too"),
        ("CONTINUUM_API_TOKEN", "", "CONTINUUM_API_TOKEN=(not shown): it is set and empty"),
        ("CONTINUUM_API_TOKEN", "abc\n", "CONTINUUM_API_TOKEN=(not shown): it holds a space"),
        (
            "CONTINUUM_HEALTH_DELAY_SECONDS",
            "-1",
            "CONTINUUM_HEALTH_DELAY_SECONDS=-1: write a whole number from 0 to 3600",
        ),
        ("CONTINUUM_HEALTH_DELAY_SECONDS", "", "CONTINUUM_HEALTH_DELAY_SECONDS=: write a whole number"),
        ("METRICS_ADDR", ":8081", "METRICS_ADDR=:8081: HEALTH_ADDR listens there too"),
        ("PDM_API_URL", "http://pdm/v1", "PDM_API_URL=http://pdm/v1: write http://host:port"),
        ("PDM_CA_FILE", "/ca", "PDM_CA_FILE=/ca: it is for the server of PDM_API_URL"),
        ("POWERDNS_API_KEY", "word", "POWERDNS_API_KEY=(not shown): it is for the server of POWERDNS_API_URL"),
        ("POWERDNS_CA_FILE", "/ca", "POWERDNS_CA_FILE=/ca: it is for the server of POWERDNS_API_URL"),
        ("PROMETHEUS_CA_FILE", "/ca", "PROMETHEUS_CA_FILE=/ca: it is for the server of PROMETHEUS_URL"),
        ("POWERDNS_API_URL", "http://dns:8081", "POWERDNS_API_KEY is not set: set it to the key"),
        ("NATS_URL", "http://user:word@nats", "NATS_URL=(not shown): it is no list of NATS servers"),
        ("NATS_URL", "nats", "NATS_URL=(not shown): it is no list of NATS servers"),
        ("NATS_CREDS_FILE", "/creds", "NATS_CREDS_FILE=/creds: it is for the servers of NATS_URL"),
        ("NATS_TOKEN_FILE", "/token", "NATS_TOKEN_FILE=/token: it is for the servers of NATS_URL"),
        ("NATS_NKEY_FILE", "/seed", "NATS_NKEY_FILE=/seed: it is for the servers of NATS_URL"),
        ("NATS_CA_FILE", "/ca", "NATS_CA_FILE=/ca: it is for the servers of NATS_URL"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=word",
            "OTEL_EXPORTER_OTLP_HEADERS=(not shown): it is for the server of OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/ca",
            "OTEL_EXPORTER_OTLP_CERTIFICATE=/ca: it is for the server of OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        ("PDM_AUTH_TOKEN", "word", "PDM_AUTH_TOKEN=(not shown): it is for the server of PDM_API_URL"),
        ("LEADER_ELECT", "yes", "LEADER_ELECT=yes: write true or false"),
        ("CLUSTER_DOMAIN", "", "CLUSTER_DOMAIN=: it is no domain"),
        ("CONTINUUM_VANTAGES", "dns.example.org", "CONTINUUM_VANTAGES=dns.example.org: write addresses"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL=loud: write error, warn"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT=xml: write json or text"),
    ] {
        let mistakes = read(&[(name, value)]).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{name}={value}: {mistakes:?}");
        assert!(mistakes[0].starts_with(said), "{name}={value}: {mistakes:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mistakes = read(&[
        ("CATALYST_REGION", ""),
        ("WITNESS_KUBECONFIG", ""),
        ("CONTINUUM_API_ADDR", "x"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("NATS_URL", "http://n"),
    ])
    .unwrap_err();
    let names: Vec<&str> = mistakes.iter().map(|text| text.split([' ', '=']).next().unwrap()).collect();
    let expected =
        ["CATALYST_REGION", "WITNESS_KUBECONFIG", "CONTINUUM_API_ADDR", "NATS_URL", "LOG_LEVEL", "LOG_FORMAT"];
    assert_eq!(names, expected);
}

#[test]
fn no_secret_is_shown_by_what_is_read() {
    let config = read(&[("CONTINUUM_API_TOKEN", "hunter2"), ("NATS_URL", "nats://user:hunter2@nats")]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

/// The default and the rest of the row of each variable in docs/controller.md.
#[test]
fn every_variable_is_documented_with_its_default() {
    let text = include_str!("../../../docs/controller.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    let documented: Vec<&str> = rows
        .iter()
        .map(|row| row[0])
        .filter(|name| name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase()))
        .collect();
    assert_eq!(documented, VARIABLES.map(|variable| variable.name), "in this order, and no others");
    for variable in VARIABLES {
        let row = rows.iter().find(|row| row[0] == variable.name).unwrap();
        let default =
            if variable.name == "CATALYST_REGION" { "required" } else { variable.default.unwrap_or_default() };
        assert_eq!(row[1], default, "{}", variable.name);
    }
}
