//! The ids of connections: 128 random bits each.
//!
//! An engine's id is a secret between its client and this service, and says which replica holds it. A socket's id is
//! known to others; a recovery id to its client alone.

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use presence_core::ids::{RecoveryId, ReplicaId, SocketId};
use std::{fmt, str::FromStr};

/// The length of 128 bits in base64.
const WORD: usize = 22;

/// The `sid` of a query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineId {
    text: String,
    owner: ReplicaId,
}

impl EngineId {
    pub fn new(owner: ReplicaId) -> Self {
        let text = format!("{}{}", random(), URL_SAFE_NO_PAD.encode(owner.0.to_be_bytes()));
        Self { text, owner }
    }

    /// The replica that holds the connection.
    pub const fn owner(&self) -> ReplicaId {
        self.owner
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// It prints as whom it belongs to.
impl fmt::Debug for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EngineId(… of {})", self.owner)
    }
}

/// No id of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEngineId;

impl FromStr for EngineId {
    type Err = NoEngineId;

    fn from_str(text: &str) -> Result<Self, NoEngineId> {
        let (own, owner) = text.split_at_checked(WORD).ok_or(NoEngineId)?;
        let bits =
            |word: &str| URL_SAFE_NO_PAD.decode(word).ok().and_then(|bits| <[u8; 16]>::try_from(bits).ok());
        bits(own).ok_or(NoEngineId)?;
        let owner = ReplicaId(u128::from_be_bytes(bits(owner).ok_or(NoEngineId)?));
        Ok(Self { text: text.to_owned(), owner })
    }
}

pub fn socket_id() -> SocketId {
    random().parse().expect("base64 of 16 bytes is a word of 22 characters")
}

pub fn recovery_id() -> RecoveryId {
    random().parse().expect("base64 of 16 bytes is a word of 22 characters")
}

fn random() -> String {
    let mut bits = [0; 16];
    rand::fill(&mut bits).expect("the system has random numbers");
    URL_SAFE_NO_PAD.encode(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_id_says_who_holds_it_and_is_never_the_same() {
        let owner = ReplicaId(7 << 100);
        let (one, two) = (EngineId::new(owner), EngineId::new(owner));
        assert_ne!(one, two);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        assert_eq!(one.owner(), owner);
        assert!(!format!("{one:?}").contains(one.as_str()));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let good = EngineId::new(ReplicaId(1)).as_str().to_owned();
        for bad in ["", "x", &good[1..], &format!("{good}A"), &good.replace(&good[..1], "é"), &" ".repeat(44)]
        {
            assert_eq!(bad.parse::<EngineId>(), Err(NoEngineId), "{bad}");
        }
    }
}
