//! CloudNativePG's demotion token, decoded: base64 of a JSON object, as the operator writes it into
//! `status.demotionToken` (its `pkg/utils/parser.go`, `CreatePromotionToken`).
//!
//! Strict: what this cannot read to the last bit, a promotion would not be issued with. It makes no tokens.

use crate::observe::DemotionToken;
use crate::record::NotAnLsn;
use serde::Deserialize;

/// A text that is not a demotion token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not base64 of the standard alphabet, padded.
    #[error("the token is not base64")]
    NotBase64,
    /// Not the JSON that was expected.
    #[error("the token is not the expected JSON")]
    NotJson(#[source] serde_json::Error),
    /// The timeline is not a number.
    #[error("the token's latestCheckpointTimelineID is not a number")]
    Timeline(#[source] std::num::ParseIntError),
    /// The position is none.
    #[error("the token's latestCheckpointREDOLocation is not a position")]
    Redo(#[source] NotAnLsn),
    /// No system identifier.
    #[error("the token's databaseSystemIdentifier is empty")]
    NoSystem,
}

/// The object. The operator writes every value as a text, as pg_controldata prints it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(rename = "latestCheckpointTimelineID")]
    timeline: String,
    #[serde(rename = "latestCheckpointREDOLocation")]
    redo: String,
    database_system_identifier: String,
}

/// Decodes `status.demotionToken`.
pub fn decode_token(token: &str) -> Result<DemotionToken, TokenError> {
    let bytes = decode_base64(token).ok_or(TokenError::NotBase64)?;
    let content: Content = serde_json::from_slice(&bytes).map_err(TokenError::NotJson)?;
    if content.database_system_identifier.is_empty() {
        return Err(TokenError::NoSystem);
    }
    Ok(DemotionToken {
        timeline: content.timeline.parse().map_err(TokenError::Timeline)?,
        redo: content.redo.parse().map_err(TokenError::Redo)?,
        system_id: content.database_system_identifier,
    })
}

/// RFC 4648 section 4: standard alphabet, padded, no white space, and no stray bits before the padding.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|&&c| c == b'=').count();
    if padding > 2 {
        return None;
    }
    let digits = &text[..text.len() - padding];
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut bit_count) = (0u32, 0u32);
    for &digit in digits {
        bits = bits << 6 | u32::from(base64_value(digit)?);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push((bits >> bit_count) as u8);
            bits &= (1 << bit_count) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

fn base64_value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Lsn;

    /// A token that CloudNativePG 1.30.0 wrote.
    const REAL: &str = "eyJsYXRlc3RDaGVja3BvaW50VGltZWxpbmVJRCI6IjIiLCJyZWRvV2FsRmlsZSI6IjAwMDAwMDAyMDAwMDAwMDAwMDAwMDAwNyIsImRhdGFiYXNlU3lzdGVtSWRlbnRpZmllciI6Ijc3MTE3ODAyMTY4OTQwMDM2NjUiLCJsYXRlc3RDaGVja3BvaW50UkVET0xvY2F0aW9uIjoiMC83MDAwMDI4IiwidGltZU9mTGF0ZXN0Q2hlY2twb2ludCI6IlR1ZSBOb3YgMjQgMTY6NTA6MjUgMjAyNiIsIm9wZXJhdG9yVmVyc2lvbiI6IjEuMzAuMCJ9";

    #[test]
    fn a_token_of_the_real_operator_decodes() {
        let token = decode_token(REAL).unwrap();
        assert_eq!(
            token,
            DemotionToken { timeline: 2, redo: Lsn(0x700_0028), system_id: "7711780216894003665".into() }
        );
    }

    #[test]
    fn base64_of_the_rfc_decodes() {
        for (text, bytes) in [
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode_base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode_base64("+/+/").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
    }

    #[test]
    fn base64_that_is_not_canonical_is_refused() {
        for text in ["", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", " Zm9", "Zm-_", "Zm9vé"] {
            assert_eq!(decode_base64(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_token_is_refused_with_the_reason() {
        let refused = |text: &str| decode_token(text).unwrap_err();
        assert!(matches!(refused("not a token"), TokenError::NotBase64));
        assert!(matches!(refused("Zm9v"), TokenError::NotJson(_)));
        assert!(matches!(refused("e30="), TokenError::NotJson(_)));
        assert!(matches!(refused(&REAL[..REAL.len() - 4]), TokenError::NotJson(_)));
        // {"latestCheckpointTimelineID":"x","latestCheckpointREDOLocation":"0/1","databaseSystemIdentifier":"7"}
        let no_timeline = "eyJsYXRlc3RDaGVja3BvaW50VGltZWxpbmVJRCI6IngiLCJsYXRlc3RDaGVja3BvaW50UkVET0xvY2F0aW9uIjoiMC8xIiwiZGF0YWJhc2VTeXN0ZW1JZGVudGlmaWVyIjoiNyJ9";
        assert!(matches!(refused(no_timeline), TokenError::Timeline(_)));
        // {"latestCheckpointTimelineID":"2","latestCheckpointREDOLocation":"01","databaseSystemIdentifier":"7"}
        let no_redo = "eyJsYXRlc3RDaGVja3BvaW50VGltZWxpbmVJRCI6IjIiLCJsYXRlc3RDaGVja3BvaW50UkVET0xvY2F0aW9uIjoiMDEiLCJkYXRhYmFzZVN5c3RlbUlkZW50aWZpZXIiOiI3In0=";
        assert!(matches!(refused(no_redo), TokenError::Redo(_)));
    }
}
