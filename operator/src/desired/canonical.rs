//! What the API server would drop or write otherwise, taken out beforehand: live objects then hold exactly what was applied,
//! and nothing is written at rest.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Unservable, quantity};

/// A key without a value is no key.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Maps that mean the same when they are empty. Others do not: `podSelector: {}` is everything, none is nothing.
const OMITTED: [&str; 6] = ["matchLabels", "nodeSelector", "annotations", "labels", "requests", "limits"];

fn drop_empties(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.values_mut().for_each(drop_empties);
            entries.retain(|key, value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::String(text) => !text.is_empty(),
                Value::Object(entries) => !entries.is_empty() || !OMITTED.contains(&key.as_str()),
                _ => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empties),
        _ => {}
    }
}

/// A part of the spec that is handed on as it is. Empty text is dropped as well: the API server has none of it there.
pub(super) fn handed_on<T: Serialize + DeserializeOwned + Clone>(part: &T) -> T {
    let Ok(mut value) = serde_json::to_value(part) else { return part.clone() };
    drop_empties(&mut value);
    serde_json::from_value(value).unwrap_or_else(|_| part.clone())
}

pub(super) fn resources(field: &str, of: &ResourceRequirements) -> Result<ResourceRequirements, Unservable> {
    if of.claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
        let why = "resource claims are of devices, of which presence has no use; take them out";
        return Err(Unservable::spec(format!("{field}.claims"), why));
    }
    for (resource, request) in of.requests.iter().flatten() {
        let limit = of.limits.as_ref().and_then(|limits| limits.get(resource));
        let both = limit.and_then(|limit| Some((quantity::parse(&request.0)?, quantity::parse(&limit.0)?)));
        if let Some((request, limit)) = both
            && request.exceeds(limit)
        {
            let why = format!("{request} is more than the limit of {limit}");
            return Err(Unservable::spec(format!("{field}.requests.{resource}"), why));
        }
    }
    Ok(ResourceRequirements {
        requests: amounts(&format!("{field}.requests"), of.requests.as_ref())?,
        limits: amounts(&format!("{field}.limits"), of.limits.as_ref())?,
        claims: None,
    })
}

type Amounts = BTreeMap<String, Quantity>;

fn amounts(field: &str, of: Option<&Amounts>) -> Result<Option<Amounts>, Unservable> {
    let canonical = |(resource, amount): (&String, &Quantity)| match quantity::parse(&amount.0) {
        Some(canonical) => Ok((resource.clone(), Quantity(canonical.to_string()))),
        None => Err(Unservable::Quantity { field: format!("{field}.{resource}"), text: amount.0.clone() }),
    };
    let amounts: Amounts = of.into_iter().flatten().map(canonical).collect::<Result<_, _>>()?;
    Ok((!amounts.is_empty()).then_some(amounts))
}
