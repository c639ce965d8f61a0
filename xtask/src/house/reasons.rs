//! Every dependency says what it is for, once: in `[workspace.dependencies]`, as a comment on its line. Members
//! name it with `workspace = true`, so none gets past. Our own crates (`path = …`) describe themselves.

use super::{Finding, SourceFile};

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    if file.path == "Cargo.toml" {
        return of_workspace(file);
    }
    // Nested workspaces (fuzz targets) keep their own lists.
    let member = file.path.ends_with("/Cargo.toml") && !file.text.contains("[workspace]");
    if member { of_member(file) } else { Vec::new() }
}

fn of_workspace(file: &SourceFile) -> Vec<Finding> {
    entries(&file.text)
        .into_iter()
        .filter(|entry| entry.table == "workspace.dependencies")
        .filter(|entry| !entry.commented && !entry.text.contains("path ="))
        .map(|entry| {
            let what = format!("say in a comment on the line what `{}` is for", entry.name());
            Finding::at(&file.path, entry.line, what)
        })
        .collect()
}

fn of_member(file: &SourceFile) -> Vec<Finding> {
    entries(&file.text)
        .into_iter()
        .filter(|entry| {
            entry.table.ends_with("dependencies") && !entry.text.replace(' ', "").contains("workspace=true")
        })
        .map(|entry| {
            let what =
                format!("name `{}` in the workspace's Cargo.toml and take it from there", entry.name());
            Finding::at(&file.path, entry.line, what)
        })
        .collect()
}

/// `name = value`, which may go over several lines.
struct Entry {
    table: String,
    line: usize,
    text: String,
    commented: bool,
}

impl Entry {
    fn name(&self) -> &str {
        self.text.split(['=', '.']).next().unwrap_or_default().trim()
    }
}

fn entries(manifest: &str) -> Vec<Entry> {
    let mut table = String::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut depth = 0_i32;
    for (index, line) in manifest.lines().enumerate() {
        let (code, commented) = split_comment(line);
        let code = code.trim();
        if depth == 0 && code.starts_with('[') {
            code.trim_matches(['[', ']']).clone_into(&mut table);
            continue;
        }
        if let (true, Some(last)) = (depth > 0, entries.last_mut()) {
            last.text.push_str(code);
            last.commented |= commented;
        } else if !code.is_empty() {
            entries.push(Entry { table: table.clone(), line: index + 1, text: code.to_owned(), commented });
        }
        for c in code.chars() {
            match c {
                '[' | '{' => depth += 1,
                ']' | '}' => depth -= 1,
                _ => {}
            }
        }
    }
    entries
}

/// The line before its comment, and whether the comment says something.
fn split_comment(line: &str) -> (&str, bool) {
    let mut quoted = false;
    for (index, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return (&line[..index], line[index + 1..].trim().len() > 2),
            _ => {}
        }
    }
    (line, false)
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_seen() {
        let text = "[workspace.dependencies]\nown = { path = \"own\" }\n# --- heading\na = \"1\" # for a\nb = \"2\"\n\
                    c = { version = \"#1\", features = [\n  \"x\",\n] }\nd = [ # for d\n]\n[profile.dev]\nx = 1\n";
        let findings = check(&file("Cargo.toml", text));
        let places: Vec<&str> = findings.iter().map(|finding| finding.place.as_str()).collect();
        assert_eq!(places, ["Cargo.toml:5", "Cargo.toml:6"]);
        assert!(findings[0].what.contains("`b`"));
    }

    #[test]
    fn a_member_takes_dependencies_from_the_workspace() {
        let text = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { workspace = true }\nc = \"1\"\n\
                    [dev-dependencies]\nd = \"1\"\n";
        let findings = check(&file("presence/Cargo.toml", text));
        assert_eq!(findings.len(), 2);
        assert!(findings[1].what.contains("`d`"));
        assert!(check(&file("fuzz/Cargo.toml", &format!("[workspace]\n{text}"))).is_empty());
    }
}
