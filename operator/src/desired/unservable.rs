//! What the schema admits and yet cannot be served: each says which field, what is wrong with it and what would be right.

/// Most of these are refused by the API server already; here they are the last net, in front of the pods.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unservable {
    #[error(
        "metadata.name: {name:?} cannot name a Service: at most {MAX_NAME} of a-z, 0-9 and -, a letter first, no - last"
    )]
    Name { name: String },
    #[error("{field}: {text:?} is not a network in CIDR notation, such as 10.0.0.0/8")]
    Cidr { field: String, text: String },
    #[error("{field}: {text:?} is not a quantity, such as 100m, 1.5 or 512Mi")]
    Quantity { field: String, text: String },
    #[error("{field}: {key} is the operator's to set; take it out")]
    Reserved { field: String, key: String },
    #[error("{field}: {why}")]
    Spec { field: String, why: String },
}

/// What is made of a name must fit into a label of 63 characters: `-migrate-` and a revision are the longest addition.
pub(super) const MAX_NAME: usize = 44;

impl Unservable {
    pub(super) fn spec(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Spec { field: field.into(), why: why.into() }
    }

    /// The field's path, such as `spec.pod.resources`.
    pub fn field(&self) -> &str {
        match self {
            Self::Name { .. } => "metadata.name",
            Self::Cidr { field, .. }
            | Self::Quantity { field, .. }
            | Self::Reserved { field, .. }
            | Self::Spec { field, .. } => field,
        }
    }
}
