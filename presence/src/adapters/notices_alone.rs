//! No notices: a replica whose bus reaches nobody else has nobody to tell.

use crate::ports::{
    Fault,
    notices::{Notice, Notices},
};
use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use presence_core::ids::ReplicaId;

#[derive(Debug, Clone, Copy)]
pub struct NoNotices;

#[async_trait]
impl Notices for NoNotices {
    async fn tell(&self, _: ReplicaId, _: &Notice) -> Result<(), Fault> {
        Ok(())
    }

    async fn heard(&self, _: ReplicaId) -> Result<BoxStream<'static, Notice>, Fault> {
        Ok(stream::pending().boxed())
    }
}
