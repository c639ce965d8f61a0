//! What is wrong with the settings: each problem names the key, its value, where that came from, and an example.
//! A secret value is never in it.

use super::{
    environment::variable,
    schema::{Kind, Shape, keys},
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, fmt::Write as _};

/// All that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Error(pub Vec<Problem>);

fn lines(problems: &[Problem]) -> String {
    let mut text = String::from("the settings cannot be used");
    for problem in problems {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {problem}");
    }
    text
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key in dots, the variable, or the file.
    pub key: String,
    /// Its value, as far as it may be shown.
    pub value: Option<String>,
    /// Where the value came from.
    pub from: From,
    pub why: String,
    /// How it could be instead.
    pub example: Option<String>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    Variable(String),
    File(String),
    Default,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        match &self.from {
            From::Variable(name) if *name != self.key => write!(f, " (from {name})")?,
            From::File(path) if *path != self.key => write!(f, " (from {path})")?,
            From::Variable(_) | From::File(_) | From::Default => {}
        }
        write!(f, ": {}", self.why)?;
        match &self.example {
            Some(example) => write!(f, "; for example {example}"),
            None => Ok(()),
        }
    }
}

/// Where each value came from: enough to explain any of them.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Key to variable.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) file: Option<String>,
}

impl Sources {
    /// Explains what is wrong with a key that exists.
    pub(super) fn explain(&self, key: &str, value: Option<&Value>, why: impl Into<String>) -> Problem {
        let shape = Shape::at(key);
        let from = self.of(key, value.is_some());
        Problem {
            value: value.or_else(|| shape?.default()).map(|value| shown(shape, value)),
            example: example(key, &from),
            key: key.to_owned(),
            from,
            why: why.into(),
        }
    }

    /// Explains a key that does not exist. What it holds may be a secret in the wrong place.
    pub(super) fn unknown(&self, key: &str, value: &Value) -> Problem {
        let from = self.of(key, true);
        let meant = nearest(key);
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        let open = !looks_secret(key)
            && !meant.as_deref().is_some_and(looks_secret)
            && !Shape::at(section).is_some_and(Shape::is_secret)
            && value.as_str().is_none_or(|text| !text.contains(['@', ':', '/']));
        let why = match &meant {
            Some(meant) => format!("there is no such key; the nearest is {meant}"),
            None => "there is no such key; `presence config-schema` describes them all".to_owned(),
        };
        Problem {
            key: key.to_owned(),
            value: Some(if open { shown(None, value) } else { "…".to_owned() }),
            why,
            example: example(meant.as_deref().unwrap_or(ANY_KEY), &from),
            from,
        }
    }

    fn of(&self, key: &str, given: bool) -> From {
        let variable = self.variables.iter().find(|(known, _)| {
            key.strip_prefix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        });
        match (variable, &self.file) {
            (Some((_, variable)), _) => From::Variable(variable.clone()),
            (None, Some(file)) if given => From::File(file.clone()),
            (None, _) => From::Default,
        }
    }
}

fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pw", "secret", "token", "key", "cred", "url", "auth"].iter().any(|word| name.contains(word))
}

/// What an example is made of where nobody knows what was meant.
const ANY_KEY: &str = "public.addr";

/// Less alike than this, and another key was meant by chance only.
const ALIKE: f64 = 0.8;

/// The key that was meant: one of the same section, or one that is written alike.
fn nearest(key: &str) -> Option<String> {
    let section = key.rsplit_once('.').map(|(section, _)| format!("{section}."));
    let inside = |known: &String| section.as_ref().is_some_and(|section| known.starts_with(section));
    let (near, far): (Vec<_>, Vec<_>) = keys().into_iter().partition(inside);
    let like = |known: &String| strsim::jaro_winkler(known, key);
    let best = |keys: Vec<String>| keys.into_iter().max_by(|a, b| like(a).total_cmp(&like(b)));
    best(near).or_else(|| best(far).filter(|known| like(known) > ALIKE))
}

/// A value longer than this is cut.
const MAX_SHOWN: usize = 120;

fn shown(shape: Option<Shape>, value: &Value) -> String {
    let hidden = shape.is_some_and(Shape::is_secret)
        && !(shape.is_some_and(Shape::is_url) && value.as_str().is_some_and(is_bare_url));
    // A section in the place of a value, or the other way round: what is in it is not known.
    let misplaced = value.is_object() || (value.is_array() && shape.is_none_or(|s| s.kind() != Kind::List));
    if hidden || misplaced {
        return "…".to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A URL, or what was meant to be one, that holds no password: none of the characters around one, nor a password alone.
fn is_bare_url(text: &str) -> bool {
    let is_word = text.bytes().all(|b| b.is_ascii_lowercase());
    let has_parts = text.contains([':', '/', '.']) && text.matches(':').count() <= 2;
    (is_word || has_parts) && !text.contains(['@', '?', '=', '%', ' '])
}

/// An accepted setting; of a section, its first key's.
fn example(key: &str, from: &From) -> Option<String> {
    let shape = Shape::at(key)?;
    if shape.kind() == Kind::Section {
        let (name, _) = shape.children().next()?;
        return example(&format!("{key}.{name}"), from);
    }
    Some(written(key, from, shape.example()?))
}

/// A key and its value as they are written in the place where the value came from.
fn written(key: &str, from: &From, value: &Value) -> String {
    let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match from {
        From::File(_) => format!("{key}: {plain}"),
        // Inside a list there is no variable to name.
        From::Variable(_) | From::Default if key.contains('[') => format!("{key}: {plain}"),
        From::Variable(_) | From::Default => {
            let list = value.as_array().filter(|items| items.iter().all(Value::is_string));
            let joined =
                list.map(|items| items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
            format!("{}={}", variable(key), joined.unwrap_or(plain))
        }
    }
}
