//! `cargo xtask image`: container images as OCI archives, without a Docker daemon.
//!
//! `Recipe` is what others build images with; the shipped ones are in `products.rs`.

mod archive;
mod base;
mod closure;
mod layer;
mod recipe;
mod tree;

pub(crate) use recipe::{Built, Folder, Recipe};
