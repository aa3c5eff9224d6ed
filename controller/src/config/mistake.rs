//! What is wrong with the configuration.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong. Values of variables that may hold a secret are not shown.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    /// Something must be set.
    #[error("{name} is not set: {cure}")]
    Missing {
        /// Variable.
        name: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// A value is none of those that it can be.
    #[error("{name}={value}: {cure}")]
    Wrong {
        /// Variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What to do.
        cure: String,
    },
    /// A secret is of no use.
    #[error("{name}=(not shown): {cure}")]
    WrongSecret {
        /// Variable.
        name: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// Two values contradict each other.
    #[error("{first} and {second} are both set: {cure}")]
    Both {
        /// Variable.
        first: &'static str,
        /// Variable.
        second: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// A file or a folder cannot be read.
    #[error("{name}={}: it cannot be read; mend the path, or mount what it should hold", path.display())]
    Unreadable {
        /// Variable.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{name}={}: it is of no use; mend what it holds", path.display())]
    Unusable {
        /// Variable.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This process has no account of a pod.
    #[error("{name} is not set, and this process runs in no pod: name the kubeconfig file of the region's own cluster")]
    NoPod {
        /// Variable.
        name: &'static str,
        /// What is missing.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A kubeconfig is none, or of no use.
    #[error("{name}: {place} is no usable kubeconfig; try it with `kubectl --kubeconfig`")]
    Kubeconfig {
        /// Variable.
        name: &'static str,
        /// File, or secret and key.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Everything that is wrong, one a line with its causes.
#[derive(Debug, Default)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} mistake{}", if count == 1 { "" } else { "s" })?;
        for mistake in &self.0 {
            write!(f, "\n  {}", crate::chain(mistake))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
