//! The rules in CEL of the definitions. A real server runs them; here each is told in Rust beside its very text, so that one
//! that is new or changed is not passed over: it is no rule that can be read.

use serde::Deserialize;
use serde_json::Value;

/// Whether a value keeps a rule; absent: it cannot be told, which a real server takes for a breach. The second is what stood
/// there before, null in a rule that does not name it.
type Keeps = fn(&Value, &Value) -> Option<bool>;

/// How a rule calls that.
const BEFORE: &str = "oldSelf";

const RULES: [(&str, Keeps); 5] = [
    ("self.renewSeconds + self.guardSeconds + 5 < self.ttlSeconds", |config, _| {
        let seconds = |key: &str| config[key].as_u64();
        Some(seconds("renewSeconds")? + seconds("guardSeconds")? + 5 < seconds("ttlSeconds")?)
    }),
    ("self.kind == oldSelf.kind", |lease, before| Some(lease.get("kind")? == before.get("kind")?)),
    ("!self.requested || has(self.targetRegion)", |switchover, _| {
        Some(!switchover["requested"].as_bool()? || switchover.get("targetRegion").is_some())
    }),
    ("!(self.primaryRegion in self.hotStandbyRegions)", |spec, _| {
        Some(!spec["hotStandbyRegions"].as_array()?.contains(spec.get("primaryRegion")?))
    }),
    (
        "!has(self.switchover) || !has(self.switchover.targetRegion) || !self.switchover.requested || \
         self.switchover.targetRegion == self.primaryRegion || self.switchover.targetRegion in self.hotStandbyRegions",
        |spec, _| {
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
    /// What is said of a value that breaks it, in the server's words. A rule about a change is asked where there was something
    /// `before`.
    pub(super) fn forbids(&self, path: &str, value: &Value, before: Option<&Value>) -> Option<String> {
        let Text { rule, message, field_path } = &self.text;
        if rule.contains(BEFORE) && before.is_none() {
            return None;
        }
        let keeps = (self.keeps)(value, before.unwrap_or(&Value::Null)) == Some(true);
        (!keeps).then(|| format!("{path}{field_path}: Invalid value: {message}"))
    }
}
