//! Who the agents of the tests are, and their tokens: made by `presence token`, or by hand where it would refuse.

use crate::{
    app::Person,
    process::{self, Settings},
};
use anyhow::{Context, Result, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use presence_api::frames::ConnectRequest;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

pub const AUDIENCE: &str = "school.example";
pub const LABEL: &str = "web";
const KEY_FILE: &str = "token-key.pem";

/// How an account of the tests appears to others.
pub fn agent_id(account: &str) -> String {
    format!("{LABEL}.{account}.{AUDIENCE}")
}

/// A first frame's payload.
pub fn request(classroom: &str, token: &str) -> ConnectRequest {
    ConnectRequest {
        agent_label: LABEL.into(),
        classroom_id: classroom.into(),
        token: token.into(),
        resume: None,
    }
}

/// The issuer embedded in the server that lives on this data folder.
#[derive(Debug)]
pub struct Tokens {
    data_dir: PathBuf,
    /// By account: one process for each is enough.
    minted: Mutex<HashMap<String, String>>,
}

impl Tokens {
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), minted: Mutex::default() }
    }

    /// A token that admits an account everywhere.
    pub fn of(&self, account: &str) -> Result<String> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = minted.get(account) {
            return Ok(token.clone());
        }
        let token = self.mint(account, &["--classroom", "*"])?;
        minted.insert(account.to_owned(), token.clone());
        Ok(token)
    }

    /// What `presence token` prints.
    pub fn mint(&self, account: &str, more: &[&str]) -> Result<String> {
        let args = [&["token", "--account", account, "--audience", AUDIENCE], more].concat();
        let settings = Settings::from([("data_dir".to_owned(), self.data_dir.display().to_string())]);
        let output = process::output(&settings, &args)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "presence {}: {}\n{complaint}", args.join(" "), output.status);
        Ok(String::from_utf8(output.stdout).context("a token is text")?.trim().to_owned())
    }

    /// A token that admits an account everywhere, made here: a process for each account of a crowd would be too many.
    pub fn swift(&self, account: &str) -> Result<String> {
        let (header, mut claims) = self.honest("template")?;
        claims["sub"] = account.into();
        self.sign(&header, &claims)
    }

    /// A token of a user of the classroom's apps, good for every lesson.
    pub fn of_person(&self, person: &Person) -> Result<String> {
        let (header, mut claims) = self.honest("template")?;
        claims["sub"] = person.user.as_str().into();
        claims["org_id"] = person.org.as_str().into();
        claims["role"] = person.role.into();
        self.sign(&header, &claims)
    }

    /// A header and claims that the server would trust, to be spoilt.
    pub fn honest(&self, account: &str) -> Result<(Header, Value)> {
        let token = self.of(account)?;
        let header = jsonwebtoken::decode_header(&token).context("read a token's header")?;
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": "presence-embedded", "sub": account, "aud": AUDIENCE,
            "iat": now, "exp": now + 3600, "classrooms": ["*"],
        });
        Ok((header, claims))
    }

    /// Signs with the key that the server trusts.
    pub fn sign(&self, header: &Header, claims: &Value) -> Result<String> {
        let pem = fs::read(self.data_dir.join(KEY_FILE)).context("read the server's token key")?;
        let key = EncodingKey::from_ec_pem(&pem).context("understand the server's token key")?;
        jsonwebtoken::encode(header, claims, &key).context("sign a token")
    }

    /// Signs with the same bytes, as if they were a shared secret.
    pub fn sign_as_shared_secret(&self, header: &Header, claims: &Value) -> Result<String> {
        let pem = fs::read(self.data_dir.join(KEY_FILE)).context("read the server's token key")?;
        let header = Header { alg: Algorithm::HS256, ..header.clone() };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&pem)).context("sign a token")
    }
}
