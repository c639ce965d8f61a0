//! A Kubernetes object of any kind, as it ought to be: what `desired` makes, `plan` orders and `apply` sends.

use kube::core::{ApiResource, GroupVersionKind, Resource};
use serde::Serialize;
use serde_json::Value;

/// Which object: in the namespace of the resource it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `apps/v1`, or `v1`.
    pub api_version: String,
    pub kind: String,
    pub name: String,
}

/// An object as it ought to be: only the fields that are ours. It has no status, and no resource version.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub resource: ApiResource,
    pub name: String,
    /// The whole object, `apiVersion` and `kind` included, as it is applied.
    pub value: Value,
}

impl Object {
    /// # Panics
    ///
    /// Where `of` has no name, or cannot be JSON: it is made by this crate.
    pub fn new<K: Resource<DynamicType = ()> + Serialize>(of: &K) -> Self {
        let resource = ApiResource::erase::<K>(&());
        let mut value = serde_json::to_value(of).expect("a typed object is JSON");
        value["apiVersion"] = Value::String(resource.api_version.clone());
        value["kind"] = Value::String(resource.kind.clone());
        let name = of.meta().name.clone().expect("what this crate makes has a name");
        Self { resource, name, value }
    }

    /// Of a kind that k8s-openapi does not know.
    pub fn foreign(gvk: &GroupVersionKind, plural: &str, name: &str, mut value: Value) -> Self {
        let resource = ApiResource::from_gvk_with_plural(gvk, plural);
        value["apiVersion"] = Value::String(resource.api_version.clone());
        value["kind"] = Value::String(resource.kind.clone());
        Self { resource, name: name.to_owned(), value }
    }

    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.resource.api_version.clone(),
            kind: self.resource.kind.clone(),
            name: self.name.clone(),
        }
    }
}
