//! What a client said of itself when it opened its connection: in the query, or in a header.

use crate::flows::connect::Token;

/// Kept as it was said until the client asks to be let in; then it is judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    pub role: Option<String>,
    pub org_id: Option<String>,
    pub product_type: Option<String>,
    /// From the query's `auth`, or the `Authorization` header, which is preferred. One in the `auth` payload of the
    /// connect packet is preferred to both.
    pub token: Option<Token>,
}
