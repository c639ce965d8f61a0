//! No committed file names a folder of somebody's machine. The folders are put together here, so that this file
//! needs no exemption from its own rule.

use super::{Finding, SourceFile};

/// Top folders below which a machine's own paths lie, and whether a name must follow.
const TOPS: &[(&str, bool)] = &[("root", false), ("work", false), ("home", true), ("Users", true)];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let lines = file.text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let path = TOPS.iter().find_map(|(top, named)| machine_path(line, top, *named))?;
            Some(Finding::at(&file.path, index + 1, format!("names a folder of a machine: {path}")))
        })
        .collect()
}

fn machine_path<'a>(line: &'a str, top: &str, named: bool) -> Option<&'a str> {
    let pattern = format!("/{top}/");
    line.match_indices(&pattern).find_map(|(at, _)| {
        // `src/work/`, `~/work/`, `$X/work/`, `https://host/work/` do not start at the root of a machine.
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "_-.~)}>*".contains(c)) {
            return None;
        }
        let rest = &line[at + pattern.len()..];
        let name = rest.find(|c: char| !c.is_alphanumeric() && !"_-.".contains(c)).unwrap_or(rest.len());
        let has_name = name > 0 && rest[name..].starts_with('/');
        (!named || has_name).then(|| &line[at..at + pattern.len() + name])
    })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn found(words: &[&str]) -> usize {
        // Joined here, so that this test is no violation itself.
        check(&file("docs/x.md", &words.join("/"))).len()
    }

    #[test]
    fn folders_of_a_machine_are_seen() {
        assert_eq!(found(&["cd ", "root", ".cargo"]), 1);
        assert_eq!(found(&["see (", "work", "wt"]), 1);
        assert_eq!(found(&["\"", "home", "ada", "x\""]), 1);
        assert_eq!(found(&["file://", "root", "x"]), 1);
        assert_eq!(found(&["", "Users", "ada", "x"]), 1);
    }

    #[test]
    fn other_paths_are_fine() {
        assert_eq!(found(&["src", "work", "x"]), 0);
        assert_eq!(found(&["~", "work", "x"]), 0);
        assert_eq!(found(&["https://example.com", "home", "a", "b"]), 0);
        assert_eq!(found(&["the ", "home", " of all"]), 0);
        assert_eq!(found(&["", "usr", "lib", "postgresql"]), 0);
    }
}
