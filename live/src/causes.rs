//! An error with its causes, and what is not told of them: a kubeconfig's credential command, whose variables may be
//! credentials, and what it printed, which may be one.

use kube::client::AuthError;
use std::error::Error;

/// An error with its causes, in one line; where a credential command is among them, what is told of that alone. A cause
/// that the error before it has told already, as those of some libraries do, is not told again.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    command_failed(error).unwrap_or_else(|| {
        let causes = std::iter::successors(error.source(), |error| (*error).source());
        causes.map(ToString::to_string).fold(error.to_string(), |told, cause| match told.ends_with(&cause) {
            true => told,
            false => format!("{told}: {cause}"),
        })
    })
}

/// The words for an error with a credential command among its causes. Absent: there is none, and the error may speak for
/// itself.
pub(crate) fn command_failed(error: &(dyn Error + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.find_map(|cause| match cause.downcast_ref::<AuthError>()? {
        // The library tells the command with all variables that the kubeconfig gives it.
        AuthError::AuthExecRun { out, .. } => Some(format!(
            "the kubeconfig's credential command ended with {}; run it by hand to see what it says",
            out.status
        )),
        AuthError::AuthExecParse(_) => Some(
            "what the kubeconfig's credential command answered is no ExecCredential; run it by hand to see it"
                .to_owned(),
        ),
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

    #[derive(Debug, thiserror::Error)]
    #[error("not read: {0}")]
    struct Telling(#[source] std::io::Error);

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        assert_eq!(chain(&Telling(std::io::Error::other("no such file"))), "not read: no such file");
        assert_eq!(chain(&Outer(kube::Error::LinesCodecMaxLineLengthExceeded)).matches("no answer: ").count(), 1);
    }

    #[test]
    fn what_the_command_printed_is_told_nowhere() {
        let out = Command::new("sh").args(["-c", "echo a-secret; exit 3"]).output().expect("there is a shell");
        let mut command = Command::new("give-token");
        command.env("SEED", "a-secret");
        let auth = AuthError::AuthExecRun { cmd: format!("{command:?}"), out: Box::new(out) };
        assert!(
            auth.to_string().contains("a-secret") || format!("{auth:?}").contains("97, 45"),
            "the library tells it"
        );
        let outer = Outer(kube::Error::Auth(auth));
        let told = command_failed(&outer).expect("it is among the causes");
        assert_eq!(chain(&outer), told);
        assert_eq!(
            told,
            "the kubeconfig's credential command ended with exit status: 3; run it by hand to see what it says"
        );
        assert_eq!(command_failed(&std::io::Error::other("another")), None);
    }
}
