//! Label selectors (equality and set-based) and the field selector `metadata.name`.

use super::Refusal;
use serde_json::Value;

/// What a list or a watch is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    names: Vec<Name>,
}

/// A requirement on `metadata.name`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    name: String,
    wanted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// From the query's `labelSelector` and `fieldSelector`.
    pub(super) fn parse(labels: &str, fields: &str) -> Result<Self, Refusal> {
        let names = split_terms(fields).into_iter().map(name_requirement).collect::<Result<_, _>>()?;
        let labels = split_terms(labels).into_iter().map(requirement).collect::<Result<_, _>>()?;
        Ok(Selector { labels, names })
    }

    /// Whether an object is selected.
    pub(super) fn selects(&self, object: &Value) -> bool {
        let fits = |required: &Name| (object["metadata"]["name"] == required.name.as_str()) == required.wanted;
        self.names.iter().all(fits)
            && self.labels.iter().all(|requirement| requirement.holds(&object["metadata"]["labels"]))
    }
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::NotIn(key, values) => label(key).is_none_or(|value| values.iter().all(|v| v != value)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        }
    }
}

/// Splits at the commas that are not in parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn name_requirement(term: &str) -> Result<Name, Refusal> {
    let (field, name, wanted) = match (term.split_once("!="), term.split_once('=')) {
        (Some((field, name)), _) => (field, name, false),
        (None, Some((field, name))) => (field, name.trim_start_matches('='), true),
        (None, None) => return Err(Refusal::bad_request(format!("invalid selector: {term:?}"))),
    };
    if field != "metadata.name" {
        return Err(Refusal::bad_request(format!("field label not supported: {field}")));
    }
    Ok(Name { name: name.to_string(), wanted })
}

fn requirement(term: &str) -> Result<Requirement, Refusal> {
    let refuse = || Refusal::bad_request(format!("unable to parse requirement: {term}"));
    let key = |text: &str| {
        let key = text.trim();
        let plain = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || "()=!,".contains(c));
        plain.then(|| key.to_string()).ok_or_else(refuse)
    };
    if let Some(head) = term.strip_suffix(')') {
        let (head, values) = head.split_once('(').ok_or_else(refuse)?;
        let values = values.split(',').map(|value| value.trim().to_string()).collect();
        return match head.trim().rsplit_once(char::is_whitespace) {
            Some((name, "in")) => Ok(Requirement::In(key(name)?, values)),
            Some((name, "notin")) => Ok(Requirement::NotIn(key(name)?, values)),
            _ => Err(refuse()),
        };
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key(name)?, vec![value.trim().to_string()]));
    }
    if let Some((name, value)) = term.split_once('=') {
        return Ok(Requirement::In(key(name)?, vec![value.trim_start_matches('=').trim().to_string()]));
    }
    match term.strip_prefix('!') {
        Some(name) => Ok(Requirement::Absent(key(name)?)),
        None => Ok(Requirement::Exists(key(term)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_label_selector_selects_by_equality_by_set_and_by_presence() {
        let object = json!({"metadata": {"name": "shop-fsn", "labels": {"pair": "shop", "role": "primary"}}});
        for (selector, selected) in [
            ("", true),
            ("pair=shop", true),
            ("pair==shop,role=primary", true),
            ("pair=other", false),
            ("pair!=other", true),
            ("absent!=other", true),
            ("role in (primary, replica)", true),
            ("role in (replica),pair=shop", false),
            ("role notin (replica)", true),
            ("pair", true),
            ("!pair", false),
            ("!absent", true),
        ] {
            assert_eq!(Selector::parse(selector, "").unwrap().selects(&object), selected, "{selector}");
        }
    }

    #[test]
    fn a_field_selector_knows_the_name_only() {
        let object = json!({"metadata": {"name": "shop-fsn"}});
        assert!(Selector::parse("", "metadata.name=shop-fsn").unwrap().selects(&object));
        assert!(!Selector::parse("", "metadata.name=shop-hel").unwrap().selects(&object));
        assert!(!Selector::parse("", "metadata.name!=shop-fsn").unwrap().selects(&object));
        assert_eq!(Selector::parse("", "spec.x=1").unwrap_err().code, 400);
    }

    #[test]
    fn a_selector_that_is_none_is_refused() {
        for wrong in ["a b", "in (x)", "a in x)", "=x"] {
            assert_eq!(Selector::parse(wrong, "").unwrap_err().code, 400, "{wrong}");
        }
    }
}
