//! The shared secret of the admin API: made once, and rotated so that no two pods ever refuse each other. Pure; what is
//! secret here is never printed.

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
    /// None where it has no secret that the server would take.
    pub fn read(of: &Secret) -> Option<Self> {
        let data = |key: &str| {
            let bytes = &of.data.as_ref()?.get(key)?.0;
            Word::new(std::str::from_utf8(bytes).ok()?)
        };
        let annotation = |key: &str| of.metadata.annotations.as_ref()?.get(key).cloned();
        let phase = match (annotation(PHASE).as_deref(), data(ACCEPTED)) {
            (Some("Offered"), Some(next)) => Phase::Offered { next },
            (Some("Said"), Some(former)) => Phase::Said { former },
            // A phase without its other secret is over: what all say is still taken by all.
            _ => Phase::Steady,
        };
        // One that lost the secret it offered was for nothing: it is wished for still.
        let lost = annotation(PHASE).as_deref() == Some("Offered") && phase == Phase::Steady;
        Some(Self { secret: data(SECRET)?, phase, rotated: annotation(ROTATED).filter(|_| !lost) })
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
            Phase::Steady => "Steady",
            Phase::Offered { .. } => "Offered",
            Phase::Said { .. } => "Said",
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
/// A Secret that is absent or unusable is made anew at once. Its former content is lost, so pods of the former revision
/// refuse those of the new one until they are replaced.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word::new(format!("{text}-0123456789abcdef")).unwrap()
    }

    fn secret(of: &Shared) -> Secret {
        let mut secret = Secret { data: Some(of.data()), ..Secret::default() };
        secret.metadata.annotations = Some(of.annotations());
        secret
    }

    /// What a pod of this phase says, and whether one of the other takes it.
    fn understand(one: &Shared, other: &Shared) -> bool {
        let takes = |of: &Shared, said: &Word| of.secret() == said || of.accepted() == Some(said);
        takes(one, other.secret()) && takes(other, one.secret())
    }

    #[test]
    fn it_is_made_once() {
        let made = next(None, Some("first"), false, || word("a")).unwrap();
        assert_eq!(Shared::read(&secret(&made)), Some(made.clone()));
        assert_eq!(next(Some(&made), Some("first"), true, || unreachable!()), None);
        assert_eq!(next(Some(&made), None, true, || unreachable!()), None);
    }

    #[test]
    fn a_rotation_takes_three_steps_and_no_two_neighbours_refuse_each_other() {
        let mut shared = next(None, None, false, || word("a")).unwrap();
        let mut prints = vec![shared.fingerprint()];
        for step in 0..3 {
            assert_eq!(
                next(Some(&shared), Some("monday"), false, || unreachable!()),
                None,
                "not before all is settled"
            );
            let then = next(Some(&shared), Some("monday"), true, || word("b")).unwrap();
            assert!(understand(&shared, &then), "step {step}");
            assert!(then.data().contains_key(SECRET) && then.data().contains_key(ACCEPTED), "step {step}");
            shared = Shared::read(&secret(&then)).unwrap();
            assert_eq!(shared, then);
            prints.push(shared.fingerprint());
        }
        assert_eq!((shared.secret(), shared.accepted(), shared.is_rotating()), (&word("b"), None, false));
        assert_eq!(next(Some(&shared), Some("monday"), true, || unreachable!()), None, "once is enough");
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), 4, "each step is a revision");
        assert!(next(Some(&shared), Some("tuesday"), true, || word("c")).unwrap().is_rotating());
    }

    #[test]
    fn a_wish_during_a_rotation_waits_for_its_end() {
        let shared = next(None, None, false, || word("a")).unwrap();
        let offered = next(Some(&shared), Some("monday"), true, || word("b")).unwrap();
        let said = next(Some(&offered), Some("tuesday"), true, || unreachable!()).unwrap();
        let done = next(Some(&said), Some("tuesday"), true, || unreachable!()).unwrap();
        assert_eq!((done.secret(), done.accepted()), (&word("b"), None));
        assert_eq!(
            next(Some(&done), Some("tuesday"), true, || word("c")).unwrap().accepted(),
            Some(&word("c"))
        );
    }

    #[test]
    fn what_the_server_would_refuse_is_made_anew_and_a_lost_second_secret_ends_the_rotation() {
        let shared = next(None, None, false, || word("a")).unwrap();
        let offered = next(Some(&shared), Some("monday"), true, || word("b")).unwrap();
        for broken in ["", "short", "with a space in it, and long", "non-ascii-\u{e9}-0123456789"] {
            let mut with = secret(&offered);
            with.data.as_mut().unwrap().insert(SECRET.into(), ByteString(broken.as_bytes().to_vec()));
            assert_eq!(Shared::read(&with), None, "{broken}");
            let mut with = secret(&offered);
            with.data.as_mut().unwrap().insert(ACCEPTED.into(), ByteString(broken.as_bytes().to_vec()));
            let read = Shared::read(&with).unwrap();
            assert_eq!((read.is_rotating(), read.secret()), (false, &word("a")));
            assert!(
                next(Some(&read), Some("monday"), true, || word("c")).unwrap().is_rotating(),
                "and is begun anew"
            );
        }
        assert_eq!(Shared::read(&Secret::default()), None);
    }

    #[test]
    fn it_is_never_printed() {
        let shared = next(None, None, false, || word("hunter2")).unwrap();
        assert!(!format!("{shared:?}").contains("hunter2"));
        assert!(!shared.annotations().values().any(|value| value.contains("hunter2")));
    }
}
