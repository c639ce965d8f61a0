//! The paths that a Rust file names (`crate::a::b`, `use x::{y, z}`), with groups expanded and `self`, `super` and
//! `crate` resolved. Does not know which names are in scope: `use tokio::task; task::spawn` gives two paths.

use super::rust_token::{Kind, Token};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct RustPath {
    /// Starts at the root of its own crate.
    pub(super) local: bool,
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

impl RustPath {
    pub(super) fn text(&self) -> String {
        let joined = self.segments.join("::");
        if self.local { format!("crate::{joined}") } else { joined }
    }

    /// Whether the path starts so, or goes through it later: `a::b` is within `x::a::b::c`.
    pub(super) fn goes_through(&self, part: &[&str]) -> bool {
        self.segments.windows(part.len()).any(|window| window.iter().zip(part).all(|(a, b)| a == b))
    }
}

/// The module path of a file: `presence/src/doors/native.rs` is `["doors", "native"]`. None outside a `src/`.
pub(super) fn module_of(path: &str) -> Option<Vec<String>> {
    let inside = path.split_once("/src/")?.1.strip_suffix(".rs")?;
    let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
    match module.last().map(String::as_str) {
        Some("mod") => drop(module.pop()),
        Some("lib" | "main") if module.len() == 1 => module.clear(),
        _ => {}
    }
    Some(module)
}

/// Whether the whole file is test code: `tests.rs`, `x_tests.rs`, or below a folder `tests`.
pub(super) fn is_test_module(module: &[String]) -> bool {
    module.iter().any(|name| name == "tests" || name.ends_with("_tests"))
}

/// All paths, in order. `crate_name` is what a binary of the same package calls the library.
pub(super) fn paths(tokens: &[Token], module: &[String], crate_name: &str) -> Vec<RustPath> {
    let mut reader =
        Reader { tokens, at: 0, module: module.to_vec(), crate_name, inline: Vec::new(), out: Vec::new() };
    reader.run();
    reader.out
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    module: Vec<String>,
    crate_name: &'a str,
    /// For each open `{`: whether it is that of an inline module.
    inline: Vec<bool>,
    out: Vec<RustPath>,
}

impl Reader<'_> {
    fn run(&mut self) {
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Ident(name) if name == "mod" => self.module_header(),
                Kind::Ident(_) => self.tree(&[]),
                Kind::Punct('{') => {
                    self.inline.push(false);
                    self.at += 1;
                }
                Kind::Punct('}') => {
                    if self.inline.pop() == Some(true) {
                        self.module.pop();
                    }
                    self.at += 1;
                }
                Kind::Punct(_) | Kind::Other => self.at += 1,
            }
        }
    }

    fn punct(&self, ahead: usize, punct: char) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|token| token.is(punct))
    }

    fn double_colon(&self) -> bool {
        self.punct(0, ':') && self.punct(1, ':')
    }

    fn module_header(&mut self) {
        self.at += 1;
        let Some(name) = self.tokens.get(self.at).and_then(Token::ident) else {
            return;
        };
        self.at += 1;
        if self.punct(0, '{') {
            self.module.push(name.to_owned());
            self.inline.push(true);
            self.at += 1;
        }
    }

    /// A path, or a use tree, after `prefix`. Leaves `at` behind it.
    fn tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let line = self.tokens[self.at].line;
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Ident(name) => segments.push(name.clone()),
                Kind::Punct('*') if !segments.is_empty() => segments.push("*".to_owned()),
                Kind::Punct('{') if !segments.is_empty() => return self.group(&segments),
                // A turbofish, or the end of the path: its arguments are paths of their own.
                _ => break,
            }
            self.at += 1;
            if !self.double_colon() {
                break;
            }
            self.at += 2;
        }
        self.push(segments, line);
    }

    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Punct('}') => {
                    self.at += 1;
                    return;
                }
                Kind::Ident(name) if name == "as" => self.at += 2,
                Kind::Ident(_) | Kind::Punct('*' | '{') => self.tree(prefix),
                Kind::Punct(_) | Kind::Other => self.at += 1,
            }
        }
    }

    fn push(&mut self, mut segments: Vec<String>, line: usize) {
        let mut base: Option<Vec<String>> = None;
        let named: Vec<String> = segments.clone();
        for (index, segment) in named.iter().enumerate() {
            let next = match segment.as_str() {
                "crate" if index == 0 => Some(Vec::new()),
                name if index == 0 && name == self.crate_name && named.len() > 1 => Some(Vec::new()),
                "self" if index == 0 => Some(self.module.clone()),
                "super" => {
                    let mut up = base.clone().unwrap_or_else(|| self.module.clone());
                    up.pop();
                    Some(up)
                }
                _ => None,
            };
            let Some(next) = next else { break };
            base = Some(next);
            segments.remove(0);
        }
        // In the root file a bare path may start at a module beside it.
        if base.is_none()
            && self.module.is_empty()
            && segments.len() > 1
            && super::layers::is_layer(&segments[0])
        {
            base = Some(Vec::new());
        }
        let local = base.is_some();
        let mut full = base.unwrap_or_default();
        full.append(&mut segments);
        self.out.push(RustPath { local, segments: full, line });
    }
}

#[cfg(test)]
mod tests {
    use super::super::rust_token::tokens;
    use super::*;

    fn texts(text: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
        paths(&tokens(text), &module, "presence")
            .iter()
            .filter(|path| path.segments.len() > 1)
            .map(RustPath::text)
            .collect()
    }

    #[test]
    fn groups_are_expanded() {
        let found = texts("use crate::{adapters::{x, y as z}, hub::*, ports::{self, p}}; f();", &["doors"]);
        let expected = [
            "crate::adapters::x",
            "crate::adapters::y",
            "crate::hub::*",
            "crate::ports::self",
            "crate::ports::p",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn super_is_resolved_also_within_inline_modules() {
        assert_eq!(texts("super::super::adapters::x()", &["doors", "native"]), ["crate::adapters::x"]);
        let text = "mod inner { use super::super::y::Z; } use super::q::R;";
        assert_eq!(texts(text, &["doors", "native"]), ["crate::doors::y::Z", "crate::doors::q::R"]);
    }

    #[test]
    fn the_library_is_the_same_crate_to_its_binary() {
        assert_eq!(
            texts("presence::adapters::x; adapters::y", &[]),
            ["crate::adapters::x", "crate::adapters::y"]
        );
    }

    #[test]
    fn a_turbofish_ends_a_path_and_its_arguments_are_paths() {
        assert_eq!(texts("a::b::<crate::c::D>()", &["m"]), ["a::b", "crate::c::D"]);
    }

    #[test]
    fn files_have_module_paths() {
        let of = |path: &str| module_of(path).unwrap().join("::");
        assert_eq!(of("presence/src/doors/native/mod.rs"), "doors::native");
        assert_eq!(of("presence/src/ports.rs"), "ports");
        assert_eq!(of("presence/src/main.rs"), "");
        assert!(module_of("presence/build.rs").is_none());
    }
}
