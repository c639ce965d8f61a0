//! Tier `cluster`: the operator, its chart and presence on a real Kubernetes. A file for each question that a platform
//! team would ask.

mod installing;
