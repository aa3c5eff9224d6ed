//! Kubeconfigs, and the clients that they give: of the own cluster, of the other regions and of the witness. What changes in
//! them later is for `reload.rs`.
//!
//! Nothing of a kubeconfig is shown, not even where it cannot be read: what stands beside a mistake may be a token.

use crate::config::{Config, Mistake, Mistakes, OtherClusters, OwnCluster, Witness};
use crate::secrets::{Contents, SecretError, Secrets};
use crate::tls;
use continuum_core::name::{ObjectName, Region};
use continuum_live::kube_transport::{Limits, tls_client};
use continuum_nats::{Credentials, Settings};
use http::Uri;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

/// How a kubeconfig of a region is named, behind the region.
const SUFFIX: &str = ".kubeconfig";
/// Key of the witness's kubeconfig in its secret.
const WITNESS_KEY: &str = "kubeconfig";

/// An API server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Of a region.
    Region(Region),
    /// Of the witness, where it stands in no region.
    Witness,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Region(region) => region.fmt(f),
            Place::Witness => f.write_str("witness"),
        }
    }
}

/// How an API server is reached.
#[derive(Clone)]
pub struct Reached {
    config: kube::Config,
    /// Everything that it was made of. What kube reads anew by itself, such as a token's file, is not among it.
    made_of: Vec<Vec<u8>>,
}

impl PartialEq for Reached {
    fn eq(&self, other: &Self) -> bool {
        self.made_of == other.made_of && self.config.root_cert == other.config.root_cert
    }
}

impl Reached {
    /// An address, and nothing else.
    #[cfg(test)]
    pub(crate) fn to(url: &str) -> Self {
        let made_of = vec![url.as_bytes().to_vec()];
        Self { config: kube::Config::new(url.parse().expect("an address")), made_of }
    }

    /// Host and port, as far as its address names them, and nothing else of it.
    pub fn host(&self) -> String {
        let url = &self.config.cluster_url;
        let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        url.host().unwrap_or_default().to_owned() + &port
    }

    /// A client of it, marked `user_agent`. Must be made within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Certificates or credentials that cannot be used.
    pub fn client(&self, place: &Place, user_agent: &'static str, limits: Limits) -> Result<kube::Client, NoClients> {
        tls_client(self.config.clone(), user_agent, limits)
            .map_err(|source| NoClients::Client { place: place.to_string(), source: Box::new(source) })
    }
}

/// What reaches every API server.
#[derive(Clone)]
pub struct Kubeconfigs {
    own: Region,
    /// How each is reached.
    pub places: BTreeMap<Place, Reached>,
    /// How the audit stream is reached. Its files are good.
    pub audit: Option<Settings>,
}

/// Why a process cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum NoClients {
    /// The configuration is wrong.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// A secret that it names is of no use.
    #[error("{name} names a secret that is of no use")]
    Secret {
        /// Variable.
        name: &'static str,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// A kubeconfig gives no client.
    #[error("the kubeconfig of {place} gives no client: look at its certificates and credentials")]
    Client {
        /// A region, or `witness`.
        place: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// More than one place has none; all in one line.
    #[error("{}", .0.iter().map(|why| crate::chain(why)).collect::<Vec<_>>().join("; "))]
    Several(Vec<NoClients>),
}

impl NoClients {
    /// Whether somebody has to change the configuration before a start can succeed.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Mistakes(_) | Self::Client { .. } => true,
            Self::Secret { .. } => false,
            Self::Several(each) => each.iter().all(Self::is_configuration),
        }
    }

    /// Absent: there is none.
    fn of(mut each: Vec<NoClients>) -> Option<Self> {
        match each.len() {
            0 | 1 => each.pop(),
            _ => Some(Self::Several(each)),
        }
    }
}

/// What of a kubeconfig is wrong, without a word of what it holds.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it is not UTF-8")]
    Text,
    #[error("it is not the YAML of a kubeconfig")]
    Yaml,
    #[error("its current context, or the cluster or user that this names, is missing")]
    Context,
    #[error("a certificate, key or file that it names cannot be read")]
    Material,
    #[error("the file of a token that it names cannot be read, or is empty")]
    Token,
    #[error("its proxy-url is none; write http://host:port or socks5://host:port")]
    Proxy,
    #[error("the address of its server is none")]
    Address,
    #[error("it cannot be used")]
    Other,
}

impl From<KubeconfigError> for Unusable {
    fn from(error: KubeconfigError) -> Self {
        use KubeconfigError as E;
        match error {
            E::Parse(_) | E::KindMismatch | E::ApiVersionMismatch => Self::Yaml,
            E::CurrentContextNotSet | E::LoadContext(_) | E::LoadClusterOfContext(_) => Self::Context,
            E::LoadCertificateAuthority(_) | E::LoadClientCertificate(_) | E::LoadClientKey(_) => Self::Material,
            E::ParseCertificates(_) | E::ReadConfig(..) => Self::Material,
            E::MissingClusterUrl | E::ParseClusterUrl(_) | E::ParseProxyUrl(_) => Self::Address,
            _ => Self::Other,
        }
    }
}

/// Reads what files hold. Secrets are read by [`Kubeconfigs::read_secrets`]: that needs a server.
///
/// # Errors
///
/// Everything that is wrong with any of the files.
pub async fn read_files(config: &Config) -> Result<Kubeconfigs, Mistakes> {
    let mut mistakes = Mistakes::default();
    let places = files(config, &mut mistakes).await;
    if let Some(audit) = &config.audit {
        look_at_files_of_audit(audit, &mut mistakes).await;
    }
    let of_records = config.records.as_ref().and_then(|records| records.scheme.authorities());
    look_at_authorities("POWERDNS_CA_FILE", of_records, &mut mistakes).await;
    let of_latency = config.latency.as_ref().and_then(|latency| latency.scheme.authorities());
    look_at_authorities("PROMETHEUS_CA_FILE", of_latency, &mut mistakes).await;
    let of_spans = config.spans.as_ref().and_then(|spans| spans.scheme.authorities());
    look_at_authorities("OTEL_EXPORTER_OTLP_CERTIFICATE", of_spans, &mut mistakes).await;
    let by_files_alone = matches!(config.others, OtherClusters::Folder(_));
    if by_files_alone && mistakes.0.is_empty() {
        mistakes.0.extend(witness_region_unknown(config, &places));
    }
    match mistakes.0.is_empty() {
        true => Ok(Kubeconfigs { own: config.region.clone(), places, audit: config.audit.clone() }),
        false => Err(mistakes),
    }
}

/// What can be read of the files, and what is wrong with the others.
pub(crate) async fn files(config: &Config, mistakes: &mut Mistakes) -> BTreeMap<Place, Reached> {
    let own = match &config.own {
        OwnCluster::File(path) => of_file("OWN_KUBECONFIG", path).await,
        OwnCluster::InCluster => kube::Config::incluster()
            .map(|config| Reached { config, made_of: Vec::new() })
            .map_err(|source| Mistake::NoPod { name: "OWN_KUBECONFIG", source: Box::new(source) }),
    };
    let mut read = vec![own.map(|own| (Place::Region(config.region.clone()), own))];
    if let OtherClusters::Folder(folder) = &config.others {
        match in_folder(config, folder) {
            Ok(regions) => {
                for (region, file) in regions {
                    let found = of_file("REGION_KUBECONFIGS_DIR", &folder.join(file)).await;
                    read.push(found.map(|found| (Place::Region(region), found)));
                }
            }
            Err(mistake) => read.push(Err(mistake)),
        }
    }
    if let Some(Witness::File(path)) = &config.witness {
        read.push(of_file("WITNESS_KUBECONFIG", path).await.map(|found| (Place::Witness, found)));
    }
    let well = read.into_iter().filter_map(|read| read.map_err(|mistake| mistakes.0.push(mistake)).ok());
    well.collect()
}

/// The client reads them itself, again and again: here it is only said what is wrong with them.
async fn look_at_files_of_audit(settings: &Settings, mistakes: &mut Mistakes) {
    let credentials = &settings.credentials;
    let file = match credentials {
        Credentials::None => None,
        Credentials::Creds(path) => Some(("NATS_CREDS_FILE", path)),
        Credentials::Token(path) => Some(("NATS_TOKEN_FILE", path)),
        Credentials::Nkey(path) => Some(("NATS_NKEY_FILE", path)),
    };
    if let Some((name, path)) = file {
        look_at(name, path, mistakes, |held| credentials.check(held)).await;
    }
    look_at_authorities("NATS_CA_FILE", settings.ca.as_deref(), mistakes).await;
}

async fn look_at_authorities(name: &'static str, path: Option<&Path>, mistakes: &mut Mistakes) {
    if let Some(path) = path {
        look_at(name, path, mistakes, |pem| tls::authorities(pem).map(drop)).await;
    }
}

/// Says what is wrong with a file that is read again and again by whoever uses it.
async fn look_at<E: Error + Send + Sync + 'static>(
    name: &'static str,
    path: &Path,
    mistakes: &mut Mistakes,
    check: impl FnOnce(&[u8]) -> Result<(), E>,
) {
    let path = path.to_owned();
    match tokio::fs::read(&path).await {
        Err(source) => mistakes.0.push(Mistake::Unreadable { name, path, source }),
        Ok(held) => {
            if let Err(source) = check(&held) {
                mistakes.0.push(Mistake::Unusable { name, path, source: Box::new(source) });
            }
        }
    }
}

/// The files of the other regions.
fn in_folder(config: &Config, folder: &Path) -> Result<BTreeMap<Region, String>, Mistake> {
    const NAME: &str = "REGION_KUBECONFIGS_DIR";
    let names = std::fs::read_dir(folder).and_then(|entries| {
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<std::io::Result<Vec<String>>>()
    });
    let mut names = names.map_err(|source| Mistake::Unreadable { name: NAME, path: folder.to_owned(), source })?;
    names.sort();
    let place = folder.display().to_string();
    let regions = regions_in(NAME, &place, &config.region, names.iter().map(String::as_str))?;
    Ok(regions.into_iter().map(|(region, file)| (region, file.to_owned())).collect())
}

/// The regions whose kubeconfigs are among these names: of files or of a secret's keys. Others are somebody else's.
fn regions_in<'a>(
    variable: &'static str,
    place: &str,
    own: &Region,
    names: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<Region, &'a str>, Mistake> {
    let wrong = |cure: String| Mistake::Wrong { name: variable, value: place.to_owned(), cure };
    let mut regions = BTreeMap::new();
    for name in names {
        let Some(region) = name.strip_suffix(SUFFIX).filter(|region| !region.starts_with('.')) else { continue };
        if !crate::config::is_label(region) {
            return Err(wrong(format!(
                "{name} is not named after a region; name it <region>{SUFFIX}, such as hel{SUFFIX}"
            )));
        }
        if region == own.as_str() {
            return Err(wrong(format!(
                "{name} is of this process's own region; take it away, and name it in OWN_KUBECONFIG if it is needed"
            )));
        }
        regions.insert(Region::new(region), name);
    }
    if regions.is_empty() {
        return Err(wrong(format!("it holds no <region>{SUFFIX}; add one for each other region")));
    }
    Ok(regions)
}

async fn of_file(name: &'static str, path: &Path) -> Result<Reached, Mistake> {
    let unreadable = |source| Mistake::Unreadable { name, path: path.to_owned(), source };
    std::fs::File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?;
    let read = async { of_kubeconfig(Kubeconfig::read_from(path)?).await };
    read.await.map_err(|source: Unusable| Mistake::Kubeconfig {
        name,
        place: path.display().to_string(),
        source: Box::new(source),
    })
}

async fn of_kubeconfig(kubeconfig: Kubeconfig) -> Result<Reached, Unusable> {
    let mut made_of = vec![serde_json::to_vec(&kubeconfig).map_err(|_| Unusable::Yaml)?];
    let context = kubeconfig.contexts.iter().find(|named| Some(&named.name) == kubeconfig.current_context.as_ref());
    let user = context.and_then(|named| named.context.as_ref()?.user.as_ref());
    let used = kubeconfig.auth_infos.iter().filter(|named| Some(&named.name) == user);
    for user in used.filter_map(|named| named.auth_info.as_ref()) {
        for file in [&user.client_certificate, &user.client_key].into_iter().flatten() {
            made_of.push(tokio::fs::read(file).await.map_err(|_| Unusable::Material)?);
        }
        // kube reads it at the first request, and again and again. A token beside it goes before it.
        if let (Some(file), None) = (&user.token_file, &user.token) {
            let token = tokio::fs::read(file).await.map_err(|_| Unusable::Token)?;
            if token.iter().all(u8::is_ascii_whitespace) {
                return Err(Unusable::Token);
            }
        }
    }
    let cluster = context.and_then(|named| named.context.as_ref()).map(|context| &context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|named| Some(&named.name) == cluster);
    let proxy = cluster.and_then(|named| named.cluster.as_ref()?.proxy_url.as_deref()).map(proxy).transpose()?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // kube takes HTTPS_PROXY of the environment too, and compares NO_PROXY with the proxy's own address in place of the server's.
    config.proxy_url = proxy.flatten();
    Ok(Reached { config, made_of })
}

/// The proxy that a kubeconfig names; an empty one is none.
fn proxy(url: &str) -> Result<Option<Uri>, Unusable> {
    if url.is_empty() {
        return Ok(None);
    }
    let uri: Uri = url.parse().map_err(|_| Unusable::Proxy)?;
    let known = ["http", "socks5"].map(Some).contains(&uri.scheme_str()) && uri.host().is_some_and(|h| !h.is_empty());
    if known { Ok(Some(uri)) } else { Err(Unusable::Proxy) }
}

async fn of_secret(
    name: &'static str,
    secret: &ObjectName,
    contents: &Contents,
    key: &str,
) -> Result<Reached, NoClients> {
    let bytes = contents.bytes(key).map_err(|source| NoClients::Secret { name, source })?;
    let read = async {
        let text = std::str::from_utf8(bytes).map_err(|_| Unusable::Text)?;
        of_kubeconfig(Kubeconfig::from_yaml(text)?).await
    };
    let unusable = |source: Unusable| {
        let place = format!("key {key} of secret {secret}");
        NoClients::from(Mistakes(vec![Mistake::Kubeconfig { name, place, source: Box::new(source) }]))
    };
    read.await.map_err(unusable)
}

/// A witness in a region that nothing reaches.
fn witness_region_unknown(config: &Config, places: &BTreeMap<Place, Reached>) -> Option<Mistake> {
    let Some(Witness::Region(region)) = &config.witness else { return None };
    if places.contains_key(&Place::Region(region.clone())) {
        return None;
    }
    let known: Vec<String> = places.keys().map(Place::to_string).collect();
    let cure = format!("there is no kubeconfig of that region; known are {}", known.join(", "));
    Some(Mistake::Wrong { name: "WITNESS_REGION", value: region.to_string(), cure })
}

/// What can be read of the secrets of the own cluster, behind `client`, and what is wrong with the others.
pub(crate) async fn secrets(
    config: &Config,
    client: &kube::Client,
    wrong: &mut Vec<NoClients>,
) -> BTreeMap<Place, Reached> {
    let secrets = Secrets::new(config.region.clone(), client.clone());
    let mut places = BTreeMap::new();
    if let OtherClusters::Secret(secret) = &config.others {
        const NAME: &str = "REGION_KUBECONFIGS_SECRET";
        let read = async {
            let contents = secrets.get(secret).await.map_err(|source| NoClients::Secret { name: NAME, source })?;
            let mut found = Vec::new();
            let regions = regions_in(NAME, &secret.to_string(), &config.region, contents.keys())
                .map_err(|mistake| Mistakes(vec![mistake]))?;
            for (region, key) in regions {
                found.push((region, of_secret(NAME, secret, &contents, key).await));
            }
            Ok(found)
        };
        match read.await {
            Ok(found) => {
                for (region, found) in found {
                    match found {
                        Ok(found) => drop(places.insert(Place::Region(region), found)),
                        Err(error) => wrong.push(error),
                    }
                }
            }
            Err(error) => wrong.push(error),
        }
    }
    if let Some(Witness::Secret(secret)) = &config.witness {
        const NAME: &str = "WITNESS_SECRET";
        let read = async {
            let contents = secrets.get(secret).await.map_err(|source| NoClients::Secret { name: NAME, source })?;
            of_secret(NAME, secret, &contents, WITNESS_KEY).await
        };
        match read.await {
            Ok(found) => drop(places.insert(Place::Witness, found)),
            Err(error) => wrong.push(error),
        }
    }
    places
}

impl Kubeconfigs {
    /// Reads what stands in secrets of the own cluster.
    ///
    /// # Errors
    ///
    /// Every secret that cannot be read, and every key that holds no kubeconfig.
    pub async fn read_secrets(&mut self, config: &Config) -> Result<(), NoClients> {
        let own = Place::Region(self.own.clone());
        let client = self.places[&own].client(&own, crate::USER_AGENT, Limits::REQUESTS)?;
        let mut wrong = Vec::new();
        self.places.extend(secrets(config, &client, &mut wrong).await);
        if wrong.is_empty() {
            wrong.extend(witness_region_unknown(config, &self.places).map(|mistake| Mistakes(vec![mistake]).into()));
        }
        NoClients::of(wrong).map_or(Ok(()), Err)
    }

    /// The namespace that this process stands in, as its account or its context says.
    pub fn own_namespace(&self) -> &str {
        &self.places[&Place::Region(self.own.clone())].config.default_namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_several_secrets_is_told_at_once() {
        let wrong = |name| NoClients::Mistakes(Mistakes(vec![Mistake::Missing { name, cure: "set it" }]));
        let both = NoClients::of(vec![wrong("REGION_KUBECONFIGS_SECRET"), wrong("WITNESS_SECRET")]).unwrap();
        let told = crate::chain(&both);
        assert!(told.contains("REGION_KUBECONFIGS_SECRET") && told.contains("WITNESS_SECRET"), "{told}");
        assert!(both.is_configuration() && NoClients::of(Vec::new()).is_none());
    }

    fn regions(names: &[&str]) -> Result<Vec<String>, String> {
        let found = regions_in("REGION_KUBECONFIGS_DIR", "/etc/regions", &Region::new("fsn"), names.iter().copied());
        found.map(|found| found.keys().map(ToString::to_string).collect()).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn each_other_region_has_a_file_of_its_name() {
        // What a mounted secret's folder holds beside its keys.
        let names = ["..data", "..2026_11_29.kubeconfig", "hel.kubeconfig", "README", "sin.kubeconfig"];
        assert_eq!(regions(&names), Ok(vec!["hel".into(), "sin".into()]));
    }

    #[test]
    fn a_folder_that_names_no_region_or_ones_own_is_refused() {
        for (names, word) in [
            (&["hel"] as &[&str], "it holds no <region>.kubeconfig"),
            (&["Hel.kubeconfig"], "not named after a region"),
            (&["fsn.kubeconfig", "hel.kubeconfig"], "own region"),
        ] {
            let text = regions(names).unwrap_err();
            assert!(text.starts_with("REGION_KUBECONFIGS_DIR=/etc/regions: ") && text.contains(word), "{text}");
        }
    }
}
