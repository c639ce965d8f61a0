//! The reader of the lesson state: every key of it at one moment, for the history.

use crate::{history::now, keys::Keys};
use anyhow::Result;
use presence_api::history::{Act, Entry};
use std::collections::BTreeMap;

/// Of the service's own keys, those that say which sockets a replica keeps.
const HELD: &str = "presence:sockets:";

/// A line for each key, and one that closes them. A key that goes while it is read fails it: then it was not quiet.
pub async fn read(keys: &Keys) -> Result<Vec<Entry>> {
    let began = now();
    let mut acts = vec![];
    for name in keys.all().await? {
        if name.starts_with("presence:") && !name.starts_with(HELD) {
            continue;
        }
        let fields = if name.starts_with("lesson_room_") {
            BTreeMap::from([(String::new(), keys.text(&name).await?.unwrap_or_default())])
        } else {
            keys.hash(&name).await?
        };
        let left = keys.ttl(&name).await?;
        let expires_in = left.map(|left| i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
        acts.push(Act::Kept { name, fields, expires_in });
    }
    let count = acts.len() as u64;
    acts.push(Act::KeptAll { keys: count });
    let at = now();
    Ok(acts.into_iter().map(|act| Entry { began, at, actor: "redis reader".into(), act }).collect())
}
