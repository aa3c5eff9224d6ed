//! Where the servers are, and how to prove who asks.

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use std::fmt;
use std::path::{Path, PathBuf};

/// Schemes of a server's URL.
const SCHEMES: [&str; 2] = ["nats", "tls"];

/// See the module. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Settings {
    /// Servers of one cluster, each tried in turn.
    pub(crate) servers: Vec<ServerAddr>,
    /// How to prove who asks.
    pub credentials: Credentials,
    /// Certificates of authorities in PEM, beside those of the system. Absent: none.
    pub ca: Option<PathBuf>,
    /// Who asks, as the server's monitoring shows it.
    pub name: String,
}

/// How to prove who asks. A file is read again before each request, and used where it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// The server asks for nothing, or the URL says it: `nats://user:password@host`.
    #[default]
    None,
    /// A `.creds` file: a JWT and the seed of its user's key.
    Creds(PathBuf),
    /// A file with a token in one line.
    Token(PathBuf),
    /// A file with the seed of a user's key, `SU...`, in one line.
    Nkey(PathBuf),
}

/// What is wrong with settings. Values are not told: they may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// There is no server.
    #[error(
        "names no server; write one or more URLs with commas between, such as nats://nats-0:4222,nats://nats-1:4222"
    )]
    Empty,
    /// This is no URL of a server.
    #[error("URL {number} is none of a NATS server: {why}; write nats://host:port, or tls://host:port")]
    Url {
        /// Which, from 1.
        number: usize,
        /// Why.
        why: String,
    },
}

/// What is wrong with what a file of credentials holds. It is not told: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongCredentials {
    /// Of a `.creds` file.
    #[error("it is no .creds file: those hold a user's JWT and the seed of its key, each between lines of dashes")]
    Creds,
    /// Of a token.
    #[error("it holds no token: write into it the one that the servers know, in one line, and nothing else")]
    Token,
    /// Of a key.
    #[error("it holds no seed of a user's key: that is one line of 58 letters and digits, which begins with SU")]
    Nkey,
}

impl Credentials {
    /// The file that holds them.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::None => None,
            Self::Creds(path) | Self::Token(path) | Self::Nkey(path) => Some(path),
        }
    }

    /// Whether this may stand in their file. Whether a server lets one in by it is not asked.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, held: &[u8]) -> Result<(), WrongCredentials> {
        // What is no UTF-8 is no more of use than an empty file.
        self.told(ConnectOptions::new(), std::str::from_utf8(held).unwrap_or_default()).map(drop)
    }

    /// Options that tell a server what their file holds.
    pub(crate) fn told(&self, options: ConnectOptions, held: &str) -> Result<ConnectOptions, WrongCredentials> {
        match self {
            Self::None => Ok(options),
            Self::Creds(_) => options.credentials(held).map_err(|_| WrongCredentials::Creds),
            Self::Token(_) => {
                let token = line(held).ok_or(WrongCredentials::Token)?;
                Ok(options.token(token.to_owned()))
            }
            Self::Nkey(_) => {
                let seed = line(held).filter(|line| is_seed(line)).ok_or(WrongCredentials::Nkey)?;
                Ok(options.nkey(seed.to_owned()))
            }
        }
    }
}

/// The only line of a text, without what an editor leaves at its end.
fn line(text: &str) -> Option<&str> {
    let line = text.trim();
    (!line.is_empty() && !line.contains(char::is_control)).then_some(line)
}

/// Whether this is the seed of a user's key, to its checksum. The library looks at a seed only once it connects, and
/// does not say what is wrong; in a `.creds` file it looks at once.
fn is_seed(line: &str) -> bool {
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\nnone\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{line}\n------END USER NKEY SEED------\n"
    );
    line.starts_with("SU") && ConnectOptions::new().credentials(&creds).is_ok()
}

impl Settings {
    /// Of a list of URLs with commas between.
    ///
    /// # Errors
    /// What is wrong with which URL.
    pub fn new(urls: &str, name: &str) -> Result<Self, SettingsError> {
        let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        let servers: Vec<ServerAddr> =
            urls.enumerate().map(|(index, url)| server(index + 1, url)).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(SettingsError::Empty);
        }
        Ok(Self { servers, credentials: Credentials::None, ca: None, name: name.to_owned() })
    }

    /// The servers, without what the URLs say of users.
    pub fn told(&self) -> String {
        let told = self.servers.iter().map(|server| format!("{}:{}", server.host(), server.port()));
        told.collect::<Vec<_>>().join(", ")
    }
}

impl Settings {
    /// User and password of the first URL that has them: the servers are one cluster, and have the same.
    pub(crate) fn user(&self) -> Option<(String, String)> {
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let server = self.servers.iter().find(|server| server.has_user_pass())?;
        Some((plain(server.username()?), plain(server.password().unwrap_or_default())))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("servers", &self.told()).field("name", &self.name).finish_non_exhaustive()
    }
}

fn server(number: usize, url: &str) -> Result<ServerAddr, SettingsError> {
    let wrong = |why: String| SettingsError::Url { number, why };
    // The library takes any word for a host. Whoever wrote one meant something else, most likely.
    let Some((scheme, _)) = url.split_once("://") else { return Err(wrong("it has no scheme".into())) };
    if !SCHEMES.contains(&scheme) {
        return Err(wrong(format!("its scheme is `{scheme}`")));
    }
    // The library's own words may repeat the URL, with its password.
    let server: ServerAddr = url.parse().map_err(|_| wrong("it cannot be read".into()))?;
    if server.host().is_empty() {
        return Err(wrong("it has no host".into()));
    }
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_more_servers_are_read_and_told_without_their_users() {
        let settings = Settings::new("nats://a:1, tls://bob:secret@b:2,nats://c", "continuum").expect("three servers");
        assert_eq!(settings.told(), "a:1, b:2, c:4222");
        assert!(!format!("{settings:?}").contains("secret"));
        assert_eq!(settings.user(), Some(("bob".into(), "secret".into())));
        let signs = Settings::new("nats://a,nats://bob:a%40b%3Ac@b", "continuum").expect("two servers");
        assert_eq!(signs.user(), Some(("bob".into(), "a@b:c".into())));
    }

    #[test]
    fn what_is_no_server_is_told_by_its_number_and_without_its_text() {
        let why = |urls: &str| Settings::new(urls, "continuum").expect_err(urls).to_string();
        assert!(why("").starts_with("names no server") && why(" , ").starts_with("names no server"));
        assert!(why("nats://a, http://b").starts_with("URL 2 is none of a NATS server: its scheme is `http`"));
        assert!(why("nats").starts_with("URL 1 is none of a NATS server: it has no scheme"));
        let secret = why("nats://bob:se cret@[:4222");
        assert!(secret.starts_with("URL 1 is none") && !secret.contains("cret"), "{secret}");
    }

    #[test]
    fn a_token_is_one_line_and_a_seed_is_one_of_a_user_with_a_right_checksum() {
        let token = |held: &[u8]| Credentials::Token("/token".into()).check(held);
        for good in [&b"hunter2"[..], b"hunter2\n", b"two words\r\n"] {
            assert_eq!(token(good), Ok(()));
        }
        for wrong in [&b""[..], b" \n", b"hunter2\nhunter3\n", b"\xff\xfe"] {
            assert_eq!(token(wrong), Err(WrongCredentials::Token));
        }
        let nkey = |held: &str| Credentials::Nkey("/seed".into()).check(held.as_bytes());
        let seed = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";
        assert_eq!((nkey(seed), nkey(&format!("{seed}\n"))), (Ok(()), Ok(())));
        for wrong in [
            "",
            // The public half; the seed of an account; one with a letter exchanged; one cut short; two of them.
            "UAMMBNV2EYR65NYZZ7IAK5SIR5ODNTTERJOBOF4KJLMWI45YOXOSWULM",
            "SAAECQZCGCO3LQDNBEFC5ERMZQ7AA4EMTE5ZXFSALXQSPN75RWRN2IOLT4",
            &seed.replace("QDPB", "QDPC"),
            &seed[..57],
            &format!("{seed}\n{seed}\n"),
        ] {
            let error = nkey(wrong).expect_err(wrong).to_string();
            assert!(error.contains("begins with SU") && (wrong.is_empty() || !error.contains(wrong)), "{error}");
        }
    }
}
