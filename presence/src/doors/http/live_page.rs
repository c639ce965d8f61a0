//! `/`: one page, all in one file, that shows who is present in a classroom. It may run its own script and nothing
//! else, and speaks to this host alone.

use axum::{
    Router,
    http::{
        HeaderName, HeaderValue,
        header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY},
    },
    response::Html,
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("live.html");

pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let headers = [
        (CONTENT_SECURITY_POLICY, policy(PAGE)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    Router::new().route("/", get(async move || (headers.clone(), Html(PAGE))))
}

/// Names the script and the style by their hashes, so that no other can run.
fn policy(page: &str) -> HeaderValue {
    let hash = |tag: &str| {
        let inside = page
            .split_once(&format!("<{tag}>"))
            .and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")))
            .map_or("", |(inside, _)| inside);
        STANDARD.encode(Sha256::digest(inside))
    };
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style")
    );
    HeaderValue::from_str(&policy).expect("base64 and words are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_what_its_policy_names_and_fetches_nothing() {
        for tag in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1);
            assert!(PAGE.contains(&format!("<{tag}>")));
        }
        for outside in ["http://", "https://", "src=", " style=", "onclick=", "innerHTML", "eval("] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
    }
}
