//! Who may ask. The platform's gateway says that a person of the owner tier asks; a token says that it is the gateway.

use super::answer::Problem;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use std::fmt;
use subtle::ConstantTimeEq;

/// Set by the platform's gateway, to exactly `true`.
const OWNER_TIER: HeaderName = HeaderName::from_static("x-catalyst-owner-tier");

/// What a call must bear. It is not shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Absent where it is empty: an empty token would be no secret.
    pub fn new(token: impl Into<String>) -> Option<Self> {
        let token = token.into();
        (!token.is_empty()).then_some(Self(token))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Lets a request in, or says no, and not which of the two was missing: that would tell a guesser how far he is.
pub(super) fn admit(headers: &HeaderMap, token: Option<&Token>) -> Result<(), Problem> {
    let mut tiers = headers.get_all(OWNER_TIER).iter();
    let is_owner = tiers.next().is_some_and(|tier| tier == "true") && tiers.next().is_none();
    let bears = token.is_none_or(|token| borne(headers).is_some_and(|borne| borne.ct_eq(token.0.as_bytes()).into()));
    if is_owner && bears {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, "credentials are missing or wrong"))
}

/// What the only `Authorization` header bears. The scheme's name has no case (RFC 9110, 11.1).
fn borne(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (only, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = only.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}
