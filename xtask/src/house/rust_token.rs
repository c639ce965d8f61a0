//! Rust source as tokens with line numbers: enough to see names without being fooled by comments and strings.
//! Knows no grammar beyond that, except which items are test code.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Ident(String),
    Punct(char),
    /// A string, character, number or lifetime: nothing a rule looks into.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is(&self, punct: char) -> bool {
        self.kind == Kind::Punct(punct)
    }

    pub(super) fn ident(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ident(name) => Some(name),
            Kind::Punct(_) | Kind::Other => None,
        }
    }
}

pub(super) fn tokens(text: &str) -> Vec<Token> {
    Lexer { chars: text.chars().collect(), at: 0, line: 1 }.run()
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Lexer {
    fn run(mut self) -> Vec<Token> {
        let mut out = Vec::new();
        while let Some(c) = self.peek(0) {
            let line = self.line;
            if let Some(kind) = self.token(c) {
                out.push(Token { kind, line });
            }
        }
        out
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if self.peek(0) == Some('\n') {
                self.line += 1;
            }
            self.at += 1;
        }
    }

    fn token(&mut self, c: char) -> Option<Kind> {
        match (c, self.peek(1)) {
            ('/', Some('/')) => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.skip(1);
                }
                None
            }
            ('/', Some('*')) => {
                self.block_comment();
                None
            }
            ('"', _) => {
                self.quoted('"');
                Some(Kind::Other)
            }
            ('\'', _) => {
                self.char_or_lifetime();
                Some(Kind::Other)
            }
            _ if c.is_alphabetic() || c == '_' => Some(self.word()),
            _ if c.is_ascii_digit() => {
                self.number();
                Some(Kind::Other)
            }
            _ => {
                self.skip(1);
                (!c.is_whitespace()).then_some(Kind::Punct(c))
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.skip(1);
                    continue;
                }
            }
            self.skip(2);
            if depth == 0 {
                return;
            }
        }
    }

    /// From the opening quote to behind the closing one.
    fn quoted(&mut self, quote: char) {
        self.skip(1);
        while let Some(c) = self.peek(0) {
            self.skip(if c == '\\' { 2 } else { 1 });
            if c == quote {
                return;
            }
        }
    }

    fn char_or_lifetime(&mut self) {
        if self.peek(1) == Some('\\') || self.peek(2) == Some('\'') {
            self.quoted('\'');
            return;
        }
        self.skip(1);
        while self.peek(0).is_some_and(is_word) {
            self.skip(1);
        }
    }

    /// An identifier, or a literal with a prefix: `b"…"`, `r#"…"#`, `b'…'`.
    fn word(&mut self) -> Kind {
        let start = self.at;
        while self.peek(0).is_some_and(is_word) {
            self.skip(1);
        }
        let word: String = self.chars[start..self.at].iter().collect();
        let hashes = self.chars[self.at..].iter().take_while(|c| **c == '#').count();
        match (word.as_str(), self.peek(hashes)) {
            ("r" | "br" | "cr", Some('"')) => {
                self.raw_string(hashes);
                Kind::Other
            }
            ("r", Some(c)) if hashes == 1 && is_word(c) => {
                self.skip(1); // r#name is the name
                self.word()
            }
            ("b" | "c", Some('"')) if hashes == 0 => {
                self.quoted('"');
                Kind::Other
            }
            ("b", Some('\'')) if hashes == 0 => {
                self.quoted('\'');
                Kind::Other
            }
            _ => Kind::Ident(word),
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.skip(hashes + 1);
        while let Some(c) = self.peek(0) {
            self.skip(1);
            if c == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                self.skip(hashes);
                return;
            }
        }
    }

    fn number(&mut self) {
        while let Some(c) = self.peek(0) {
            let fraction = c == '.' && self.peek(1).is_some_and(|next| next.is_ascii_digit());
            if !is_word(c) && !fraction {
                return;
            }
            self.skip(1);
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The tokens without items under `#[cfg(test)]`: a test may wire and spawn what production code must not.
pub(super) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match attribute_end(tokens, at) {
            Some(end) if is_cfg_test(&tokens[at..end]) => at = item_end(tokens, end),
            Some(end) => {
                out.extend_from_slice(&tokens[at..end]);
                at = end;
            }
            None => {
                out.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    out
}

/// If an attribute starts here, the index behind its `]`.
pub(super) fn attribute_end(tokens: &[Token], at: usize) -> Option<usize> {
    if !tokens.get(at)?.is('#') {
        return None;
    }
    let open = if tokens.get(at + 1)?.is('!') { at + 2 } else { at + 1 };
    tokens.get(open)?.is('[').then(|| group_end(tokens, open))
}

/// `#[cfg(test)]` or `#[cfg(all(test, …))]`, but not `#[cfg(not(test))]` or `#[cfg(any(test, …))]`.
fn is_cfg_test(attribute: &[Token]) -> bool {
    let mut names = attribute.iter().filter_map(Token::ident);
    if attribute[1].is('!') || names.next() != Some("cfg") {
        return false;
    }
    let names: Vec<&str> = names.collect();
    names.contains(&"test") && !names.contains(&"not") && !names.contains(&"any")
}

/// The index behind the item that starts here: behind its `;`, or its `{…}`.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.kind {
            Kind::Punct(';') => return at + 1,
            Kind::Punct('{') => return group_end(tokens, at),
            Kind::Punct('(' | '[') => at = group_end(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// The index behind the bracket that closes the one at `open`.
fn group_end(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Punct('(' | '[' | '{') => depth += 1,
            Kind::Punct(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        tokens(text).iter().filter_map(Token::ident).map(str::to_owned).collect()
    }

    #[test]
    fn comments_and_strings_hold_no_names() {
        let text =
            "//! doc\n/* a /* b */ c */ let x = \"y \\\" z\"; // end\nlet r = r#\"in \" raw\"#; b\"q\"; b'q'";
        assert_eq!(names(text), ["let", "x", "let", "r"]);
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(names("fn f<'a>(x: &'a str) { 'x'; '\\''; y }"), ["fn", "f", "x", "str", "y"]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let all = tokens("\"a\nb\" /*\n*/ x");
        assert_eq!(all.last().unwrap().line, 3);
    }

    #[test]
    fn raw_names_and_ranges() {
        assert_eq!(names("r#type; 0..n; 1.5f32; 0xff"), ["type", "n"]);
    }

    #[test]
    fn test_items_are_left_out() {
        let text = "a; #[cfg(test)] #[x] mod tests { fn f() { spawn } } b; #[cfg(test)] use q; c; \
                    #[cfg(not(test))] fn d() {} #[derive(E)] struct G;";
        let left: Vec<String> =
            without_tests(&tokens(text)).iter().filter_map(Token::ident).map(str::to_owned).collect();
        assert_eq!(left, ["a", "b", "c", "cfg", "not", "test", "fn", "d", "derive", "E", "struct", "G"]);
    }
}
