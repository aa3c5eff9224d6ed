//! What somebody did, in one line: which object, where, as whom, and what of it.

use crate::format::{Delete, Edit, Person, Step};
use serde_json::{Map, Value};

/// Who acts where a step names nobody.
pub(super) const PERSON_DEFAULT: &str = "alice";
/// So many fields of a patch are told.
const FIELDS_TOLD: usize = 2;
/// A value longer than that is told by its beginning, characters.
const VALUE_MAX: usize = 40;

/// What a step of people does: the label of its row, and the rest of it. `None`: it is no deed.
pub(super) fn told(step: &Step) -> Option<(&'static str, String)> {
    Some(match step {
        Step::Approve(person) => ("approve", by(person)),
        Step::Refuse(person) => ("refuse", by(person)),
        Step::Abort(person) => ("abort", by(person)),
        Step::Edit(edit) => ("edit", of_edit(edit)),
        Step::Delete(Delete { resource, region, .. }) => (
            "delete",
            resource.to_string() + &region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default(),
        ),
        Step::Secret(secret) => ("secret", format!("of the application's role in {}", secret.region)),
        _ => return None,
    })
}

fn by(person: &Person) -> String {
    format!("by {}", person.by.as_deref().unwrap_or(PERSON_DEFAULT))
}

fn of_edit(edit: &Edit) -> String {
    let place = edit.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
    let manager = edit.manager.as_ref().map(|manager| format!(" as {manager}")).unwrap_or_default();
    let status = if edit.status { "status of " } else { "" };
    format!("{status}{}{place}{manager}, {}", edit.resource, fields(&edit.patch))
}

/// The fields that a patch sets, as paths with their values.
fn fields(patch: &Map<String, Value>) -> String {
    let mut found = Vec::new();
    collect("", patch, &mut found);
    let more = found.len().saturating_sub(FIELDS_TOLD);
    found.truncate(FIELDS_TOLD);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found.join(", ")
}

fn collect(path: &str, patch: &Map<String, Value>, found: &mut Vec<String>) {
    for (key, value) in patch {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Object(within) if !within.is_empty() => collect(&path, within, found),
            Value::Null => found.push(format!("{path} away")),
            value => found.push(format!("{path} = {}", short(&value.to_string()))),
        }
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_is_told_by_its_first_fields() {
        let told = |patch: Value| fields(patch.as_object().expect("a map"));
        assert_eq!(told(json!({"spec": {"replica": {"primary": "shop-fsn"}}})), r#"spec.replica.primary = "shop-fsn""#);
        assert_eq!(
            told(json!({"metadata": {"annotations": {"cnpg.io/fencedInstances": null}}})),
            "metadata.annotations.cnpg.io/fencedInstances away"
        );
        let many = json!({"spec": {"a": 1, "b": {}, "c": [1], "rules": "x".repeat(60)}});
        assert_eq!(told(many), "spec.a = 1, spec.b = {}, and 2 more");
        assert_eq!(told(json!({"text": "ä".repeat(60)})), format!("text = \"{}...", "ä".repeat(39)));
    }
}
