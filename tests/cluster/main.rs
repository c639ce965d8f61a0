//! Tier `cluster`: the operator, its chart and presence on a real Kubernetes. A file for each question that a platform
//! team would ask.

mod crashing;
mod deleting;
mod electing;
mod foreign;
mod installing;
mod nodes;
mod policies;
mod references;
mod resting;
mod rights;
mod rolling;
mod schema;
mod wrong_specs;
