//! The definition of `PresenceCluster`: its shape, its rules, its bounds. Rules are evaluated as the API server does it, by
//! kube's own CEL.

mod bounds;
mod document;
mod rules;
mod shape;
