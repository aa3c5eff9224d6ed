//! From values to the configuration. Each reader gives what it found, or notes what is wrong and goes on.

mod otlp;

use super::{
    Config, ElectionConfig, Key, LatencyConfig, Listen, LogFormat, Logs, Mistake, Mistakes, OtherClusters, OwnCluster,
    Publisher, RecordsConfig, Values, Witness,
};
use crate::https::Scheme;
use continuum_core::name::{ObjectName, Region};
use continuum_live::http_api::Token;
use continuum_live::kube_transport::USER_AGENT;
use continuum_live::prometheus::{DEFAULT_QUERY, PROMETHEUS_PORT};
use continuum_live::vantages::DNS_PORT;
use continuum_nats::{Credentials, Settings, is_bucket_name};
use http::Uri;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where PowerDNS's API listens unless it is told another place (its setting `webserver-port`).
const POWERDNS_PORT: u16 = 8081;
/// Where a manager of zones listens unless it is told another place.
const PDM_PORT: u16 = 8080;
/// Of a URL of https that names none: a server or proxy in front of it, and not its own port.
const HTTPS_PORT: u16 = 443;

/// What a file holds.
type OfFile = fn(PathBuf) -> Credentials;

/// What proves to the servers of NATS_URL who asks: one of these files.
const NATS_CREDENTIALS: [(&str, OfFile); 3] = [
    ("NATS_CREDS_FILE", Credentials::Creds),
    ("NATS_TOKEN_FILE", Credentials::Token),
    ("NATS_NKEY_FILE", Credentials::Nkey),
];

/// The greatest delay of a health check, s.
const HEALTH_DELAY_SECONDS_MAX: u32 = 3_600;

pub(super) fn read(values: &Values) -> Result<Config, Mistakes> {
    let mut reader = Reader { values, mistakes: Mistakes::default() };
    let config = reader.config();
    match config {
        Some(config) if reader.mistakes.0.is_empty() => Ok(config),
        _ => Err(reader.mistakes),
    }
}

struct Reader<'a> {
    values: &'a Values,
    mistakes: Mistakes,
}

impl Reader<'_> {
    /// `None` only where a mistake was noted. Every field is read before the first is given up on.
    fn config(&mut self) -> Option<Config> {
        let region = self.region();
        let own = match self.values.filled("OWN_KUBECONFIG") {
            Some(path) => OwnCluster::File(PathBuf::from(path)),
            None => OwnCluster::InCluster,
        };
        let others = self.others();
        let witness_bucket = self.witness_bucket();
        let witness = self.witness();
        let lease_namespace = self.namespace("CATALYST_LEASE_NS");
        let api = self.listen("CONTINUUM_API_ADDR");
        let health = self.listen("HEALTH_ADDR");
        let metrics = self.listen("METRICS_ADDR");
        let (of_api, of_health) = (("CONTINUUM_API_ADDR", api), ("HEALTH_ADDR", health));
        for (name, listen, (other, taken)) in
            [("HEALTH_ADDR", health, of_api), ("METRICS_ADDR", metrics, of_api), ("METRICS_ADDR", metrics, of_health)]
        {
            if let (Some(Some(listen)), Some(Some(taken))) = (listen, taken)
                && listen.port == taken.port
                && listen.port != 0
                && (listen.ip == taken.ip || listen.ip.is_none() || taken.ip.is_none())
            {
                self.wrong(name, format!("{other} listens there too; give one of them another port"));
            }
        }
        let api_token = self.api_token();
        let health_delay = self.health_delay();
        let election = self.election();
        let cluster_domain = self.cluster_domain();
        let audit = self.audit();
        let records = self.records();
        let latency = self.latency();
        let spans = self.spans();
        let vantages = self.vantages();
        let logs = self.logs();
        Some(Config {
            region: region?,
            own,
            others: others?,
            witness: witness?,
            witness_bucket: witness_bucket?,
            lease_namespace: lease_namespace?,
            api: api?,
            health: health?,
            metrics: metrics?,
            api_token: api_token?,
            health_delay: health_delay?,
            election: election?,
            cluster_domain: cluster_domain?,
            audit: audit?,
            records: records?,
            latency: latency?,
            spans: spans?,
            vantages: vantages?,
            logs: logs?,
        })
    }

    fn wrong(&mut self, name: &'static str, cure: impl Into<String>) {
        let (value, cure) = (self.values.value(name).to_owned(), cure.into());
        self.mistakes.0.push(Mistake::Wrong { name, value, cure });
    }

    fn region(&mut self) -> Option<Region> {
        let cure = "name the region that this process stands in, as the Continuums name it, such as hel";
        let Some(name) = self.values.filled("CATALYST_REGION") else {
            self.mistakes.0.push(Mistake::Missing { name: "CATALYST_REGION", cure });
            return None;
        };
        if is_label(name) {
            return Some(Region::new(name));
        }
        self.wrong("CATALYST_REGION", "it is no DNS label; write small letters, digits and dashes, such as hel");
        None
    }

    fn others(&mut self) -> Option<OtherClusters> {
        let (first, second) = ("REGION_KUBECONFIGS_DIR", "REGION_KUBECONFIGS_SECRET");
        let folder = self.values.filled(first).map(PathBuf::from);
        match (folder, self.secret(second)?) {
            (Some(folder), None) => Some(OtherClusters::Folder(folder)),
            (None, Some(secret)) => Some(OtherClusters::Secret(secret)),
            (Some(_), Some(_)) => {
                let cure = "the kubeconfigs of the other regions stand at one place; leave one of them out";
                self.mistakes.0.push(Mistake::Both { first, second, cure });
                None
            }
            (None, None) => {
                let cure = "say where the kubeconfigs of the other regions are: a folder here, or a secret in \
                            REGION_KUBECONFIGS_SECRET";
                self.mistakes.0.push(Mistake::Missing { name: first, cure });
                None
            }
        }
    }

    /// The inner `None`: there is none, and a bucket instead.
    fn witness(&mut self) -> Option<Option<Witness>> {
        let names = ["WITNESS_KUBECONFIG", "WITNESS_SECRET", "WITNESS_REGION"];
        let set: Vec<&'static str> = names.into_iter().filter(|name| self.values.filled(name).is_some()).collect();
        let cure = "a witness stands at one place";
        match set[..] {
            [] if self.values.filled("WITNESS_BUCKET").is_some() => Some(None),
            [] => {
                let cure = "say where the witness is: a kubeconfig file here, a secret in WITNESS_SECRET, the region whose \
                            cluster holds it in WITNESS_REGION, or a NATS bucket in WITNESS_BUCKET";
                self.mistakes.0.push(Mistake::Missing { name: "WITNESS_KUBECONFIG", cure });
                None
            }
            ["WITNESS_KUBECONFIG"] => Some(Some(Witness::File(PathBuf::from(self.values.value("WITNESS_KUBECONFIG"))))),
            ["WITNESS_SECRET"] => Some(Some(Witness::Secret(self.secret("WITNESS_SECRET")??))),
            [_] => {
                let region = self.values.value("WITNESS_REGION");
                if is_label(region) {
                    return Some(Some(Witness::Region(Region::new(region))));
                }
                self.wrong(
                    "WITNESS_REGION",
                    "it is no DNS label; name a region as the Continuums name it, such as hel",
                );
                None
            }
            [first, second, ..] => {
                self.mistakes.0.push(Mistake::Both { first, second, cure });
                None
            }
        }
    }

    /// The inner `None`: not set.
    fn witness_bucket(&mut self) -> Option<Option<String>> {
        const NAME: &str = "WITNESS_BUCKET";
        let Some(bucket) = self.values.filled(NAME) else { return Some(None) };
        if !is_bucket_name(bucket) {
            self.wrong(NAME, "it is no name of a bucket; write letters, digits, dashes and underscores");
            return None;
        }
        if self.values.filled("NATS_URL").is_none() {
            self.wrong(NAME, "it stands on the servers of NATS_URL, which is not set");
            return None;
        }
        Some(Some(bucket.to_owned()))
    }

    /// A secret by its name, in the namespace of secrets. The inner `None`: not set.
    fn secret(&mut self, name: &'static str) -> Option<Option<ObjectName>> {
        let Some(secret) = self.values.filled(name) else { return Some(None) };
        let namespace = self.values.value("WITNESS_SECRET_NS");
        if !is_label(namespace) {
            self.wrong("WITNESS_SECRET_NS", "it is no name of a namespace");
            return None;
        }
        if secret.split('.').all(is_label) {
            return Some(Some(ObjectName::new(namespace, secret)));
        }
        self.wrong(name, "it is no name of a secret; the namespace stands in WITNESS_SECRET_NS");
        None
    }

    fn namespace(&mut self, name: &'static str) -> Option<Option<String>> {
        match self.values.filled(name) {
            None => Some(None),
            Some(namespace) if is_label(namespace) => Some(Some(namespace.to_owned())),
            Some(_) => {
                self.wrong(name, "it is no name of a namespace");
                None
            }
        }
    }

    /// `:8082`, `127.0.0.1:8082`, `[::1]:8082`. The inner `None`: set, and empty.
    fn listen(&mut self, name: &'static str) -> Option<Option<Listen>> {
        let text = self.values.value(name);
        if text.is_empty() {
            return Some(None);
        }
        let on_all = text.strip_prefix(':').and_then(|port| port.parse().ok()).map(|port| Listen { ip: None, port });
        let on_one = || text.parse().ok().map(|at: SocketAddr| Listen { ip: Some(at.ip()), port: at.port() });
        let listen = on_all.or_else(on_one);
        if listen.is_none() {
            self.wrong(name, "write a port, such as :8082, an address and a port, such as 127.0.0.1:8082, or nothing");
        }
        listen.map(Some)
    }

    fn api_token(&mut self) -> Option<Option<Token>> {
        let name = "CONTINUUM_API_TOKEN";
        let cure = match self.values.set(name) {
            None => return Some(None),
            Some("") => "it is set and empty; give it a value, or do not set it",
            Some(token) if token.chars().any(|c| !c.is_ascii_graphic()) => {
                "it holds a space, a line's end or another character that no header carries; mend the secret"
            }
            Some(token) => return Some(Token::new(token)),
        };
        self.mistakes.0.push(Mistake::WrongSecret { name, cure });
        None
    }

    fn health_delay(&mut self) -> Option<Duration> {
        let name = "CONTINUUM_HEALTH_DELAY_SECONDS";
        let seconds: Option<u32> = self.values.value(name).parse().ok().filter(|s| *s <= HEALTH_DELAY_SECONDS_MAX);
        if seconds.is_none() {
            self.wrong(name, format!("write a whole number from 0 to {HEALTH_DELAY_SECONDS_MAX}"));
        }
        seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn election(&mut self) -> Option<Option<ElectionConfig>> {
        let namespace = self.namespace("LEADER_ELECT_NS");
        match self.values.value("LEADER_ELECT") {
            "false" => namespace.map(|_| None),
            "true" => namespace.map(|namespace| Some(ElectionConfig { namespace })),
            _ => {
                self.wrong("LEADER_ELECT", "write true or false");
                None
            }
        }
    }

    fn cluster_domain(&mut self) -> Option<String> {
        let domain = self.values.value("CLUSTER_DOMAIN").trim_end_matches('.');
        if domain.split('.').all(is_label) {
            return Some(domain.to_owned());
        }
        self.wrong("CLUSTER_DOMAIN", "it is no domain; write that of the cluster's Services, such as cluster.local");
        None
    }

    fn audit(&mut self) -> Option<Option<Settings>> {
        let Some(urls) = self.values.filled("NATS_URL") else {
            for name in NATS_CREDENTIALS.map(|(name, _)| name).into_iter().chain(["NATS_CA_FILE"]) {
                if self.values.filled(name).is_some() {
                    self.wrong(name, "it is for the servers of NATS_URL, which is not set");
                }
            }
            return Some(None);
        };
        let credentials = self.nats_credentials();
        let Ok(mut settings) = Settings::new(urls, USER_AGENT) else {
            let cure =
                "it is no list of NATS servers; write nats://host:port or tls://host:port, several with commas between";
            self.mistakes.0.push(Mistake::WrongSecret { name: "NATS_URL", cure });
            return None;
        };
        settings.ca = self.values.filled("NATS_CA_FILE").map(PathBuf::from);
        settings.credentials = credentials?;
        Some(Some(settings))
    }

    fn nats_credentials(&mut self) -> Option<Credentials> {
        let file = |name: &str| self.values.filled(name).map(PathBuf::from);
        let set = NATS_CREDENTIALS.map(|(name, of)| file(name).map(|path| (name, of(path))));
        let mut set = set.into_iter().flatten();
        let Some((first, credentials)) = set.next() else { return Some(Credentials::None) };
        let mut alone = true;
        for (name, _) in set {
            self.wrong(
                name,
                format!("{first} is set too; the servers know who asks by one of them, leave the other out"),
            );
            alone = false;
        }
        alone.then_some(credentials)
    }

    fn records(&mut self) -> Option<Option<RecordsConfig>> {
        let (powerdns, pdm) = (self.powerdns(), self.pdm());
        if self.values.filled("POWERDNS_API_URL").is_some() && self.values.filled("PDM_API_URL").is_some() {
            self.wrong(
                "PDM_API_URL",
                "POWERDNS_API_URL is set too; records are published by one of them, leave the other out",
            );
            return None;
        }
        Some(powerdns?.or(pdm?))
    }

    fn powerdns(&mut self) -> Option<Option<RecordsConfig>> {
        let key = self.values.filled("POWERDNS_API_KEY");
        let place = self.http_server("POWERDNS_API_URL", "POWERDNS_CA_FILE", POWERDNS_PORT);
        let is_set = self.values.filled("POWERDNS_API_URL").is_some();
        match (is_set, key) {
            (false, Some(_)) => {
                let cure = "it is for the server of POWERDNS_API_URL, which is not set";
                self.mistakes.0.push(Mistake::WrongSecret { name: "POWERDNS_API_KEY", cure });
            }
            (true, None) => self.mistakes.0.push(Mistake::Missing {
                name: "POWERDNS_API_KEY",
                cure: "set it to the key of the API of POWERDNS_API_URL (its setting api-key)",
            }),
            _ => {}
        }
        let Some(HttpPlace { scheme, host, port }) = place? else { return Some(None) };
        Some(Some(RecordsConfig { scheme, host, port, publisher: Publisher::PowerDns(Key(key?.to_owned())) }))
    }

    fn pdm(&mut self) -> Option<Option<RecordsConfig>> {
        let token = self.values.filled("PDM_AUTH_TOKEN").map(str::to_owned);
        let place = self.http_server("PDM_API_URL", "PDM_CA_FILE", PDM_PORT);
        if token.is_some() && self.values.filled("PDM_API_URL").is_none() {
            let cure = "it is for the server of PDM_API_URL, which is not set";
            self.mistakes.0.push(Mistake::WrongSecret { name: "PDM_AUTH_TOKEN", cure });
            return None;
        }
        if token.as_ref().is_some_and(|token| token.chars().any(|c| !c.is_ascii_graphic())) {
            let cure = "it holds a space or a character outside ASCII, which no header carries; look for a line break at its end";
            self.mistakes.0.push(Mistake::WrongSecret { name: "PDM_AUTH_TOKEN", cure });
            return None;
        }
        let Some(HttpPlace { scheme, host, port }) = place? else { return Some(None) };
        Some(Some(RecordsConfig { scheme, host, port, publisher: Publisher::Pdm(token.map(Key)) }))
    }

    fn latency(&mut self) -> Option<Option<LatencyConfig>> {
        let query = self.values.filled("PROMETHEUS_LATENCY_QUERY");
        let place = self.http_server("PROMETHEUS_URL", "PROMETHEUS_CA_FILE", PROMETHEUS_PORT);
        if query.is_some() && self.values.filled("PROMETHEUS_URL").is_none() {
            self.wrong("PROMETHEUS_LATENCY_QUERY", "it is for the server of PROMETHEUS_URL, which is not set");
        }
        let Some(HttpPlace { scheme, host, port }) = place? else { return Some(None) };
        Some(Some(LatencyConfig { scheme, host, port, query: query.unwrap_or(DEFAULT_QUERY).to_owned() }))
    }

    /// `http://host:port`, or `https://host:port` with its authorities in a file. The inner `None`: not set.
    fn http_server(&mut self, name: &'static str, ca_name: &'static str, port: u16) -> Option<Option<HttpPlace>> {
        let ca = self.values.filled(ca_name).map(PathBuf::from);
        let Some(url) = self.values.filled(name) else {
            if ca.is_some() {
                self.wrong(ca_name, format!("it is for the server of {name}, which is not set"));
            }
            return Some(None);
        };
        let place = url.parse().ok().and_then(|url| http_place(&url, port));
        let Some(mut place) = place else {
            let cure = "write http://host:port or https://host:port, and nothing after it; no user is told to it";
            // Where there is one, a password may be there too.
            match url.contains('@') {
                true => self.mistakes.0.push(Mistake::WrongSecret { name, cure }),
                false => self.wrong(name, cure),
            }
            return None;
        };
        match &mut place.scheme {
            Scheme::Https(of) => *of = ca,
            Scheme::Http if ca.is_some() => {
                self.wrong(
                    ca_name,
                    format!("it is for a server that speaks TLS; write https:// in {name}, or leave it out"),
                );
                return None;
            }
            Scheme::Http => {}
        }
        Some(Some(place))
    }

    fn vantages(&mut self) -> Option<Vec<SocketAddr>> {
        let text = self.values.value("CONTINUUM_VANTAGES");
        let one = |text: &str| {
            let text = text.trim();
            text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)).or_else(|_| text.parse()).ok()
        };
        let vantages: Option<Vec<SocketAddr>> =
            if text.trim().is_empty() { Some(Vec::new()) } else { text.split(',').map(one).collect() };
        if vantages.is_none() {
            self.wrong(
                "CONTINUUM_VANTAGES",
                "write addresses of resolvers with commas between, such as 8.8.8.8,[2606:4700:4700::1111]:53, or nothing",
            );
        }
        vantages
    }

    fn logs(&mut self) -> Option<Logs> {
        let level = match self.values.value("LOG_LEVEL") {
            "error" => Some(tracing::Level::ERROR),
            "warn" => Some(tracing::Level::WARN),
            "info" => Some(tracing::Level::INFO),
            "debug" => Some(tracing::Level::DEBUG),
            "trace" => Some(tracing::Level::TRACE),
            _ => None,
        };
        if level.is_none() {
            self.wrong("LOG_LEVEL", "write error, warn, info, debug or trace");
        }
        let format = match self.values.value("LOG_FORMAT") {
            "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            _ => None,
        };
        if format.is_none() {
            self.wrong("LOG_FORMAT", "write json or text");
        }
        Some(Logs { level: level?, format: format? })
    }
}

/// A DNS label (RFC 1123): a region, a namespace.
pub(crate) fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = text.chars().all(|c| plain(c) || c == '-');
    (1..=63).contains(&text.len()) && inner && text.starts_with(plain) && text.ends_with(plain)
}

/// A server of HTTP.
struct HttpPlace {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// Of a URL that names a server alone. `port`: where it listens without TLS, unless the URL says so.
fn http_place(url: &Uri, port: u16) -> Option<HttpPlace> {
    let (scheme, port) = match url.scheme_str()? {
        "http" => (Scheme::Http, port),
        "https" => (Scheme::Https(None), HTTPS_PORT),
        _ => return None,
    };
    let is_server = url.path() == "/" && url.query().is_none();
    let authority = url.authority().filter(|authority| is_server && !authority.as_str().contains('@'))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Some(HttpPlace { scheme, host: host.to_owned(), port: authority.port_u16().unwrap_or(port) })
}
