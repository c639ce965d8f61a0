//! The grammars of text in the schema. What one of them admits, the server's own settings admit too, or the API server
//! where the text ends up in an object. They are of Go's kind: no look-ahead.

macro_rules! host {
    () => {
        // A name whose last part begins with a letter (else it would be read as an IPv4 address), or an address.
        concat!(
            r"(([A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?",
            r"|((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
            r"|\[[0-9A-Fa-f:.]{2,45}\])"
        )
    };
}

macro_rules! lower_host {
    () => {
        concat!(
            r"(([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)*[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
            r"|((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
            r"|\[[0-9a-f:.]{2,45}\])"
        )
    };
}

macro_rules! port {
    () => {
        r"(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
    };
}

macro_rules! name {
    () => {
        r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"
    };
}

macro_rules! directive {
    () => {
        r"((([A-Za-z0-9_]+(::[A-Za-z0-9_]+)*)=)?(off|error|warn|info|debug|trace))"
    };
}

/// An object's name.
pub(super) const NAME: &str = concat!("^", name!(), "$");
/// A host, or all hosts below one.
pub(super) const HOSTNAME: &str = concat!(r"^(\*\.)?", name!(), "$");
/// A key of a Secret.
pub(super) const KEY: &str = r"^\.?[-_A-Za-z0-9][-._A-Za-z0-9]*$";
/// A word that NATS takes for a stream's name.
pub(super) const WORD: &str = "^[-_A-Za-z0-9]+$";
/// What can be seen: ASCII without space.
pub(super) const VISIBLE: &str = "^[!-~]*$";
/// What can be seen, without quotes: an audience.
pub(super) const UNQUOTED: &str = "^[!#-&(-_a-~]+$";
/// An account at a NATS server.
pub(super) const USER: &str = "^[!-~]+$";
/// A NATS server. No user and password: what is in the spec is no secret.
pub(super) const NATS_SERVER: &str = concat!("^(nats|tls)://", host!(), port!(), "$");
/// A URL without user, password and fragment.
pub(super) const HTTP_URL: &str = concat!("^https?://", host!(), port!(), r#"([/?][!-"$-~]*)?$"#);
/// The same, with TLS.
pub(super) const HTTPS_URL: &str = concat!("^https://", host!(), port!(), r#"([/?][!-"$-~]*)?$"#);
/// A web origin as a browser writes it, or all.
pub(super) const ORIGIN: &str = concat!(r"^(\*|https?://", lower_host!(), port!(), ")$");
/// An image without tag and digest.
pub(super) const REPOSITORY: &str = concat!(
    r"^(([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?)(:[0-9]{1,5})?/)?",
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$"
);
/// An image's tag.
pub(super) const TAG: &str = "^[A-Za-z0-9_][-A-Za-z0-9_.]*$";
/// An image's digest.
pub(super) const DIGEST: &str = "^sha256:[0-9a-f]{64}$";
/// The value of a label.
pub(super) const LABEL_VALUE: &str = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
/// The key of a label or an annotation, as CEL has it.
pub(super) const LABEL_KEY: &str =
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// An amount of CPU or memory, without sign and exponent.
pub(super) const QUANTITY: &str = r"^[0-9]{1,15}(\.[0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";
/// A length of time that is less than a day or so.
pub(super) const PERIOD: &str = "^[0-9]{1,6}(ms|s|m|h)$";
/// A length of time that may be long.
pub(super) const LONG_PERIOD: &str = "^[0-9]{1,6}(ms|s|m|h|d)$";
/// What `tracing` takes for a filter: a level, or several by module.
pub(super) const LOG_LEVEL: &str = concat!("^", directive!(), "(,", directive!(), ")*$");
/// A class of load balancers.
pub(super) const CLASS: &str = LABEL_KEY;
