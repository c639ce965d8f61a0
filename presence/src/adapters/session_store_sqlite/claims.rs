//! Claims: up to 64 keys in one transaction. It reads who holds them, then keeps, replaces or makes the sessions.

use super::{
    connection::{Change, Database, now},
    leaving::{Left, leave},
};
use crate::{
    adapters::{
        batch::{Abandoned, SameKey, Work},
        sql::{WHAT, id},
    },
    ports::{
        Fault,
        session_store::{Claim, Claimed},
    },
};
use async_trait::async_trait;
use presence_core::{
    ids::{Generation, ReplicaId, SessionId, SessionKey},
    replace::Holder,
    session::Held,
};
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

const FIRST_GENERATION: i64 = 1;

/// Those of the claims whose replica may claim: its lease runs, and the fence is the one that it has now.
const STANDING: &str = concat!(
    "SELECT w.key FROM json_each(?1) w
    JOIN replica r ON r.id = w.value ->> 0 AND r.fence = w.value ->> 1 AND r.lease_until > ",
    now!()
);

/// Which of the keys are held, by whom, and whether the claim keeps the session.
const HELD: &str = concat!(
    "SELECT w.key, s.id, s.generation, s.replica_id, ",
    now!(),
    ", s.replica_id = w.value ->> 2 OR s.id IS w.value ->> 3 OR s.shed_at IS NOT NULL OR NOT EXISTS (
        SELECT 1 FROM replica r WHERE r.id = s.replica_id AND NOT r.draining AND r.lease_until > ",
    now!(),
    ")
    FROM json_each(?1) w
    JOIN agent_session s ON s.classroom_id = w.value ->> 1 AND s.agent_id = w.value ->> 0"
);

const KEEP: &str = concat!(
    "UPDATE agent_session SET replica_id = w.replica_id, generation = generation + 1, shed_at = NULL, claimed_at = ",
    now!(),
    " FROM (SELECT value ->> 0 AS id, value ->> 1 AS replica_id FROM json_each(?1)) w WHERE agent_session.id = w.id"
);

/// One that replaces another begins when that one ended, whatever the clock has gone on since.
const BEGIN: &str = concat!(
    "INSERT INTO agent_session (agent_id, classroom_id, replica_id, generation, started_at, claimed_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, coalesce(value ->> 4, ",
    now!(),
    "), ",
    now!(),
    " FROM json_each(?1) ORDER BY key RETURNING id, agent_id, classroom_id"
);

const TELL: &str = concat!(
    "INSERT INTO outbox (operation, session_id, agent_id, classroom_id, replica_id, created_at)
    SELECT 'entered', s.id, s.agent_id, s.classroom_id, s.replica_id, ",
    now!(),
    " FROM json_each(?1) w JOIN agent_session s ON s.id = w.value ORDER BY w.key"
);

#[derive(Debug)]
pub(super) struct Claims(Database);

impl Claims {
    pub(super) const fn new(database: Database) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Work for Claims {
    type Request = Claim;
    /// Without one, the claim was refused.
    type Response = Option<Claimed>;
    type Key = SessionKey;

    const WHAT: &'static str = WHAT;
    // The holders are read once for the whole batch.
    const SAME_KEY: SameKey = SameKey::TakesTurns;
    // A session claimed for nobody would be a ghost.
    const ABANDONED: Abandoned = Abandoned::Dropped;

    fn key(claim: &Claim) -> SessionKey {
        claim.key.clone()
    }

    async fn perform(&self, mut claims: Vec<Claim>) -> Result<Vec<Option<Claimed>>, Fault> {
        let mut change = self.0.change().await?;
        let admitted = standing(&mut change, &claims).await?;
        let mut admitted_too = admitted.iter();
        claims.retain(|_| admitted_too.next() == Some(&true));
        let mut claimed = take(change, &claims).await?.into_iter();
        Ok(admitted.into_iter().map(|admitted| admitted.then(|| claimed.next()).flatten()).collect())
    }
}

/// Takes the sessions of these claims, all of which have a say.
async fn take(mut change: Change, claims: &[Claim]) -> Result<Vec<Claimed>, Fault> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let before = holders(&mut change, claims).await?;
    keep(&mut change, claims, &before).await?;
    let replaced = before.iter().flatten().filter(|before| !before.keeps);
    let replaced: Vec<_> = replaced.map(|before| (before.holder.session_id.0, before.now)).collect();
    leave(&mut change, &replaced, Left::Untold).await?;
    let begun = begin(&mut change, claims, &before).await?;
    change.commit().await?;
    let pairs = claims.iter().zip(&before);
    pairs.map(|(claim, before)| claimed(before.as_ref(), begun.get(&claim.key))).collect()
}

/// Which of the claims are not refused.
async fn standing(change: &mut Change, claims: &[Claim]) -> Result<Vec<bool>, Fault> {
    let asked: Vec<_> =
        claims.iter().map(|claim| json!([claim.replica_id.to_string(), claim.fence.0])).collect();
    let query = sqlx::query_as::<_, (u32,)>(STANDING).bind(json!(asked).to_string());
    let mut admitted = vec![false; claims.len()];
    for (index,) in change.rows(query).await? {
        admitted[index as usize] = true;
    }
    Ok(admitted)
}

/// Who held a key when the claim came.
struct Before {
    holder: Holder,
    keeps: bool,
    now: i64,
}

impl Before {
    const fn next_generation(&self) -> i64 {
        self.holder.generation.0 + 1
    }
}

async fn holders(change: &mut Change, claims: &[Claim]) -> Result<Vec<Option<Before>>, Fault> {
    let wanted = claims.iter().map(|Claim { key, replica_id, resume, .. }| {
        json!([key.agent_id, key.classroom_id, replica_id.to_string(), resume])
    });
    let wanted = json!(wanted.collect::<Vec<_>>()).to_string();
    let query = sqlx::query_as::<_, (u32, i64, i64, String, i64, bool)>(HELD).bind(wanted);
    let mut before: Vec<_> = claims.iter().map(|_| None).collect();
    for (index, session, generation, replica, now, keeps) in change.rows(query).await? {
        let replica = Uuid::parse_str(&replica).map_err(|error| Fault::failed(WHAT, error))?;
        let holder = Holder {
            session_id: SessionId(session),
            generation: Generation(generation),
            replica_id: ReplicaId(replica.as_u128()),
        };
        before[index as usize] = Some(Before { holder, keeps, now });
    }
    Ok(before)
}

async fn keep(change: &mut Change, claims: &[Claim], before: &[Option<Before>]) -> Result<(), Fault> {
    let kept = before.iter().zip(claims).filter_map(|(before, claim)| {
        let kept = before.as_ref().filter(|before| before.keeps)?;
        Some(json!([kept.holder.session_id, claim.replica_id.to_string()]))
    });
    let kept: Vec<_> = kept.collect();
    if !kept.is_empty() {
        change.each(KEEP, &json!(kept)).await?;
    }
    Ok(())
}

/// Makes the sessions that are not kept, and tells of those that nobody held.
async fn begin(
    change: &mut Change,
    claims: &[Claim],
    before: &[Option<Before>],
) -> Result<HashMap<SessionKey, SessionId>, Fault> {
    let new = claims.iter().zip(before).filter_map(|(claim, before)| {
        let (generation, since) = match before {
            Some(before) if before.keeps => return None,
            Some(before) => (before.next_generation(), Some(before.now)),
            None => (FIRST_GENERATION, None),
        };
        let Claim { key, replica_id, .. } = claim;
        Some(json!([key.agent_id, key.classroom_id, replica_id.to_string(), generation, since]))
    });
    let new: Vec<_> = new.collect();
    if new.is_empty() {
        return Ok(HashMap::new());
    }
    let query = sqlx::query_as::<_, (i64, String, String)>(BEGIN).bind(json!(new).to_string());
    let mut begun = HashMap::with_capacity(new.len());
    for (session, agent, classroom) in change.rows(query).await? {
        let key = SessionKey { agent_id: id(&agent)?, classroom_id: id(&classroom)? };
        begun.insert(key, SessionId(session));
    }
    let entered = claims.iter().zip(before).filter(|(_, before)| before.is_none());
    let entered: Vec<_> = entered.filter_map(|(claim, _)| begun.get(&claim.key)).collect();
    if !entered.is_empty() {
        change.each(TELL, &json!(entered)).await?;
    }
    Ok(begun)
}

fn claimed(before: Option<&Before>, begun: Option<&SessionId>) -> Result<Claimed, Fault> {
    let previous = before.map(|before| before.holder);
    let kept = previous.map(|holder| holder.session_id);
    let session_id =
        begun.copied().or(kept).ok_or_else(|| Fault::failed(WHAT, "a claim came back without its row"))?;
    let generation = Generation(before.map_or(FIRST_GENERATION, Before::next_generation));
    let held = Held { session_id, generation };
    Ok(Claimed { held, previous })
}
