//! Definitions of the resources that others define, for the real API server.
//!
//! ```text
//! whole     as their projects release them; tools/servers build fetches them, tools/servers crds says where they are
//! reduced   the simulated server's own (sim/crds): only the fields that are read or written
//! ```

use crate::live;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const REDUCED: [(&str, &str); 3] = [
    ("clusters.postgresql.cnpg.io", include_str!("../../sim/crds/clusters.postgresql.cnpg.io.yaml")),
    ("backups.postgresql.cnpg.io", include_str!("../../sim/crds/backups.postgresql.cnpg.io.yaml")),
    ("httproutes.gateway.networking.k8s.io", include_str!("../../sim/crds/httproutes.gateway.networking.k8s.io.yaml")),
];

/// Which of them a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definitions {
    /// The whole ones, or the reduced ones where those were not fetched and the environment does not insist.
    Whole,
    /// The reduced ones: what is asked is how an API server deals with definitions, and the model has no others.
    Reduced,
}

/// Why there are no definitions.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionsError {
    /// The environment insists on the whole ones.
    #[error(
        "no definitions of CloudNativePG and the Gateway API, and CONTINUUM_LIVE=require: run `tools/servers build`"
    )]
    Required,
    /// A file that was fetched is not there.
    #[error("cannot read {}: remove its folder and run `tools/servers build`", file.display())]
    Unread {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is something else.
    #[error("{} is not a CustomResourceDefinition", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
}

impl Definitions {
    /// Those to install, with a line on stderr where they are not those that were meant.
    ///
    /// # Errors
    ///
    /// The whole ones are required and were not fetched, or a file is not what it should be.
    pub fn load(self) -> Result<Vec<CustomResourceDefinition>, DefinitionsError> {
        if self == Definitions::Reduced {
            return reduced();
        }
        match whole()? {
            Some(definitions) => Ok(definitions),
            None => {
                live::tell("instead, the API server has the reduced definitions of sim/crds");
                reduced()
            }
        }
    }
}

/// The simulated server's own.
///
/// # Errors
///
/// A file is not what it should be.
pub fn reduced() -> Result<Vec<CustomResourceDefinition>, DefinitionsError> {
    REDUCED.iter().map(|(name, text)| definition(format!("sim/crds/{name}.yaml").into(), text)).collect()
}

/// The same resources as their projects release them. `None`: they were not fetched.
///
/// # Errors
///
/// They are required and were not fetched, or a file is not what it should be.
pub fn whole() -> Result<Option<Vec<CustomResourceDefinition>>, DefinitionsError> {
    let Some(folder) = fetched() else {
        return if live::is_required() { Err(DefinitionsError::Required) } else { Ok(None) };
    };
    let read = |(name, _): &(&str, &str)| {
        let file = folder.join(format!("{name}.yaml"));
        match std::fs::read_to_string(&file) {
            Ok(text) => definition(file, &text),
            Err(source) => Err(DefinitionsError::Unread { file, source }),
        }
    };
    REDUCED.iter().map(read).collect::<Result<_, _>>().map(Some)
}

/// Where they are. `None`: nowhere, and the script has said on stderr what to run.
fn fetched() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/servers");
    let found = Command::new(script).arg("crds").stderr(Stdio::inherit()).output().ok()?;
    found.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&found.stdout).trim_end()))
}

fn definition(file: PathBuf, text: &str) -> Result<CustomResourceDefinition, DefinitionsError> {
    serde_saphyr::from_str(text).map_err(|source| DefinitionsError::Wrong { file, source: source.into() })
}
