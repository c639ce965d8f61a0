//! No peers: a replica whose bus reaches nobody else is the only one.

use crate::ports::{
    Fault,
    peers::{Answer, Ask, Asked, Peers},
};
use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use presence_core::ids::ReplicaId;

#[derive(Debug, Clone, Copy)]
pub struct NoPeers;

#[async_trait]
impl Peers for NoPeers {
    async fn ask(&self, _: ReplicaId, _: &Ask) -> Result<Answer, Fault> {
        Ok(Answer::NotHere)
    }

    async fn asked(&self, _: ReplicaId) -> Result<BoxStream<'static, Asked>, Fault> {
        Ok(stream::pending().boxed())
    }
}
