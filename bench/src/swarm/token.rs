//! The token that all agents of a swarm show: they are one account, and differ by their labels. Where it comes from,
//! whose it is, and the next one before it expires. It is never printed.

use crate::{app::ORG, mint::Mint};
use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

const ACCOUNT: &str = "swarm";
const AUDIENCE: &str = "swarm.example";
/// A token is renewed when less than a fifth of its life is left.
const SHARE: i64 = 5;

#[derive(Clone)]
pub(crate) enum Source {
    Given(String),
    /// Read again when the token runs out: somebody else renews it.
    File(PathBuf),
    /// Signed with the key in a server's `data_dir`, by `presence token`.
    Mint {
        program: PathBuf,
        data_dir: PathBuf,
        ttl: String,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Mint { data_dir, ttl, .. } => f.debug_tuple("Mint").field(data_dir).field(ttl).finish(),
        }
    }
}

impl Source {
    /// Blocks: for as long as a small program runs.
    pub(crate) fn fetch(&self) -> Result<Token> {
        let text = match self {
            Self::Given(token) => token.clone(),
            Self::File(path) => std::fs::read_to_string(path)
                .with_context(|| format!("read the token in {}", path.display()))?,
            Self::Mint { program, data_dir, ttl } => mint(program, data_dir, ttl, &[])?,
        };
        Token::parse(text.trim())
    }

    /// Who makes a token for each app: whoever has the key.
    pub(crate) fn app_mint(&self) -> Result<Mint> {
        let Self::Mint { program, data_dir, ttl } = self else {
            bail!("apps need --mint-from: each has a token of its own")
        };
        let template = mint(program, data_dir, ttl, &["--org", ORG, "--role", "student"])?;
        Mint::like(template.trim(), &data_dir.join("token-key.pem"))
    }
}

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) text: Arc<str>,
    account: String,
    audience: String,
    /// In Unix seconds.
    issued: Option<i64>,
    expires: i64,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: Audience,
    iat: Option<i64>,
    exp: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("account", &self.account)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// Reads the claims; whether the signature is good is the server's to say.
    fn parse(text: &str) -> Result<Self> {
        const WHAT: &str = "the token is no JWT";
        let payload = text.split('.').nth(1).context(WHAT)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).context(WHAT)?;
        let claims: Claims = serde_json::from_slice(&payload).context("the token's claims: sub, aud, exp")?;
        let audience = match claims.aud {
            Audience::One(audience) => audience,
            Audience::Several(several) => several.into_iter().next().context("the token has no audience")?,
        };
        Ok(Self { text: text.into(), account: claims.sub, audience, issued: claims.iat, expires: claims.exp })
    }

    pub(crate) fn agent_id(&self, label: &str) -> String {
        format!("{label}.{}.{}", self.account, self.audience)
    }

    /// A user of the classroom apps, at the Socket.IO door.
    pub(crate) fn app_id(&self, user: &str) -> String {
        format!("app.{user}.{}", self.audience)
    }

    fn is_of(&self, other: &Self) -> bool {
        (&self.account, &self.audience) == (&other.account, &other.audience)
    }

    /// Whether it is time for another one.
    fn is_old(&self, now: i64) -> bool {
        let life = self.expires - self.issued.unwrap_or(self.expires);
        self.expires - now < (life / SHARE).max(1)
    }
}

/// The token in use.
#[derive(Debug)]
pub(crate) struct Purse {
    source: Source,
    current: Mutex<Token>,
}

impl Purse {
    pub(crate) fn open(source: Source) -> Result<Self> {
        let current = Mutex::new(source.fetch()?);
        Ok(Self { source, current })
    }

    pub(crate) fn token(&self) -> Token {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether `renew` has something to do.
    pub(crate) fn is_due(&self, now: i64) -> bool {
        !matches!(self.source, Source::Given(_)) && self.token().is_old(now)
    }

    /// Gets another token if this one is old. Blocks, as `fetch` does. `now` is in Unix seconds.
    pub(crate) fn renew(&self, now: i64) -> Result<()> {
        if !self.is_due(now) {
            return Ok(());
        }
        let (old, new) = (self.token(), self.source.fetch()?);
        if !new.is_of(&old) {
            bail!("the new token is another account's: the agents would be others");
        }
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

fn mint(program: &Path, data_dir: &Path, ttl: &str, more: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(["token", "--account", ACCOUNT, "--audience", AUDIENCE, "--ttl", ttl]).args(more);
    // Settings of a server that happen to be set here are not those of that key.
    command.env_clear().env("PRESENCE_DATA_DIR", data_dir);
    let output = command.output().with_context(|| format!("run {} token", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} token failed ({}): {}", program.display(), output.status, said.trim());
    }
    String::from_utf8(output.stdout).context("a token is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_whose_it_is() {
        let one = Token::parse(&token(r#"{"sub":"a","aud":"school.example","iat":0,"exp":100}"#)).unwrap();
        assert_eq!(one.agent_id("s-1"), "s-1.a.school.example");
        let several = Token::parse(&token(r#"{"sub":"a","aud":["b","c"],"exp":100}"#)).unwrap();
        assert_eq!(several.agent_id("x"), "x.a.b");
        for bad in ["", "a.b", "a.!!.c", &token(r#"{"sub":"a"}"#)] {
            assert!(Token::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn it_is_renewed_before_it_expires_and_for_the_same_account_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let write = |sub: &str, exp: i64| {
            let claims = format!(r#"{{"sub":"{sub}","aud":"b","iat":0,"exp":{exp}}}"#);
            std::fs::write(&path, token(&claims)).unwrap();
        };
        write("a", 100);
        let purse = Purse::open(Source::File(path.clone())).unwrap();
        write("a", 200);
        purse.renew(79).unwrap();
        assert_eq!(purse.token().expires, 100);
        purse.renew(81).unwrap();
        assert_eq!(purse.token().expires, 200);
        write("b", 300);
        assert!(purse.renew(199).is_err());
    }

    #[test]
    fn it_is_not_in_what_is_printed() {
        let text = token(r#"{"sub":"a","aud":"b","exp":100}"#);
        let source = Source::Given(text.clone());
        let printed = format!("{source:?} {:?}", Purse::open(source.clone()).unwrap());
        assert!(!printed.contains(&text), "{printed}");
    }
}
