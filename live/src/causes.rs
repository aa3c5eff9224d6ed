//! An error with its causes, and what is not told of them: what a kubeconfig's credential command printed, which may be a
//! credential.

use kube::client::AuthError;
use std::error::Error;

/// An error with its causes, in one line; where a credential command is among them, what is told of that alone.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = || std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string);
    command_failed(error).unwrap_or_else(|| causes().collect::<Vec<_>>().join(": "))
}

/// The words for an error with a credential command among its causes. Absent: there is none, and the error may speak for
/// itself.
pub(crate) fn command_failed(error: &(dyn Error + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.find_map(|cause| match cause.downcast_ref::<AuthError>()? {
        AuthError::AuthExecRun { cmd, out } => Some(format!(
            "the credential command `{cmd}` ended with {}; run it by hand to see what it says",
            out.status
        )),
        AuthError::AuthExecParse(_) => {
            Some("what the credential command answered is no ExecCredential; run it by hand to see it".to_owned())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[derive(Debug, thiserror::Error)]
    #[error("no answer")]
    struct Outer(#[source] kube::Error);

    #[test]
    fn what_the_command_printed_is_told_nowhere() {
        let out = Command::new("sh").args(["-c", "echo a-secret; exit 3"]).output().expect("there is a shell");
        let auth = AuthError::AuthExecRun { cmd: "give-token".into(), out: Box::new(out) };
        assert!(
            auth.to_string().contains("a-secret") || format!("{auth:?}").contains("97, 45"),
            "the library tells it"
        );
        let outer = Outer(kube::Error::Auth(auth));
        let told = command_failed(&outer).expect("it is among the causes");
        assert_eq!(chain(&outer), told);
        assert_eq!(
            told,
            "the credential command `give-token` ended with exit status: 3; run it by hand to see what it says"
        );
        assert_eq!(command_failed(&std::io::Error::other("another")), None);
    }
}
