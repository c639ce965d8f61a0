//! What is known of owned objects, kept up to date by watches: one for each kind and scope, by label, trimmed. `fetch` reads
//! it, and never asks the API server for what is here.
//!
//! Calls: `list` and `watch` of every kind that the operator makes, and of Pods; never of Secrets.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kube::{api::DynamicObject, core::TypeMeta, discovery::ApiResource, runtime::watcher::Event};
use serde_json::{Value, json};

use crate::{
    compare::substance,
    object::ObjectRef,
    queue::{Key, Queue},
};

/// The label that every object of ours carries, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "presence-operator");
/// The label that names the resource it belongs to.
pub const INSTANCE: &str = "app.kubernetes.io/instance";

/// One namespace, or all of them.
pub type Scope = Option<String>;

/// How much of a kind is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All but the status: controllers write it again and again, and we do not read it.
    Spec,
    /// All of it.
    Whole,
    /// What a pod is like; not what it was made from.
    Pod,
}

/// A kind that is watched.
#[derive(Clone, Debug)]
pub struct Kind {
    pub resource: ApiResource,
    pub keep: Keep,
}

/// An object as text: as a tree it takes ten times as much, and most are only looked at every few minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept(Arc<[u8]>);

impl Kept {
    fn new(object: &DynamicObject) -> Self {
        Self(serde_json::to_vec(object).expect("what was read as JSON is JSON").into())
    }

    fn object(&self) -> DynamicObject {
        serde_json::from_slice(&self.0).expect("it was an object when it was written")
    }
}

type Objects = BTreeMap<ObjectRef, Kept>;

#[derive(Debug, Default)]
pub struct Caches {
    owned: RwLock<HashMap<Key, Objects>>,
    /// Watches that have not seen everything yet.
    behind: RwLock<BTreeSet<(String, Scope)>>,
}

/// One watch, while it lists anew.
#[derive(Debug, Default)]
pub struct Listing(Vec<(Key, ObjectRef, Kept)>);

impl Caches {
    /// From now on it waits for this watch, too.
    pub fn expect(&self, kind: &Kind, scope: &Scope) {
        write(&self.behind).insert((kind.resource.kind.clone(), scope.clone()));
    }

    /// A watch has seen everything.
    pub fn seen(&self, kind: &Kind, scope: &Scope) {
        write(&self.behind).remove(&(kind.resource.kind.clone(), scope.clone()));
    }

    /// The cluster knows the kind no more: of its objects none is left, and nothing is waited for.
    pub fn forget(&self, resource: &ApiResource) {
        write(&self.behind).retain(|(kind, _)| *kind != resource.kind);
        let mut owned = write(&self.owned);
        for objects in owned.values_mut() {
            objects.retain(|name, _| name.kind != resource.kind || name.api_version != resource.api_version);
        }
        owned.retain(|_, objects| !objects.is_empty());
    }

    /// The kinds that have not been seen whole.
    pub fn behind(&self) -> Vec<String> {
        read(&self.behind).iter().map(|(kind, _)| kind.clone()).collect()
    }

    /// All that is known of one resource's objects, by their label. Whose they are is for the reader to check.
    pub fn of(&self, key: &Key) -> Vec<(ObjectRef, Arc<DynamicObject>)> {
        // Read once the lock is given back.
        let kept = read(&self.owned).get(key).cloned().unwrap_or_default();
        kept.into_iter().map(|(name, kept)| (name, Arc::new(kept.object()))).collect()
    }

    /// Takes in what a watch said, and tells `queue` whom it concerns.
    pub fn hear(
        &self,
        (kind, scope): (&Kind, &Scope),
        listing: &mut Listing,
        event: Event<DynamicObject>,
        queue: &Queue,
    ) {
        match event {
            Event::Init => listing.0.clear(),
            Event::InitApply(object) => listing.0.extend(entry(kind, object)),
            Event::InitDone => {
                self.replace(kind, scope, std::mem::take(&mut listing.0), queue);
                self.seen(kind, scope);
            }
            Event::Apply(object) => {
                let Some((key, name, object)) = entry(kind, object) else { return };
                let former = write(&self.owned).entry(key.clone()).or_default().insert(name, object.clone());
                if former.is_none_or(|former| differs(kind, &former, &object)) {
                    queue.push(key);
                }
            }
            Event::Delete(object) => {
                let Some((key, name, _)) = entry(kind, object) else { return };
                remove(&mut write(&self.owned), &key, &name);
                queue.push(key);
            }
        }
    }

    /// What a new list does not have is gone.
    fn replace(&self, kind: &Kind, scope: &Scope, found: Vec<(Key, ObjectRef, Kept)>, queue: &Queue) {
        let mut owned = write(&self.owned);
        let mut former: HashMap<(Key, ObjectRef), Kept> = HashMap::new();
        for (key, objects) in
            owned.iter_mut().filter(|(key, _)| scope.as_ref().is_none_or(|ns| *ns == key.namespace))
        {
            let of_kind = objects.keys().filter(|name| is_of(kind, name)).cloned().collect::<Vec<_>>();
            for name in of_kind {
                if let Some(object) = objects.remove(&name) {
                    former.insert((key.clone(), name), object);
                }
            }
        }
        for (key, name, object) in found {
            let before = former.remove(&(key.clone(), name.clone()));
            if before.is_none_or(|before| differs(kind, &before, &object)) {
                queue.push(key.clone());
            }
            owned.entry(key).or_default().insert(name, object);
        }
        for (key, _) in former.into_keys() {
            queue.push(key);
        }
        owned.retain(|_, objects| !objects.is_empty());
    }
}

fn remove(owned: &mut HashMap<Key, Objects>, key: &Key, name: &ObjectRef) {
    if let Some(objects) = owned.get_mut(key) {
        objects.remove(name);
        if objects.is_empty() {
            owned.remove(key);
        }
    }
}

fn is_of(kind: &Kind, name: &ObjectRef) -> bool {
    name.kind == kind.resource.kind && name.api_version == kind.resource.api_version
}

/// Whether something changed that a plan could depend on.
fn differs(kind: &Kind, before: &Kept, after: &Kept) -> bool {
    if before == after {
        return false;
    }
    let (before, after) = (&before.object(), &after.object());
    if before.metadata.resource_version == after.metadata.resource_version {
        return false;
    }
    let status = |of: &DynamicObject| of.data.get("status").cloned();
    let value = |of: &DynamicObject| serde_json::to_value(of).map(|of| substance(&of)).unwrap_or_default();
    (kind.keep != Keep::Spec && status(before) != status(after)) || value(before) != value(after)
}

/// Nothing where it has no owner's name: it was not made by us.
fn entry(kind: &Kind, object: DynamicObject) -> Option<(Key, ObjectRef, Kept)> {
    let object = trimmed(kind, object);
    let name = ObjectRef {
        api_version: kind.resource.api_version.clone(),
        kind: kind.resource.kind.clone(),
        name: object.metadata.name.clone()?,
    };
    let instance = object.metadata.labels.as_ref()?.get(INSTANCE)?.clone();
    let key = Key { namespace: object.metadata.namespace.clone()?, name: instance };
    Some((key, name, Kept::new(&object)))
}

/// As it is kept: with its type, which lists leave out, and without what nobody here reads.
pub fn trimmed(kind: &Kind, mut object: DynamicObject) -> DynamicObject {
    let (api_version, name) = (kind.resource.api_version.clone(), kind.resource.kind.clone());
    object.types = Some(TypeMeta { api_version, kind: name });
    object.metadata.managed_fields = None;
    if let Some(data) = object.data.as_object_mut() {
        match kind.keep {
            Keep::Whole => {}
            Keep::Spec => drop(data.remove("status")),
            Keep::Pod => {
                let spec = data.get("spec").cloned().unwrap_or_default();
                let mut kept = json!({ "containers": [] });
                for field in ["nodeName", "terminationGracePeriodSeconds"] {
                    if let Some(value) = spec.get(field) {
                        kept[field] = value.clone();
                    }
                }
                data.insert("spec".to_owned(), kept);
            }
        }
    }
    object
}

/// The object as the JSON that is compared.
pub fn value(of: &DynamicObject) -> Value {
    serde_json::to_value(of).expect("what was read as JSON is JSON")
}

fn read<T>(of: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    of.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(of: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    of.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(version: &str, replicas: u32, ready: u32) -> DynamicObject {
        let value = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "school-1", "namespace": "n", "uid": "u", "resourceVersion": version,
                "labels": { INSTANCE: "school", MANAGED_BY.0: MANAGED_BY.1 },
                "ownerReferences": [{ "apiVersion": "v1", "kind": "X", "name": "school", "uid": "o", "controller": true }],
                "managedFields": [{ "manager": "m" }],
            },
            "spec": { "replicas": replicas, "template": { "spec": { "containers": [{ "name": "presence" }] } } },
            "status": { "readyReplicas": ready },
        });
        serde_json::from_value(value).unwrap()
    }

    fn kind(keep: Keep) -> Kind {
        let resource = ApiResource::erase::<k8s_openapi::api::apps::v1::Deployment>(&());
        Kind { resource, keep }
    }

    #[test]
    fn what_was_kept_is_what_was_seen_but_for_what_nobody_reads() {
        let (caches, queue, scope) = (Caches::default(), Queue::default(), None);
        let kind = kind(Keep::Whole);
        let heard = Event::Apply(deployment("7", 3, 2));
        caches.hear((&kind, &scope), &mut Listing::default(), heard, &queue);
        let key = Key { namespace: "n".to_owned(), name: "school".to_owned() };
        let found = caches.of(&key);
        let mut wanted = value(&deployment("7", 3, 2));
        wanted["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert_eq!(found.len(), 1);
        assert_eq!(value(&found[0].1), wanted);
        assert!(caches.of(&Key { name: "other".to_owned(), ..key }).is_empty());
    }

    #[test]
    fn of_a_kind_that_is_gone_nothing_is_left_and_nothing_awaited() {
        let (caches, queue, scope) = (Caches::default(), Queue::default(), None);
        let kind = kind(Keep::Whole);
        let key = Key { namespace: "n".to_owned(), name: "school".to_owned() };
        caches.hear((&kind, &scope), &mut Listing::default(), Event::Apply(deployment("7", 3, 2)), &queue);
        caches.expect(&kind, &scope);
        caches.forget(&ApiResource::erase::<k8s_openapi::api::batch::v1::Job>(&()));
        assert_eq!((caches.of(&key).len(), caches.behind().len()), (1, 1), "another kind");
        caches.forget(&kind.resource);
        assert_eq!((caches.of(&key).len(), caches.behind().len()), (0, 0));
    }

    #[test]
    fn a_change_is_one_of_what_is_read() {
        let differs = |keep, one: (&str, u32, u32), other: (&str, u32, u32)| {
            let kind = kind(keep);
            let kept =
                |(version, replicas, ready)| Kept::new(&trimmed(&kind, deployment(version, replicas, ready)));
            differs(&kind, &kept(one), &kept(other))
        };
        assert!(!differs(Keep::Whole, ("7", 3, 2), ("7", 3, 2)));
        assert!(!differs(Keep::Whole, ("7", 3, 2), ("8", 3, 2)), "a version is nothing to act on");
        assert!(differs(Keep::Whole, ("7", 3, 2), ("8", 3, 3)));
        assert!(differs(Keep::Spec, ("7", 3, 2), ("8", 4, 2)));
        assert!(!differs(Keep::Spec, ("7", 3, 2), ("8", 3, 3)), "others write it again and again");
    }
}
