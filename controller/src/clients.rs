//! Kubeconfigs, and the clients that they give: of the own cluster, of the other regions and of the witness. They are read
//! at the start; a process that is to use others is started anew.
//!
//! Nothing of a kubeconfig is shown, not even where it cannot be read: what stands beside a mistake may be a token.

use crate::config::{AuditConfig, Config, Mistake, Mistakes, OtherClusters, OwnCluster, Witness};
use crate::secrets::{Contents, SecretError, Secrets};
use continuum_core::name::{ObjectName, Region};
use continuum_live::assemble::KubeClients;
use continuum_live::kube_transport::{Limits, tls_client};
use continuum_nats::{Credentials, Settings};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::collections::BTreeMap;
use std::path::Path;

/// How a kubeconfig of a region is named, behind the region.
const SUFFIX: &str = ".kubeconfig";
/// Key of the witness's kubeconfig in its secret.
const WITNESS_KEY: &str = "kubeconfig";

/// What reaches every API server.
#[derive(Clone)]
pub struct Kubeconfigs {
    /// Of the own cluster.
    pub own: kube::Config,
    others: BTreeMap<Region, kube::Config>,
    witness: Option<kube::Config>,
    /// How the audit stream is reached, with what its files hold.
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
    let own = match &config.own {
        OwnCluster::File(path) => of_file("OWN_KUBECONFIG", path).await,
        OwnCluster::InCluster => kube::Config::incluster().map_err(|source| Mistake::Kubeconfig {
            name: "OWN_KUBECONFIG",
            place: "(not set): this process's pod".into(),
            source: Box::new(source),
        }),
    };
    let own = own.map_err(|mistake| mistakes.0.push(mistake)).ok();
    let mut others = BTreeMap::new();
    for source in &config.others {
        if let OtherClusters::Folder(folder) = source {
            folder_of(config, folder, &mut others, &mut mistakes).await;
        }
    }
    let mut witness = None;
    if let Witness::File(path) = &config.witness {
        match of_file("WITNESS_KUBECONFIG", path).await {
            Ok(found) => witness = Some(found),
            Err(mistake) => mistakes.0.push(mistake),
        }
    }
    let audit = match &config.audit {
        Some(audit) => Some(audit_of_files(audit, &mut mistakes).await),
        None => None,
    };
    let by_files_alone = config.others.iter().all(|source| matches!(source, OtherClusters::Folder(_)));
    if by_files_alone && mistakes.0.is_empty() {
        mistakes.0.extend(witness_region_unknown(config, &others));
    }
    match own {
        Some(own) if mistakes.0.is_empty() => Ok(Kubeconfigs { own, others, witness, audit }),
        _ => Err(mistakes),
    }
}

/// The audit stream's settings, with the credentials that a file holds.
async fn audit_of_files(config: &AuditConfig, mistakes: &mut Mistakes) -> Settings {
    let mut settings = config.settings.clone();
    if let Some(path) = &config.credentials {
        match tokio::fs::read_to_string(path).await {
            Ok(text) => settings.credentials = Credentials::File(text),
            Err(source) => {
                mistakes.0.push(Mistake::Unreadable { name: "NATS_CREDS_FILE", path: path.clone(), source });
            }
        }
    }
    // The client reads it itself, whenever it connects.
    if let Some(path) = &settings.ca
        && let Err(source) = tokio::fs::read(path).await
    {
        mistakes.0.push(Mistake::Unreadable { name: "NATS_CA_FILE", path: path.clone(), source });
    }
    settings
}

async fn folder_of(
    config: &Config,
    folder: &Path,
    others: &mut BTreeMap<Region, kube::Config>,
    mistakes: &mut Mistakes,
) {
    const NAME: &str = "REGION_KUBECONFIGS_DIR";
    let names = std::fs::read_dir(folder).and_then(|entries| {
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<std::io::Result<Vec<String>>>()
    });
    let mut names = match names {
        Ok(names) => names,
        Err(source) => {
            mistakes.0.push(Mistake::Unreadable { name: NAME, path: folder.to_owned(), source });
            return;
        }
    };
    names.sort();
    let regions =
        match regions_in(NAME, &folder.display().to_string(), &config.region, names.iter().map(String::as_str)) {
            Ok(regions) => regions,
            Err(mistake) => {
                mistakes.0.push(mistake);
                return;
            }
        };
    for (region, file) in regions {
        match of_file(NAME, &folder.join(file)).await {
            Ok(found) => drop(others.insert(region, found)),
            Err(mistake) => mistakes.0.push(mistake),
        }
    }
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

async fn of_file(name: &'static str, path: &Path) -> Result<kube::Config, Mistake> {
    let unreadable = |source| Mistake::Unreadable { name, path: path.to_owned(), source };
    std::fs::File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?;
    let read = async { of_kubeconfig(Kubeconfig::read_from(path)?).await };
    read.await.map_err(|source: Unusable| Mistake::Kubeconfig {
        name,
        place: path.display().to_string(),
        source: Box::new(source),
    })
}

async fn of_kubeconfig(kubeconfig: Kubeconfig) -> Result<kube::Config, Unusable> {
    Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

async fn of_secret(
    name: &'static str,
    secret: &ObjectName,
    contents: &Contents,
    key: &str,
) -> Result<kube::Config, NoClients> {
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
fn witness_region_unknown(config: &Config, others: &BTreeMap<Region, kube::Config>) -> Option<Mistake> {
    let Witness::Region(region) = &config.witness else { return None };
    if *region == config.region || others.contains_key(region) {
        return None;
    }
    let known: Vec<&str> = std::iter::once(&config.region).chain(others.keys()).map(Region::as_str).collect();
    let cure = format!("there is no kubeconfig of that region; known are {}", known.join(", "));
    Some(Mistake::Wrong { name: "WITNESS_REGION", value: region.to_string(), cure })
}

impl Kubeconfigs {
    /// Reads what stands in secrets of the own cluster.
    ///
    /// # Errors
    ///
    /// A secret that cannot be read, or that holds no kubeconfig.
    pub async fn read_secrets(&mut self, config: &Config) -> Result<(), NoClients> {
        let client = || client("own", &self.own, crate::USER_AGENT, Limits::REQUESTS);
        for source in &config.others {
            let OtherClusters::Secret(secret) = source else { continue };
            const NAME: &str = "REGION_KUBECONFIGS_SECRET";
            let secrets = Secrets::new(config.region.clone(), client()?);
            let contents = secrets.get(secret).await.map_err(|source| NoClients::Secret { name: NAME, source })?;
            let regions = regions_in(NAME, &secret.to_string(), &config.region, contents.keys())
                .map_err(|mistake| Mistakes(vec![mistake]))?;
            for (region, key) in regions {
                self.others.insert(region, of_secret(NAME, secret, &contents, key).await?);
            }
        }
        if let Witness::Secret(secret) = &config.witness {
            const NAME: &str = "WITNESS_SECRET";
            let secrets = Secrets::new(config.region.clone(), client()?);
            let contents = secrets.get(secret).await.map_err(|source| NoClients::Secret { name: NAME, source })?;
            self.witness = Some(of_secret(NAME, secret, &contents, WITNESS_KEY).await?);
        }
        match witness_region_unknown(config, &self.others) {
            Some(mistake) => Err(Mistakes(vec![mistake]).into()),
            None => Ok(()),
        }
    }

    /// The regions other than one's own.
    pub fn others(&self) -> impl Iterator<Item = &Region> {
        self.others.keys()
    }

    /// Clients of all, marked `user_agent`. Must be made within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Certificates or credentials that cannot be used.
    pub fn clients(&self, config: &Config, user_agent: &'static str) -> Result<KubeClients, NoClients> {
        let mut regions = BTreeMap::new();
        let own = std::iter::once((&config.region, &self.own));
        for (region, kubeconfig) in own.chain(&self.others) {
            regions.insert(region.clone(), client(region.as_str(), kubeconfig, user_agent, Limits::REQUESTS)?);
        }
        let witness = match (&config.witness, &self.witness) {
            (Witness::Region(region), _) => regions.get(region).cloned(),
            (_, Some(kubeconfig)) => Some(client("witness", kubeconfig, user_agent, Limits::REQUESTS)?),
            (_, None) => None,
        };
        Ok(KubeClients { regions, witness })
    }

    /// A client for watches of the own cluster.
    ///
    /// # Errors
    ///
    /// Certificates or credentials that cannot be used.
    pub fn watching(&self) -> Result<kube::Client, NoClients> {
        client("own", &self.own, crate::USER_AGENT, Limits::WATCHES)
    }
}

fn client(
    place: &str,
    kubeconfig: &kube::Config,
    user_agent: &'static str,
    limits: Limits,
) -> Result<kube::Client, NoClients> {
    tls_client(kubeconfig.clone(), user_agent, limits)
        .map_err(|source| NoClients::Client { place: place.to_owned(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

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
