//! Fields of an object, read as what they should be. A field that is absent or null is absent; one of another
//! type is an error that names it, and never a default: what it stands for cannot be told.

use super::name_of;
use continuum_core::name::ObjectName;
use serde_json::Value;

/// A field that is not of the type that its kind gives it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} of {object} is {found}, not {wanted}: put it right there")]
pub(crate) struct BadField {
    object: ObjectName,
    path: String,
    found: String,
    wanted: &'static str,
}

impl From<BadField> for String {
    fn from(bad: BadField) -> Self {
        bad.to_string()
    }
}

/// An object, or a part of one, to read fields of.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    root: &'a Value,
    object: ObjectName,
    /// Where in the object the root is; empty: it is the object.
    place: String,
}

impl<'a> Fields<'a> {
    /// Of this object.
    pub fn of(root: &'a Value) -> Self {
        Self { root, object: name_of(root), place: String::new() }
    }

    /// Its namespace and name.
    pub fn object(&self) -> &ObjectName {
        &self.object
    }

    /// A text; an empty one counts as absent, as in Go.
    pub fn text(&self, path: &str) -> Result<Option<&'a str>, BadField> {
        let text = self.read(path, "a text", Value::as_str)?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// The same, owned.
    pub fn string(&self, path: &str) -> Result<Option<String>, BadField> {
        Ok(self.text(path)?.map(str::to_owned))
    }

    /// True or false.
    pub fn flag(&self, path: &str) -> Result<Option<bool>, BadField> {
        self.read(path, "true or false", Value::as_bool)
    }

    /// A number from 0 to 4294967295.
    pub fn count(&self, path: &str) -> Result<Option<u32>, BadField> {
        self.read(path, "a whole number from 0 on", |value| value.as_u64().and_then(|n| u32::try_from(n).ok()))
    }

    /// A list; an absent one is empty.
    pub fn list(&self, path: &str) -> Result<&'a [Value], BadField> {
        Ok(self.read(path, "a list", Value::as_array)?.map(Vec::as_slice).unwrap_or_default())
    }

    /// The objects of a list, each to be read on.
    pub fn items(&self, path: &str) -> Result<Vec<Fields<'a>>, BadField> {
        let items = self.list(path)?.iter().enumerate().map(|(index, root)| {
            let place = format!("{path}[{index}]");
            match root {
                Value::Object(_) => Ok(Fields { root, object: self.object.clone(), place: self.place_of(&place) }),
                _ => Err(self.bad(&place, root, "an object")),
            }
        });
        items.collect()
    }

    /// The texts of a list, or, with `key`, the text under that key in each of its objects.
    pub fn texts(&self, path: &str, key: Option<&str>) -> Result<Vec<String>, BadField> {
        let texts = self.list(path)?.iter().enumerate().map(|(index, item)| {
            let (text, wanted) = match key {
                None => (item.as_str(), "a text"),
                Some(key) => (item.get(key).and_then(Value::as_str), "an object with a name"),
            };
            text.map(str::to_owned).ok_or_else(|| self.bad(&format!("{path}[{index}]"), item, wanted))
        });
        texts.collect()
    }

    /// Whether there is an object of this path.
    pub fn has_object(&self, path: &str) -> Result<bool, BadField> {
        Ok(self.read(path, "an object", Value::as_object)?.is_some())
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Result<Option<&'a str>, BadField> {
        self.entry("metadata.annotations", "annotation", name)
    }

    /// A label.
    pub fn label(&self, name: &str) -> Result<Option<&'a str>, BadField> {
        self.entry("metadata.labels", "label", name)
    }

    /// A text of a map whose keys have dots, so that they are no path.
    fn entry(&self, map: &str, what: &str, name: &str) -> Result<Option<&'a str>, BadField> {
        let entry = self.read(map, "an object", Value::as_object)?.and_then(|entries| entries.get(name));
        match entry {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.bad(&format!("{what} {name}"), other, "a text")),
        }
    }

    /// What is wrong with the field at `path`.
    pub fn bad(&self, path: &str, found: &Value, wanted: &'static str) -> BadField {
        // Long enough to be recognised, short enough for a line.
        let found: String = found.to_string().chars().take(60).collect();
        BadField { object: self.object.clone(), path: self.place_of(path), found: format!("`{found}`"), wanted }
    }

    fn place_of(&self, path: &str) -> String {
        if self.place.is_empty() { path.to_owned() } else { format!("{}.{path}", self.place) }
    }

    /// The part itself.
    pub fn value(&self) -> &'a Value {
        self.root
    }

    fn read<T>(
        &self,
        path: &str,
        wanted: &'static str,
        of: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, BadField> {
        let Some(value) = self.find(path)? else { return Ok(None) };
        of(value).map(Some).ok_or_else(|| self.bad(path, value, wanted))
    }

    /// The value at `path`, whose parts are divided by dots; `None` where it or a parent of it is absent or null.
    fn find(&self, path: &str) -> Result<Option<&'a Value>, BadField> {
        let mut value = self.root;
        let mut at = 0;
        for part in path.split('.') {
            let Some(object) = value.as_object() else {
                return Err(self.bad(&path[..at.max(1) - 1], value, "an object"));
            };
            match object.get(part) {
                None | Some(Value::Null) => return Ok(None),
                Some(found) => value = found,
            }
            at += part.len() + 1;
        }
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object() -> Value {
        json!({
            "metadata": { "namespace": "shop", "name": "shop-fsn", "annotations": { "a.b/c": "x", "n": 1 } },
            "spec": { "text": "t", "empty": "", "null": null, "flag": true, "count": 3, "list": ["a", 1], "deep": 7,
                "objects": [{}, { "name": 2 }] },
        })
    }

    #[test]
    fn fields_are_read_as_what_they_are_and_absent_where_they_are_not() {
        let object = object();
        let fields = Fields::of(&object);
        assert_eq!(fields.text("spec.text"), Ok(Some("t")));
        for absent in ["spec.empty", "spec.null", "spec.gone", "spec.gone.deeper", "status.phase"] {
            assert_eq!(fields.text(absent), Ok(None), "{absent}");
        }
        assert_eq!((fields.flag("spec.flag"), fields.count("spec.count")), (Ok(Some(true)), Ok(Some(3))));
        assert_eq!(fields.annotation("a.b/c"), Ok(Some("x")));
        assert_eq!(fields.list("spec.gone"), Ok(&[][..]));
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        let object = object();
        let fields = Fields::of(&object);
        let wrong = [
            fields.text("spec.count").err(),
            fields.count("spec.text").err(),
            fields.flag("spec.text").err(),
            fields.list("spec.deep").err(),
            fields.text("spec.deep.down").err(),
            fields.texts("spec.list", None).err(),
            fields.annotation("n").err(),
            fields.items("spec.list").err(),
            fields.items("spec.objects").unwrap()[1].text("name").err(),
        ];
        let told: Vec<String> = wrong.into_iter().map(|error| error.expect("an error").to_string()).collect();
        let about = |what: &str| format!("{what}: put it right there");
        assert_eq!(
            told,
            [
                about("spec.count of shop/shop-fsn is `3`, not a text"),
                about("spec.text of shop/shop-fsn is `\"t\"`, not a whole number from 0 on"),
                about("spec.text of shop/shop-fsn is `\"t\"`, not true or false"),
                about("spec.deep of shop/shop-fsn is `7`, not a list"),
                about("spec.deep of shop/shop-fsn is `7`, not an object"),
                about("spec.list[1] of shop/shop-fsn is `1`, not a text"),
                about("annotation n of shop/shop-fsn is `1`, not a text"),
                about("spec.list[0] of shop/shop-fsn is `\"a\"`, not an object"),
                about("spec.objects[1].name of shop/shop-fsn is `2`, not a text"),
            ]
        );
    }
}
