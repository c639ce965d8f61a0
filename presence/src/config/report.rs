//! The settings on their way from layers to types: the merged tree, where each value came from, and what is wrong.

use super::{
    problem::{Problem, Sources},
    schema::{Kind, Shape},
    text::{Period, Secret},
};
use serde_json::Value;
use std::{io::Read as _, ops::RangeInclusive, path::Path};
use url::Url;

/// A secret in a file is longer than this only by mistake.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) tree: Value,
    pub(super) sources: Sources,
    pub(super) problems: Vec<Problem>,
}

impl Report {
    /// A key's value is wrong, or missing.
    pub(super) fn bad(&mut self, key: &str, why: impl Into<String>) {
        let problem = self.sources.explain(key, find(&self.tree, key), why);
        self.problems.push(problem);
    }

    /// Two ways to say one thing are both used.
    pub(super) fn both(&mut self, key: &str, other: &str) {
        self.bad(key, format!("given together with {other}; give one of them"));
    }

    pub(super) fn within(&mut self, key: &str, period: Period, range: RangeInclusive<Period>) {
        if !range.contains(&period) {
            self.bad(key, format!("not between {} and {}", range.start(), range.end()));
        }
    }

    /// The text of a file that holds a secret, without the line end that editors add.
    pub(super) fn file(&mut self, key: &str, path: Option<&Path>) -> Option<Secret> {
        let mut text = String::new();
        let read =
            std::fs::File::open(path?).and_then(|file| file.take(MAX_SECRET_BYTES).read_to_string(&mut text));
        let secret = text.trim_end_matches(['\r', '\n']);
        match read {
            Ok(_) if secret.is_empty() => self.bad(key, "the file is empty"),
            Ok(_) => return Some(Secret::new(secret)),
            Err(error) => self.bad(key, format!("the file cannot be read: {}", error.kind())),
        }
        None
    }

    /// Puts a password that stands at `{section}.password` into the URL at `{section}.url`. `none`: what to say where there
    /// is no such URL.
    pub(super) fn add_password(
        &mut self,
        section: &str,
        url: Option<&str>,
        password: &Secret,
        none: &str,
    ) -> Option<Secret> {
        let key = format!("{section}.password");
        let Some(mut url) = url.and_then(|url| Url::parse(url).ok()) else {
            self.bad(&key, none);
            return None;
        };
        if url.password().is_some() {
            self.both(&key, &format!("a password in {section}.url"));
            return None;
        }
        if url.set_password(Some(password.expose())).is_err() {
            self.bad(&format!("{section}.url"), "a URL without a host cannot hold a password");
            return None;
        }
        Some(Secret::new(String::from(url)))
    }

    /// Fills a secret from its `…_file`, where one is given.
    pub(super) fn fill(&mut self, key: &str, secret: &mut Option<Secret>, path: Option<&Path>) {
        let file_key = format!("{key}_file");
        if let Some(text) = self.file(&file_key, path)
            && secret.replace(text).is_some()
        {
            self.both(key, &file_key);
        }
    }

    /// Checks what the schema knows: that keys exist, sections are sections, numbers are numbers within their range.
    pub(super) fn audit(&mut self) {
        let Self { tree, sources, problems } = self;
        Audit { sources, problems }.value(Shape::root(), tree, "");
    }
}

struct Audit<'a> {
    sources: &'a Sources,
    problems: &'a mut Vec<Problem>,
}

impl Audit<'_> {
    fn value(&mut self, shape: Shape, value: &Value, key: &str) {
        match (shape.kind(), value) {
            (Kind::Section, Value::Object(entries)) => {
                for (name, value) in entries {
                    self.entry(shape, name, value, key);
                }
            }
            (Kind::List, Value::Array(items)) => {
                for (index, value) in items.iter().enumerate() {
                    if let Some(item) = shape.item() {
                        self.value(item, value, &format!("{key}[{index}]"));
                    }
                }
            }
            (Kind::Whole | Kind::Number, Value::Number(number)) => {
                self.number(shape, number.as_f64().unwrap_or(f64::NAN), key, value);
            }
            (Kind::Bool, Value::Bool(_)) | (Kind::Text, Value::String(_)) => {}
            (kind, _) => self.bad(key, value, expected(kind)),
        }
    }

    fn entry(&mut self, shape: Shape, name: &str, value: &Value, section: &str) {
        let key = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        match shape.child(name) {
            Some(child) => self.value(child, value, &key),
            // The environment's own unknown keys are reported where they are read.
            None => self.problems.push(self.sources.unknown(&key, value)),
        }
    }

    fn number(&mut self, shape: Shape, number: f64, key: &str, value: &Value) {
        let (min, max) = shape.range();
        if shape.kind() == Kind::Whole && number.fract() != 0.0 {
            self.bad(key, value, expected(Kind::Whole));
        } else if !(min..=max).contains(&number) {
            self.bad(key, value, &format!("not between {min} and {max}"));
        }
    }

    fn bad(&mut self, key: &str, value: &Value, why: &str) {
        let key = if key.is_empty() { "the settings" } else { key };
        self.problems.push(self.sources.explain(key, Some(value), why));
    }
}

const fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Section => "not a section with keys of its own",
        Kind::List => "not a list",
        Kind::Whole => "not a whole number",
        Kind::Number => "not a number",
        Kind::Bool => "neither true nor false",
        Kind::Text => "not text; quotes make text of a number",
    }
}

/// The value at a key such as `auth.issuers[0].leeway`.
fn find<'a>(tree: &'a Value, key: &str) -> Option<&'a Value> {
    key.split(['.', '[']).try_fold(tree, |value, step| match step.strip_suffix(']') {
        Some(index) => value.get(index.parse::<usize>().ok()?),
        None => value.get(step),
    })
}

/// Takes a value out of the tree, so that the rest can be looked at.
pub(super) fn remove(tree: &mut Value, key: &str) -> bool {
    let Some((parent, name)) = key.rsplit_once('.') else {
        return tree.as_object_mut().is_some_and(|entries| entries.remove(key).is_some());
    };
    let steps = parent.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    let pointer = steps.fold(String::new(), |pointer, step| pointer + "/" + step);
    tree.pointer_mut(&pointer)
        .and_then(Value::as_object_mut)
        .is_some_and(|entries| entries.remove(name).is_some())
}
