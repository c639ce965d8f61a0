//! The shape of the settings, read back from their JSON schema: which keys exist, what a value must be, what an
//! example looks like, what is secret. The one description serves the document, the checks and the errors.

use super::Config;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::sync::OnceLock;

/// The JSON schema of a settings file.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut document = settings.into_generator().into_root_schema_for::<Config>().to_value();
        document["title"] = "Settings of presence".into();
        document["description"] = "Each key is also an environment variable: PRESENCE_, and the key in upper case with \
            `__` for each dot (store.url is PRESENCE_STORE__URL). The environment wins over the file, the file over \
            the defaults."
            .into();
        document
    })
}

/// What kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Section,
    List,
    Whole,
    Number,
    Bool,
    Text,
}

/// The part of the schema that describes one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape(&'static Value);

impl Shape {
    pub(super) fn root() -> Self {
        Self(document())
    }

    /// The shape at a key such as `auth.issuers[0].leeway`.
    pub(super) fn at(key: &str) -> Option<Self> {
        key.split('.').try_fold(Self::root(), |shape, step| {
            let (name, index) =
                step.split_once('[').map_or((step, None), |(name, index)| (name, Some(index)));
            let child = shape.child(name)?;
            if index.is_some() { child.item() } else { Some(child) }
        })
    }

    pub(super) fn child(self, name: &str) -> Option<Self> {
        self.0["properties"].get(name).map(Self)
    }

    pub(super) fn item(self) -> Option<Self> {
        self.0.get("items").map(Self)
    }

    pub(super) fn children(self) -> impl Iterator<Item = (&'static str, Self)> {
        let properties = self.0["properties"].as_object();
        properties.into_iter().flatten().map(|(name, child)| (name.as_str(), Self(child)))
    }

    pub(super) fn kind(self) -> Kind {
        let named = match &self.0["type"] {
            Value::Array(types) => types.iter().find(|name| *name != "null").and_then(Value::as_str),
            other => other.as_str(),
        };
        match named {
            Some("object") => Kind::Section,
            Some("array") => Kind::List,
            Some("integer") => Kind::Whole,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Bool,
            _ => Kind::Text,
        }
    }

    /// Whether a value, or a part of it, is not to be shown.
    pub(super) fn is_secret(self) -> bool {
        self.0["writeOnly"] == true
            || self.children().any(|(_, child)| child.is_secret())
            || self.item().is_some_and(Self::is_secret)
    }

    /// Whether it is secret only for the password that a URL may hold.
    pub(super) fn is_url(self) -> bool {
        self.0["format"] == "uri"
    }

    /// The numbers between which a number lies.
    pub(super) fn range(self) -> (f64, f64) {
        let bound = |name: &str, absent| self.0[name].as_f64().unwrap_or(absent);
        (bound("minimum", f64::MIN), bound("maximum", f64::MAX))
    }

    pub(super) fn default(self) -> Option<&'static Value> {
        self.0.get("default").filter(|value| !value.is_null())
    }

    /// A value that would be accepted.
    pub(super) fn example(self) -> Option<&'static Value> {
        self.0["examples"].get(0).or_else(|| self.default())
    }
}

/// Every key that takes a value, such as `store.url`.
pub(super) fn keys() -> Vec<String> {
    let mut found = Vec::new();
    collect(Shape::root(), "", &mut found);
    found
}

fn collect(shape: Shape, prefix: &str, found: &mut Vec<String>) {
    for (name, child) in shape.children() {
        let key = format!("{prefix}{name}");
        if child.kind() == Kind::Section {
            collect(child, &format!("{key}."), found);
        } else {
            found.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_says_what_it_is_for_and_has_an_example() {
        for key in keys() {
            let shape = Shape::at(&key).unwrap();
            assert!(shape.0["description"].as_str().is_some_and(|text| text.len() > 10), "{key}");
            assert!(shape.example().is_some_and(|example| *example != "" && *example != "…"), "{key}");
        }
    }

    #[test]
    fn passwords_tokens_and_urls_that_may_hold_one_are_secret() {
        let secret: Vec<_> =
            keys().into_iter().filter(|key| Shape::at(key).is_some_and(Shape::is_secret)).collect();
        assert_eq!(
            secret,
            [
                "analytics.token",
                "bus.password",
                "bus.token",
                "bus.url",
                "internal.accepted_secret",
                "internal.secret",
                "redis.password",
                "redis.url",
                "store.password",
                "store.url",
            ]
        );
    }
}
