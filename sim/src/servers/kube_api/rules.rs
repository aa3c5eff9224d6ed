//! The rules in CEL of the definitions. A real server runs them; here each is told in Rust beside its very text, so that one
//! that is new or changed is not passed over: it is no rule that can be read.

use serde::Deserialize;
use serde_json::Value;

/// Whether a value keeps a rule; absent: it cannot be told, which a real server takes for a breach.
type Keeps = fn(&Value) -> Option<bool>;

const RULES: [(&str, Keeps); 4] = [
    ("self.renewSeconds + self.guardSeconds + 5 < self.ttlSeconds", |config| {
        let seconds = |key: &str| config[key].as_u64();
        Some(seconds("renewSeconds")? + seconds("guardSeconds")? + 5 < seconds("ttlSeconds")?)
    }),
    ("!self.requested || has(self.targetRegion)", |switchover| {
        Some(!switchover["requested"].as_bool()? || switchover.get("targetRegion").is_some())
    }),
    ("!(self.primaryRegion in self.hotStandbyRegions)", |spec| {
        Some(!spec["hotStandbyRegions"].as_array()?.contains(spec.get("primaryRegion")?))
    }),
    (
        "!has(self.switchover) || !has(self.switchover.targetRegion) || !self.switchover.requested || \
         self.switchover.targetRegion == self.primaryRegion || self.switchover.targetRegion in self.hotStandbyRegions",
        |spec| {
            let Some(switchover) = spec.get("switchover") else { return Some(true) };
            let Some(target) = switchover.get("targetRegion") else { return Some(true) };
            let known = target == &spec["primaryRegion"] || spec["hotStandbyRegions"].as_array()?.contains(target);
            Some(!switchover["requested"].as_bool()? || known)
        },
    ),
];

/// A rule over one value, which it calls `self`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Text")]
pub(super) struct Rule {
    keeps: Keeps,
    text: Text,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    rule: String,
    message: String,
    /// Of what within the value it is said: `.ttlSeconds`.
    #[serde(default)]
    field_path: String,
}

impl TryFrom<Text> for Rule {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, Self::Error> {
        match RULES.iter().find(|(rule, _)| *rule == text.rule) {
            Some((_, keeps)) => Ok(Self { keeps: *keeps, text }),
            None => Err(format!("the model does not know the rule `{}`: tell it what it says", text.rule)),
        }
    }
}

impl Rule {
    /// What is said of a value that breaks it, in the server's words.
    pub(super) fn forbids(&self, path: &str, value: &Value) -> Option<String> {
        let Text { message, field_path, .. } = &self.text;
        let keeps = (self.keeps)(value) == Some(true);
        (!keeps).then(|| format!("{path}{field_path}: Invalid value: {message}"))
    }
}
