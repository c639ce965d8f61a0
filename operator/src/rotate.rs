//! The shared secret of the admin API: made once, and rotated so that no two pods ever refuse each other. Pure; what is
//! secret here is never printed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

/// On the resource: anything new in it asks for a new secret.
pub const ROTATE: &str = "presence.rs/rotate-internal-secret";
/// On the Secret: what [`ROTATE`] held when its last rotation began.
pub const ROTATED: &str = "presence.rs/rotated";
/// On the Secret: how far the rotation is.
pub const PHASE: &str = "presence.rs/rotation";
/// What pods and the operator say.
pub const SECRET: &str = "secret";
/// What they take as well.
pub const ACCEPTED: &str = "accepted";

/// What [`PHASE`] holds.
const STEADY: &str = "Steady";
const OFFERED: &str = "Offered";
const SAID: &str = "Said";

/// What the server takes as a secret.
const MIN_BYTES: usize = 16;
const MAX_BYTES: usize = 1024;

/// A secret word.
#[derive(Clone, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    /// None where the server would refuse it.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let fits =
            (MIN_BYTES..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then_some(Self(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How far a rotation is. Each phase is a revision that has to roll out before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// One secret, said and taken by all.
    Steady,
    /// The next one is taken by all that have rolled; nobody says it.
    Offered { next: Word },
    /// It is said; the former is still taken.
    Said { former: Word },
}

/// The shared secret as it is in `NAME-internal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    secret: Word,
    phase: Phase,
    rotated: Option<String>,
}

impl Shared {
    /// What can be saved of it, be it whole or damaged. None where it has no word that the server would take.
    ///
    /// Of two words one may be lost. While all is steady, either is the other; while it is rotated, what is left is what the
    /// most pods take. A wish that this cuts short, or of which nobody can tell how far it was, stands: it is begun anew.
    pub fn read(of: &Secret) -> Option<Self> {
        let word = |key: &str| {
            let bytes = &of.data.as_ref()?.get(key)?.0;
            Word::new(std::str::from_utf8(bytes).ok()?)
        };
        let annotation = |key: &str| of.metadata.annotations.as_ref()?.get(key).cloned();
        let secret = word(SECRET);
        let other = word(ACCEPTED).filter(|other| Some(other) != secret.as_ref());
        let told = annotation(PHASE);
        let (secret, phase, is_granted) = match (secret, other, told.as_deref()) {
            (Some(secret), Some(next), Some(OFFERED)) => (secret, Phase::Offered { next }, true),
            (Some(secret), Some(former), Some(SAID)) => (secret, Phase::Said { former }, true),
            // A word that is not ours is taken by nobody.
            (Some(secret), _, Some(STEADY)) => (secret, Phase::Steady, true),
            // Lost is the one that was offered, or the former one: what all say is still taken by all.
            (Some(secret), None, told) => (secret, Phase::Steady, told == Some(SAID)),
            // Either may be said somewhere: both are taken until all is settled.
            (Some(secret), Some(former), _) => (secret, Phase::Said { former }, false),
            (None, Some(left), told) => (left, Phase::Steady, matches!(told, Some(STEADY | OFFERED))),
            (None, None, _) => return None,
        };
        Some(Self { secret, phase, rotated: annotation(ROTATED).filter(|_| is_granted) })
    }

    /// Whether the Secret holds just this. One that does not is to be written again at once: pods mount both keys, and one
    /// that starts without them does not come up, so that nothing would ever be settled.
    pub fn is_held_by(&self, of: &Secret) -> bool {
        let ours = self.annotations();
        let theirs = of.metadata.annotations.as_ref();
        let is_so = |key: &str| theirs.and_then(|all| all.get(key)) == ours.get(key);
        of.data.as_ref() == Some(&self.data()) && is_so(PHASE) && is_so(ROTATED)
    }

    /// What the operator says to pods, in every phase.
    pub const fn secret(&self) -> &Word {
        &self.secret
    }

    pub const fn accepted(&self) -> Option<&Word> {
        match &self.phase {
            Phase::Steady => None,
            Phase::Offered { next: other } | Phase::Said { former: other } => Some(other),
        }
    }

    pub const fn is_rotating(&self) -> bool {
        !matches!(self.phase, Phase::Steady)
    }

    /// The whole `data` of `NAME-internal`: a key that is not in it is to go. Both keys are always there: pods are told
    /// of two files, and one that starts again in the middle of a rotation must find both.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let bytes = |word: &Word| ByteString(word.expose().as_bytes().to_vec());
        let accepted = self.accepted().unwrap_or(&self.secret);
        BTreeMap::from([(SECRET.to_owned(), bytes(&self.secret)), (ACCEPTED.to_owned(), bytes(accepted))])
    }

    /// The annotations of ours on `NAME-internal`: one that is not in it is to go.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let phase = match self.phase {
            Phase::Steady => STEADY,
            Phase::Offered { .. } => OFFERED,
            Phase::Said { .. } => SAID,
        };
        let mut annotations = BTreeMap::from([(PHASE.to_owned(), phase.to_owned())]);
        annotations.extend(self.rotated.clone().map(|value| (ROTATED.to_owned(), value)));
        annotations
    }

    /// For [`crate::facts::Facts::internal_secret`]: each phase is a revision of its own.
    pub fn fingerprint(&self) -> String {
        let accepted = self.accepted().map_or("", Word::expose);
        crate::validate::fingerprint(self.secret.expose().as_bytes(), accepted.as_bytes())
    }
}

/// What `NAME-internal` is to become now; none where it is to stay as it is. `wish` is what the resource's annotation
/// [`ROTATE`] holds; `settled`: the plan that was made with `current` is [`crate::plan::Stage::Settled`], so one revision
/// serves, whole, and every pod has what `current` says; `fresh` makes a random word of 32 characters or more.
///
/// A Secret that is absent, or of which nothing can be saved, is made anew at once. Its former content is lost, so pods of the
/// former revision refuse those of the new one until they are replaced. A damaged one is mended first ([`Shared::is_held_by`]).
pub fn next(
    current: Option<&Shared>,
    wish: Option<&str>,
    settled: bool,
    fresh: impl FnOnce() -> Word,
) -> Option<Shared> {
    let Some(current) = current else {
        return Some(Shared { secret: fresh(), phase: Phase::Steady, rotated: wish.map(str::to_owned) });
    };
    if !settled {
        return None;
    }
    let next = current.clone();
    match &current.phase {
        Phase::Steady if wish.is_some() && wish != current.rotated.as_deref() => {
            Some(Shared { phase: Phase::Offered { next: fresh() }, rotated: wish.map(str::to_owned), ..next })
        }
        Phase::Steady => None,
        Phase::Offered { next: word } => Some(Shared {
            secret: word.clone(),
            phase: Phase::Said { former: current.secret.clone() },
            ..next
        }),
        Phase::Said { .. } => Some(Shared { phase: Phase::Steady, ..next }),
    }
}
