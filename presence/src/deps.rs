//! What flows work with: the ports, the settings, the metrics. Made once by the composition root, shared by all.

use crate::{
    config::Config,
    ports::{authn::Authn, authz::Authz, bus::Bus, clock::Clock, peers::Peers, session_store::Store},
    telemetry::Metrics,
};
use std::sync::Arc;

#[derive(Debug, Clone)]
pub struct Deps {
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    pub peers: Arc<dyn Peers>,
    pub authn: Arc<dyn Authn>,
    pub authz: Arc<dyn Authz>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub config: Arc<Config>,
}
