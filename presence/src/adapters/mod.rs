//! The ports, on real things. An adapter sees ports, never flows, doors or the hub; only the composition root names one.

pub mod batch;
