//! `presence-operator`: its command line.

fn main() {
    // The schema is all that can be had so far.
    drop(<presence_operator::crd::PresenceCluster as kube::CustomResourceExt>::crd());
}
