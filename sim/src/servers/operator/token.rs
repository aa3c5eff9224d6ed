//! Demotion tokens: base64 of a JSON object, with the field names that the recorded ones have.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use continuum_core::record::Lsn;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Timeline of the shutdown checkpoint, as text.
    #[serde(rename = "latestCheckpointTimelineID")]
    pub timeline: String,
    /// WAL file of the REDO location.
    pub redo_wal_file: String,
    /// System identifier.
    pub database_system_identifier: String,
    /// REDO location of the shutdown checkpoint.
    #[serde(rename = "latestCheckpointREDOLocation")]
    pub redo: Lsn,
    /// As `pg_controldata` prints it.
    pub time_of_latest_checkpoint: String,
    /// Version of the operator.
    pub operator_version: String,
}

impl Token {
    /// The token of a shutdown checkpoint.
    pub fn new(timeline: u32, redo: Lsn, system_id: &str, at: Timestamp) -> Self {
        let segment = redo.0 / (16 * 1024 * 1024);
        Self {
            timeline: timeline.to_string(),
            redo_wal_file: format!("{timeline:08X}{:08X}{:08X}", segment / 256, segment % 256),
            database_system_identifier: system_id.to_owned(),
            redo,
            time_of_latest_checkpoint: at.strftime("%a %b %e %H:%M:%S %Y").to_string(),
            operator_version: "1.30.0".into(),
        }
    }

    /// Of the same shutdown.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let what = |token: &Self| (token.timeline.clone(), token.redo, token.database_system_identifier.clone());
        what(self) == what(other)
    }

    /// As it stands in a status.
    pub fn encode(&self) -> String {
        STANDARD.encode(serde_json::to_vec(self).expect("a token is plain data"))
    }

    /// `None` where it is no token.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_token_is_written_as_it_was() {
        let recorded = "eyJsYXRlc3RDaGVja3BvaW50VGltZWxpbmVJRCI6IjIiLCJyZWRvV2FsRmlsZSI6IjAwMDAwMDAyMDAwMDAwMDAwMDAwMDAwNyIs\
            ImRhdGFiYXNlU3lzdGVtSWRlbnRpZmllciI6Ijc3MTE3ODAyMTY4OTQwMDM2NjUiLCJsYXRlc3RDaGVja3BvaW50UkVET0xvY2F0aW9uIjoi\
            MC83MDAwMDI4IiwidGltZU9mTGF0ZXN0Q2hlY2twb2ludCI6IlR1ZSBOb3YgMjQgMTY6NTA6MjUgMjAyNiIsIm9wZXJhdG9yVmVyc2lvbiI6\
            IjEuMzAuMCJ9";
        let token = Token::decode(recorded).expect("a token");
        let at = "2026-11-24T16:50:25Z".parse().expect("a time");
        assert_eq!(token, Token::new(2, "0/7000028".parse().expect("a position"), "7711780216894003665", at));
        assert_eq!(token.encode(), recorded);
    }
}
