//! Whether a kubelet can pull images with a Secret. It reads one key, by the Secret's type, and ignores all else without a word.

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::Unusable;

/// What is asked for; the other one is its forerunner.
pub(super) const KEY: &str = ".dockerconfigjson";
const TYPE: &str = "kubernetes.io/dockerconfigjson";
const FORMER: (&str, &str) = ("kubernetes.io/dockercfg", ".dockercfg");

/// None where the key of its type is missing.
pub(super) fn judge(secret: &Secret) -> Option<Result<(), Unusable>> {
    let document = |key: &str| {
        let bytes = &secret.data.as_ref()?.get(key)?.0;
        Some(serde_json::from_slice::<Value>(bytes))
    };
    match secret.type_.as_deref() {
        Some(TYPE) => Some(usable(document(KEY)?.ok().as_ref().and_then(|it| it.get("auths")))),
        Some(kind) if kind == FORMER.0 => Some(usable(document(FORMER.1)?.ok().as_ref())),
        _ => Some(Err(Unusable::NotForImages)),
    }
}

/// Registries by name, with what to say to each.
fn usable(registries: Option<&Value>) -> Result<(), Unusable> {
    let registries = registries.and_then(Value::as_object).ok_or(Unusable::Format)?;
    let is_so = !registries.is_empty() && registries.values().all(Value::is_object);
    if is_so { Ok(()) } else { Err(Unusable::Format) }
}
