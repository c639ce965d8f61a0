//! Sibling services: they speak in classrooms, to everybody, to one, or among themselves, and now and then a great deal.

use crate::{
    agent::Stage,
    world::{
        identity::AUDIENCE,
        stream::{ID, Message},
    },
};
use presence_api::event::headers;
use std::sync::Arc;
use tokio::time::sleep;

/// Speaks in a classroom until the calm.
pub(crate) async fn publish(stage: Arc<Stage>, classroom: String) {
    let chance = stage.world.chance(&format!("publisher of {classroom}"));
    let (subject, pace) = (format!("classroom.{classroom}.chat"), chance.between(200..=5_000));
    let mut number = 0;
    while !stage.calm.is_cancelled() {
        sleep(chance.millis(1..=pace)).await;
        let burst = if chance.percent(5) { 40 } else { 1 };
        for _ in 0..burst {
            number += 1;
            let someone = || format!("web.agent-{}.{AUDIENCE}", chance.between(0..=11));
            let mut said = vec![(ID, format!("{classroom}:{number}"))];
            if chance.percent(15) {
                said.push((headers::RECEIVER, someone()));
            }
            if chance.percent(30) {
                said.push((headers::SENDER, someone()));
            }
            if chance.percent(5) {
                said.push((headers::INTERNAL, "true".to_owned()));
            }
            let length = usize::try_from(chance.between(10..=300)).unwrap_or(10);
            let body = format!(
                r#"{{"id":{{"entity_type":"chat","operation":"said","sequence_id":{number}}},"payload":{{"said_in":"{classroom}","text":"{}"}}}}"#,
                "x".repeat(length),
            );
            let id = said[0].1.clone();
            let message = Message { subject: &subject, id: &id, headers: &said, body: body.as_bytes() };
            stage.world.stream.publish(&stage.world, &message);
        }
    }
}
