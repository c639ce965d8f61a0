//! The `Authz` port by what the token itself lists: the classrooms of its `classrooms` claim, and no others.
//!
//! An entry is a classroom id, in which `*` stands for any run of characters, none included. A classroom id cannot
//! hold a `*`, so no entry means two things. A token that lists nothing admits to nothing.

use crate::ports::{
    authn::Identity,
    authz::{Action, Authz, Error, Object},
};
use async_trait::async_trait;

#[derive(Debug, Clone, Copy, Default)]
pub struct ClaimsAuthz;

#[async_trait]
impl Authz for ClaimsAuthz {
    async fn authorize(&self, who: &Identity, action: Action, object: &Object) -> Result<(), Error> {
        // Who may be in a classroom may see who else is.
        match action {
            Action::Connect | Action::Read => {}
        }
        let entries = who.classrooms.as_deref().unwrap_or_default();
        let admitted = entries.iter().any(|entry| match object {
            Object::Classroom(id) => matches(entry, id.as_str()),
            Object::AllClassrooms => entry == "*",
        });
        if admitted { Ok(()) } else { Err(Error::Denied) }
    }
}

/// Whether the whole of `text` is of the pattern. Greedy from the left, so its time is bounded by the product of the
/// lengths whatever the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, pattern)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, tail) = pattern.rsplit_once('*').unwrap_or(("", pattern));
    let Some(mut rest) = text.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)) else {
        return false;
    };
    for piece in middle.split('*') {
        let Some((_, after)) = rest.split_once(piece) else {
            return false;
        };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_core::time::UnixMicros;
    use proptest::prelude::*;

    async fn may(classrooms: Option<&[&str]>, object: &Object) -> bool {
        let who = Identity {
            account: "a".parse().unwrap(),
            audience: "example".parse().unwrap(),
            expires: UnixMicros(0),
            classrooms: classrooms.map(|list| list.iter().map(|entry| (*entry).to_owned()).collect()),
            org_id: None,
            role: None,
        };
        let connect = ClaimsAuthz.authorize(&who, Action::Connect, object).await.is_ok();
        let read = ClaimsAuthz.authorize(&who, Action::Read, object).await.is_ok();
        assert_eq!(connect, read);
        connect
    }

    fn room(id: &str) -> Object {
        Object::Classroom(id.parse().unwrap())
    }

    #[tokio::test]
    async fn a_token_admits_to_what_it_lists_and_to_nothing_else() {
        assert!(may(Some(&["physics", "math-7"]), &room("math-7")).await);
        assert!(may(Some(&["math-*"]), &room("math-7")).await);
        assert!(may(Some(&["*"]), &room("math-7")).await);
        for list in [&["math-7a"][..], &["math-"], &["MATH-7"], &[""], &["math-?"], &["math-.*"], &[]] {
            assert!(!may(Some(list), &room("math-7")).await, "{list:?}");
        }
        assert!(!may(None, &room("math-7")).await);
    }

    #[tokio::test]
    async fn all_classrooms_are_for_those_who_list_all() {
        assert!(may(Some(&["math-7", "*"]), &Object::AllClassrooms).await);
        for list in [Some(&["math-7", "m*", "*-7"][..]), Some(&[]), None] {
            assert!(!may(list, &Object::AllClassrooms).await, "{list:?}");
        }
    }

    /// The textbook definition, exponential and obvious.
    fn oracle(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', more @ ..], _) => (0..=text.len()).any(|skip| oracle(more, &text[skip..])),
            ([p, more @ ..], [t, rest @ ..]) => p == t && oracle(more, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_exactly_what_it_says(pattern in "[ab*]{0,8}", text in "[ab]{1,8}") {
            prop_assert_eq!(matches(&pattern, &text), oracle(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn without_a_star_only_the_same_id_matches(entry in "[A-Za-z0-9_.?\\[\\]\\\\-]{1,12}", id in "[A-Za-z0-9_-]{1,12}") {
            prop_assert_eq!(matches(&entry, &id), entry == id);
        }

        #[test]
        fn a_prefix_never_matches_outside_itself(prefix in "[a-z-]{1,8}", id in "[a-z-]{1,12}") {
            prop_assert_eq!(matches(&format!("{prefix}*"), &id), id.starts_with(&prefix));
        }
    }
}
