//! Keys with fields or a text, as a Redis has them: they expire, and there are only so many.

use presence_core::time::{Time, millis};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

#[derive(Debug)]
pub(super) struct Table {
    most: usize,
    now: Time,
    /// Grows with every write.
    turn: u64,
    keys: HashMap<String, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// A text is the field of no name.
    fields: BTreeMap<String, String>,
    expires: Option<Time>,
    turn: u64,
}

const TEXT: &str = "";

impl Table {
    pub(super) fn new(most: usize) -> Self {
        Self { most, now: Time(0), turn: 0, keys: HashMap::new() }
    }

    pub(super) const fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    fn get(&self, key: &str) -> Option<&Kept> {
        self.keys.get(key).filter(|kept| kept.lives(self.now))
    }

    pub(super) fn exists(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn expires(&self, key: &str) -> bool {
        self.get(key).is_some_and(|kept| kept.expires.is_some())
    }

    pub(super) fn field(&self, key: &str, field: &str) -> Option<&str> {
        self.get(key)?.fields.get(field).map(String::as_str)
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.field(key, TEXT).map(str::to_owned)
    }

    pub(super) fn hash(&self, key: &str) -> Option<(BTreeMap<String, String>, Option<Duration>)> {
        let kept = self.get(key)?;
        let left = kept.expires.map(|at| Duration::from_millis(at.since(self.now)));
        Some((kept.fields.clone(), left))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.keys.iter().filter(|(_, kept)| kept.lives(self.now)).map(|(name, _)| name.clone()).collect()
    }

    /// Other fields stay, and so does an expiry.
    pub(super) fn write<F: Into<String>, V: Into<String>>(
        &mut self,
        key: &str,
        fields: impl IntoIterator<Item = (F, V)>,
    ) {
        let fields = fields.into_iter().map(|(field, value)| (field.into(), value.into()));
        self.entry(key).fields.extend(fields);
    }

    /// Whatever was there is gone, with its expiry.
    pub(super) fn set(&mut self, key: &str, text: String) {
        self.keys.remove(key);
        self.entry(key).fields.insert(TEXT.to_owned(), text);
    }

    pub(super) fn expire(&mut self, key: &str, after: Duration) {
        let at = self.now.after(millis(after));
        if let Some(kept) = self.keys.get_mut(key) {
            kept.expires = Some(at);
        }
    }

    pub(super) fn keep(&mut self, key: &str) {
        if let Some(kept) = self.keys.get_mut(key) {
            kept.expires = None;
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.keys.remove(key);
    }

    /// A key without fields is none.
    pub(super) fn remove_field(&mut self, key: &str, field: &str) {
        if let Some(kept) = self.keys.get_mut(key) {
            kept.fields.remove(field);
            if kept.fields.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    fn entry(&mut self, key: &str) -> &mut Kept {
        if !self.exists(key) {
            self.keys.remove(key);
            if self.keys.len() >= self.most {
                self.make_room();
            }
        }
        self.turn += 1;
        let kept = self.keys.entry(key.to_owned()).or_default();
        kept.turn = self.turn;
        kept
    }

    /// Those that have expired go; where that is not enough, an eighth of the others, the longest unwritten first. So it
    /// costs little for each key that is made.
    fn make_room(&mut self) {
        let now = self.now;
        self.keys.retain(|_, kept| kept.lives(now));
        let spare = self.most - self.most / 8;
        if self.keys.len() > spare {
            let mut turns: Vec<u64> = self.keys.values().map(|kept| kept.turn).collect();
            turns.sort_unstable();
            let first_kept = turns[turns.len() - spare];
            self.keys.retain(|_, kept| kept.turn >= first_kept);
        }
    }
}

impl Kept {
    fn lives(&self, now: Time) -> bool {
        self.expires.is_none_or(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_expires_and_begins_anew() {
        let mut table = Table::new(100);
        table.write("a", [("x", "1")]);
        table.expire("a", Duration::from_secs(1));
        table.set_now(Time(999));
        assert_eq!(table.hash("a").unwrap().1, Some(Duration::from_millis(1)));
        table.set_now(Time(1_000));
        assert!(!table.exists("a") && table.field("a", "x").is_none());
        table.write("a", [("y", "2")]);
        let fresh = (BTreeMap::from([("y".to_owned(), "2".to_owned())]), None);
        assert_eq!(table.hash("a"), Some(fresh));
    }

    #[test]
    fn there_are_only_so_many_and_what_was_written_last_stays() {
        let mut table = Table::new(16);
        for n in 0..1_000 {
            table.write("busy", [("n", n.to_string())]);
            table.write(&n.to_string(), [("x", "")]);
            assert!(table.keys.len() <= 16);
        }
        assert_eq!(table.field("busy", "n"), Some("999"));
        assert!(table.exists("999") && table.exists("995") && !table.exists("0"));
    }

    #[test]
    fn a_key_without_fields_is_none() {
        let mut table = Table::new(16);
        table.write("a", [("x", "1")]);
        table.remove_field("a", "x");
        assert!(!table.exists("a"));
    }
}
