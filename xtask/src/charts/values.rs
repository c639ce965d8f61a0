//! Every value of the chart is described, once and everywhere alike: as a comment in `values.yaml`, in `values.schema.json`,
//! and in a row of the chart's README. Reads just as much YAML as `values.yaml` is written in.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{CHART, read};
use crate::workspace::Workspace;

/// What `values.yaml` says of one value.
#[derive(Debug, PartialEq, Eq)]
struct Described {
    comment: String,
    /// Absent for a group of values.
    default: Option<String>,
}

/// The schema's, which Helm gives to each chart of a chart, and which no default is for.
const GLOBAL: &str = "global";

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let schema: Value = serde_json::from_str(&read(workspace, &format!("{CHART}/values.schema.json"))?)
        .context("read values.schema.json")?;
    let mut of_schema = BTreeMap::new();
    let mut wrong = Vec::new();
    collect(&schema, "", &mut of_schema, &mut wrong);
    let of_values = parse(&read(workspace, &format!("{CHART}/values.yaml"))?, &of_schema);
    wrong.extend(compare(&of_values, &of_schema));
    let readme = read(workspace, &format!("{CHART}/README.md"))?;
    wrong.extend(missing_rows(&of_values, &readme));
    Ok(wrong)
}

/// The description of every value that the schema names, by its path.
fn collect(node: &Value, path: &str, into: &mut BTreeMap<String, String>, wrong: &mut Vec<String>) {
    if node["properties"].is_object() && node["additionalProperties"] != Value::Bool(false) {
        wrong.push(format!("values.schema.json lets through what nobody knows: `{path}`"));
    }
    for (key, child) in node["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match child["description"].as_str() {
            Some(text) if text.ends_with('.') => drop(into.insert(path.clone(), text.to_owned())),
            _ => wrong.push(format!("values.schema.json does not describe `{path}` in a sentence")),
        }
        collect(child, &path, into, wrong);
    }
}

/// Each value that the schema knows, with the comment above it. What lies below one is its default.
fn parse(text: &str, known: &BTreeMap<String, String>) -> BTreeMap<String, Described> {
    let mut found: BTreeMap<String, Described> = BTreeMap::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    for line in text.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(said) = trimmed.strip_prefix("# ") {
            let between = if comment.is_empty() { "" } else { " " };
            comment.push_str(between);
            comment.push_str(said);
            continue;
        }
        let said = std::mem::take(&mut comment);
        let Some((key, value)) = trimmed.split_once(':') else { continue };
        above.retain(|(other, _)| *other < indent);
        let path = above.last().map_or_else(|| key.to_owned(), |(_, parent)| format!("{parent}.{key}"));
        above.push((indent, path.clone()));
        // Below a default there is nothing more to describe, unless the schema says so.
        if said.is_empty() && !known.contains_key(&path) && has_parent(&path, &found) {
            continue;
        }
        let value = value.trim();
        let default = (!value.is_empty()).then(|| value.to_owned());
        found.insert(path, Described { comment: said, default });
    }
    found
}

fn has_parent(path: &str, found: &BTreeMap<String, Described>) -> bool {
    path.rsplit_once('.').is_some_and(|(parent, _)| found.contains_key(parent) || has_parent(parent, found))
}

fn compare(values: &BTreeMap<String, Described>, schema: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, described) in values {
        match schema.get(path) {
            None => wrong.push(format!("values.schema.json does not know `{path}` of values.yaml")),
            Some(text) if *text != described.comment => {
                wrong.push(format!(
                    "`{path}`: the comment in values.yaml is not the schema's description: {text}"
                ));
            }
            Some(_) => {}
        }
    }
    for path in schema.keys().filter(|path| *path != GLOBAL && !values.contains_key(*path)) {
        // Of the items of a list, or of a map that is empty by default, no default is to be written.
        wrong.push(format!("values.yaml has no default for `{path}`"));
    }
    wrong
}

fn missing_rows(values: &BTreeMap<String, Described>, readme: &str) -> Vec<String> {
    let row = |(path, described): (&String, &Described)| {
        let begins = format!("| `{path}` | `");
        let comment = described.comment.as_str();
        let is_row = |line: &str| line.starts_with(&begins) && line.ends_with(&format!("` | {comment} |"));
        let group =
            described.default.is_none() && values.keys().any(|other| other.starts_with(&format!("{path}.")));
        (!group && !readme.lines().any(is_row))
            .then(|| format!("README.md of the chart has no row for `{path}` with: {comment}"))
    };
    values.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({ "additionalProperties": false, "properties": {
            "image": { "description": "The image.", "additionalProperties": false, "properties": {
                "tag": { "description": "Its tag, which is long." },
            } },
            "resources": { "description": "What it gets." },
            "global": { "description": "Of others." },
        } })
    }

    const VALUES: &str = "# Defaults.\n\n# The image.\nimage:\n  # Its tag,\n  # which is long.\n  tag: \"\"\n\
                          # What it gets.\nresources:\n  limits:\n    cpu: \"1\"\n";
    const README: &str =
        "| `image.tag` | `\"\"` | Its tag, which is long. |\n| `resources` | `{…}` | What it gets. |\n";

    fn wrong(schema: &Value, values: &str, readme: &str) -> Vec<String> {
        let (mut known, mut wrong) = (BTreeMap::new(), Vec::new());
        collect(schema, "", &mut known, &mut wrong);
        let values = parse(values, &known);
        wrong.extend(compare(&values, &known));
        wrong.extend(missing_rows(&values, readme));
        wrong
    }

    #[test]
    fn a_chart_that_describes_all_its_values_is_fine() {
        assert_eq!(wrong(&schema(), VALUES, README), Vec::<String>::new());
    }

    #[test]
    fn what_one_of_the_three_does_not_say_is_seen() {
        let mut undescribed = schema();
        undescribed["properties"]["image"]["properties"]["tag"] = json!({});
        assert!(!wrong(&undescribed, VALUES, README).is_empty());
        let mut open = schema();
        open["properties"]["image"]["additionalProperties"] = json!(true);
        assert_eq!(wrong(&open, VALUES, README).len(), 1);
        assert_eq!(wrong(&schema(), &VALUES.replace("which is", "is"), README).len(), 2);
        assert_eq!(wrong(&schema(), &VALUES.replace("# What it gets.\n", ""), README).len(), 2);
        assert_eq!(wrong(&schema(), &format!("{VALUES}more: 1\n"), README).len(), 2);
        assert_eq!(wrong(&schema(), VALUES, "").len(), 2);
    }
}
