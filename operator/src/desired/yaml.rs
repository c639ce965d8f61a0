//! YAML, always the same bytes from the same value: keys sorted, text quoted as in JSON unless it is a plain word. What is
//! hashed into a revision is written by nothing else, so that no newer library makes it another one.

use std::fmt::Write as _;

use serde_json::Value;

/// A document, without `---`.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text.trim_start_matches('\n').to_owned() + "\n"
}

/// Writes a value after its key or dash: a scalar on that line, anything else below it.
fn write(to: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in entries {
                line(to, depth, &word(key));
                to.push(':');
                write(to, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => items.iter().for_each(|item| item_of(to, item, depth)),
        Value::String(text) if is_block(text) => block(to, text, depth),
        Value::String(text) => {
            let _ = write!(to, " {}", word(text));
        }
        // JSON's other scalars, `{}` and `[]` are YAML's.
        scalar => {
            let _ = write!(to, " {scalar}");
        }
    }
}

/// `- ` and the item, whose first key stands on the line of the dash.
fn item_of(to: &mut String, item: &Value, depth: usize) {
    line(to, depth, "-");
    let is_nested = match item {
        Value::Object(entries) => !entries.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if !is_nested {
        return write(to, item, depth + 1);
    }
    let mut below = String::new();
    write(&mut below, item, depth + 1);
    to.push(' ');
    to.push_str(below.trim_start());
}

fn line(to: &mut String, depth: usize, text: &str) {
    to.push('\n');
    to.extend(std::iter::repeat_n("  ", depth));
    to.push_str(text);
}

/// Text of several whole lines is shown as such.
fn is_block(text: &str) -> bool {
    // The first line tells a reader how deep the text is indented.
    let is_telling = |line: &str| !line.is_empty() && !line.starts_with(' ');
    text.ends_with('\n')
        && !text.ends_with("\n\n")
        && text.lines().next().is_some_and(is_telling)
        && is_printable(text)
}

fn is_printable(text: &str) -> bool {
    text.chars()
        .all(|c| c == '\n' || c.is_ascii_graphic() || c == ' ' || (!c.is_ascii() && c.is_alphanumeric()))
}

fn block(to: &mut String, text: &str, depth: usize) {
    to.push_str(" |");
    for text in text.lines() {
        if text.is_empty() { to.push('\n') } else { line(to, depth, text) }
    }
}

/// As it is where no reader of YAML, old or new, could take it for anything but text.
fn word(text: &str) -> String {
    const OTHERS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && !OTHERS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_reads_like_one() {
        let value = json!({
            "b": {"on": true, "e": {}, "m": null},
            "a": [1, "x: y", [], [["deep"]], {"k": "v", "j": [{"z": 0.5}]}],
            "c": "first\n  second\n\nlast\n",
        });
        let text = "a:\n  - 1\n  - \"x: y\"\n  - []\n  - - - deep\n  - j:\n      - z: 0.5\n    k: v\n\
                    b:\n  e: {}\n  m: null\n  \"on\": true\nc: |\n  first\n    second\n\n  last\n";
        assert_eq!(document(&value), text);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[a-z: #\n-]{0,12}\n?".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-z0-9:. ]{0,5}", inner, 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in values()) {
            let text = document(&json!({ "it": value }));
            let read: Value = serde_saphyr::from_str(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(&read["it"], &value, "{}", text);
        }
    }
}
