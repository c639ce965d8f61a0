//! A table of tokens that must not be trusted, each with what is wrong with it, and the server they are shown to.

use crate::support::{
    AUDIENCE, HandClock, ISSUER, NOW, Signer, b64, claims_with, good_claims, sign_hmac, trusting, write,
};
use presence::adapters::authn_jwt::JwtAuthn;
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

/// A server that trusts one key of each kind, and the keys.
pub(crate) struct World {
    pub(crate) authn: JwtAuthn,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) es: Signer,
    pub(crate) rs: Signer,
    pub(crate) ed: Signer,
    _folder: TempDir,
}

impl World {
    /// `es` is known by the kid `es-1`, `rs` by `rs-1`; `ed` has none.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (es, rs, ed) = (Signer::es(), Signer::rs(), Signer::ed());
        let set = json!({"keys": [es.jwk("es-1"), rs.jwk("rs-1")]});
        let files = vec![
            write(folder.path(), "set.json", set.to_string()),
            write(folder.path(), "ed.pem", ed.public_pem()),
        ];
        let clock = HandClock::new();
        Self { authn: trusting(files, &clock).await, clock, es, rs, ed, _folder: folder }
    }
}

pub(crate) type Case = (String, String);

fn case(name: impl Into<String>, token: impl Into<String>) -> Case {
    (name.into(), token.into())
}

const ES_HEADER: &str = r#"{"alg":"ES256","kid":"es-1","typ":"JWT"}"#;

/// All of them.
pub(crate) fn all(world: &World) -> Vec<Case> {
    [
        unsigned(world),
        public_key_as_secret(world),
        misnamed_algorithm(world),
        strangers(world),
        wrong_person(world),
        wrong_time(world),
        wrong_text(world),
        wrong_signature(world),
        wrong_header(world),
        wrong_json(world),
    ]
    .concat()
}

fn unsigned(world: &World) -> Vec<Case> {
    let good = world.es.token(Some("es-1"), &good_claims());
    let signature = good.rsplit_once('.').unwrap().1;
    let mut cases = vec![];
    for alg in ["none", "None", "NONE", "nOnE", "", " none", "none\u{0}"] {
        let header = json!({"alg": alg, "typ": "JWT"}).to_string();
        let message = format!("{}.{}", b64(header), b64(good_claims().to_string()));
        cases.push(case(format!("alg {alg:?} without a signature"), format!("{message}.")));
        cases.push(case(format!("alg {alg:?} with another's signature"), format!("{message}.{signature}")));
    }
    cases
}

fn public_key_as_secret(world: &World) -> Vec<Case> {
    let mut cases = vec![];
    for (kind, signer, kid) in [("es", &world.es, "es-1"), ("rs", &world.rs, "rs-1"), ("ed", &world.ed, "")] {
        for (shape, secret) in [
            ("PEM", signer.public_pem().into_bytes()),
            ("trimmed PEM", signer.public_pem().trim().as_bytes().to_vec()),
            ("DER", signer.public_der()),
            ("JWK", signer.jwk(kid).to_string().into_bytes()),
            ("absence", vec![]),
        ] {
            let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid}).to_string();
            let token = sign_hmac(&secret, &header, &good_claims().to_string());
            cases.push(case(format!("HS256 with the {kind} key's {shape} as its secret"), token));
        }
    }
    cases
}

fn misnamed_algorithm(world: &World) -> Vec<Case> {
    let claims = good_claims().to_string();
    let mut cases = vec![];
    for alg in ["HS256", "RS256", "EdDSA", "ES384", "ES512", "PS256", "es256", "ES256K"] {
        let header = json!({"alg": alg, "kid": "es-1"}).to_string();
        let token = world.es.sign(&header, &claims);
        cases.push(case(format!("an ES256 signature called {alg}"), token));
    }
    for alg in ["ES256", "RS384", "RS512", "PS256", "HS256", "EdDSA"] {
        let header = json!({"alg": alg, "kid": "rs-1"}).to_string();
        let token = world.rs.sign(&header, &claims);
        cases.push(case(format!("an RS256 signature called {alg}"), token));
    }
    cases
}

fn strangers(world: &World) -> Vec<Case> {
    let mut cases = vec![];
    for stranger in [Signer::es(), Signer::rs(), Signer::ed()] {
        let alg = stranger.alg();
        for kid in [None, Some("es-1"), Some("rs-1"), Some("unheard-of")] {
            let token = stranger.token(kid, &good_claims());
            cases.push(case(format!("a stranger's {alg} key as {kid:?}"), token));
        }
        let own = json!({"alg": alg, "jwk": stranger.jwk(""), "jku": "http://127.0.0.1:9/",
            "x5u": "http://127.0.0.1:9/", "x5c": ["AAAA"]});
        let token = stranger.sign(&own.to_string(), &good_claims().to_string());
        cases.push(case(format!("a stranger's {alg} key in the token itself"), token));
    }
    for kid in ["rs-1", "../../../dev/null", "' OR 1=1 --", &"k".repeat(200)] {
        let token = world.es.token(Some(kid), &good_claims());
        cases.push(case(format!("our key as {kid}"), token));
    }
    cases
}

/// Well signed, each with one claim that must not be.
fn claiming(world: &World, wrong: Vec<(&str, Value)>) -> Vec<Case> {
    let token = |(name, value): (&str, Value)| {
        let shown = format!("{name} = {value:.60}");
        case(shown, world.es.token(Some("es-1"), &claims_with(name, value)))
    };
    wrong.into_iter().map(token).collect()
}

fn wrong_person(world: &World) -> Vec<Case> {
    let seventeen: Vec<&str> = std::iter::once(AUDIENCE).chain(["other"; 16]).collect();
    claiming(
        world,
        vec![
            ("sub", json!(null)),
            ("sub", json!("")),
            ("sub", json!("a b")),
            ("sub", json!("a\"b")),
            ("sub", json!("a'b")),
            ("sub", json!("a`b")),
            ("sub", json!("a\nb")),
            ("sub", json!("a\u{0}b")),
            ("sub", json!("é")),
            ("sub", json!("x".repeat(256))),
            ("sub", json!(7)),
            ("sub", json!(["a"])),
            ("aud", json!(null)),
            ("aud", json!("")),
            ("aud", json!([])),
            ("aud", json!("example")),
            ("aud", json!("school.example.")),
            ("aud", json!("SCHOOL.example")),
            ("aud", json!("a.school.example")),
            ("aud", json!(" school.example")),
            ("aud", json!(["other", "another"])),
            ("aud", json!([[AUDIENCE]])),
            ("aud", json!({"aud": AUDIENCE})),
            ("aud", json!(7)),
            ("aud", json!(seventeen)),
            ("aud", json!([AUDIENCE, 7])),
            ("iss", json!(null)),
            ("iss", json!("")),
            ("iss", json!("https://iam.school.example/")),
            ("iss", json!([ISSUER])),
            ("iss", json!(1)),
            ("classrooms", json!("math-7")),
            ("classrooms", json!([7])),
            ("classrooms", json!({"0": "math-7"})),
            ("org_id", json!(7)),
            ("role", json!(["teacher"])),
        ],
    )
}

fn wrong_time(world: &World) -> Vec<Case> {
    claiming(
        world,
        vec![
            ("exp", json!(null)),
            ("exp", json!(NOW - 5)),
            ("exp", json!(NOW - 600)),
            ("exp", json!(0)),
            ("exp", json!(-1)),
            ("exp", json!((NOW + 600).to_string())),
            ("exp", json!(NOW * 1000)),
            ("exp", json!(1e300)),
            ("exp", json!(u64::MAX)),
            ("exp", json!(i64::MAX)),
            ("exp", json!([NOW + 600])),
            ("exp", json!(true)),
            ("nbf", json!(NOW + 6)),
            ("nbf", json!(NOW + 600)),
            ("nbf", json!("soon")),
            ("nbf", json!(1e300)),
            ("nbf", json!(-1)),
            ("iat", json!(NOW + 6)),
            ("iat", json!(NOW * 1000)),
            ("iat", json!("now")),
            ("iat", json!({})),
        ],
    )
}

fn wrong_text(world: &World) -> Vec<Case> {
    let good = world.es.token(Some("es-1"), &good_claims());
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        unreachable!("a token has three parts");
    };
    let huge = claims_with("padding", json!("x".repeat(9 * 1024)));
    vec![
        case("nothing", ""),
        case("a dot", "."),
        case("two dots", ".."),
        case("three dots", "..."),
        case("words", "let me in"),
        case("no signature part", format!("{header}.{claims}")),
        case("an empty signature", format!("{header}.{claims}.")),
        case("a fourth part", format!("{good}.x")),
        case("a dot at the end", format!("{good}.")),
        case("a dot in front", format!(".{good}")),
        case("five parts, as an encrypted token", format!("{good}.a.b")),
        case("padding after the signature", format!("{good}=")),
        case("padding after the header", format!("{header}=.{claims}.{signature}")),
        case("a space in front", format!(" {good}")),
        case("a line break at the end", format!("{good}\n")),
        case("the scheme in front", format!("Bearer {good}")),
        case("a NUL at the end", format!("{good}\0")),
        case("9 KiB", world.es.token(Some("es-1"), &huge)),
        case("9 KiB of dots", ".".repeat(9 * 1024)),
        case("a megabyte of letters", "A".repeat(1 << 20)),
    ]
}

fn wrong_signature(world: &World) -> Vec<Case> {
    let good = world.es.token(Some("es-1"), &good_claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let mut flipped = signature.to_owned();
    let letter = if signature.as_bytes()[10] == b'A' { "B" } else { "A" };
    flipped.replace_range(10..11, letter);
    let root = claims_with("sub", json!("root")).to_string();
    let swapped = format!("{}.{}.{signature}", b64(ES_HEADER), b64(root));
    vec![
        case("one letter changed", format!("{message}.{flipped}")),
        case("shortened", &good[..good.len() - 2]),
        case("lengthened", format!("{good}AA")),
        case("all zeros", format!("{message}.{}", b64([0; 64]))),
        case("all ones", format!("{message}.{}", b64([255; 64]))),
        case("under another's claims", swapped),
    ]
}

fn wrong_header(world: &World) -> Vec<Case> {
    let headers = [
        r#"{"alg":"none","alg":"ES256","kid":"es-1"}"#,
        r#"{"alg":"ES256","kid":"es-1","kid":"es-1"}"#,
        r#"["ES256"]"#,
        r#"{"kid":"es-1","typ":"JWT"}"#,
        r#"{"alg":null,"kid":"es-1"}"#,
        r#"{"alg":["ES256"],"kid":"es-1"}"#,
        r#"{"Alg":"ES256","kid":"es-1"}"#,
        r#"{"alg":"ES256","kid":1}"#,
        r#"{"alg":"ES256","kid":"es-1","typ":"JWE"}"#,
        r#"{"alg":"ES256","kid":"es-1","typ":"logout+jwt"}"#,
        r#"{"alg":"ES256","kid":"es-1","typ":""}"#,
        r#"{"alg":"ES256","kid":"es-1","crit":["x"],"x":1}"#,
        r#"{"alg":"ES256","kid":"es-1","crit":["b64"],"b64":false}"#,
        r#"{"alg":"ES256","kid":"es-1","crit":[]}"#,
        r#"{"alg":"ES256","kid":"es-1","crit":null}"#,
        r#"{"alg":"ES256","kid":"es-1"} {}"#,
        "",
    ];
    let claims = good_claims().to_string();
    let token = |header: &str| case(format!("header {header}"), world.es.sign(header, &claims));
    headers.map(token).to_vec()
}

fn wrong_json(world: &World) -> Vec<Case> {
    let good = good_claims().to_string();
    let inner = &good[1..good.len() - 1];
    let texts = [
        "sub=root",
        "[]",
        "null",
        "{}",
        &format!("{good}{{}}"),
        &"[".repeat(2000),
        &format!(r#"{{"sub":"root",{inner}}}"#),
        &format!(r#"{{"exp":9999999999,{inner}}}"#),
        &format!(r#"{{"aud":"other",{inner}}}"#),
        &format!("{{\"org_id\":\"\\ud800\",{inner}}}"),
    ];
    let token = |text: &str| case(format!("claims {text:.60}"), world.es.sign(ES_HEADER, text));
    let mut cases = texts.map(token).to_vec();
    let mut bytes = good.into_bytes();
    bytes.splice(1..1, *b"\"role\":\"\xff\",");
    cases.push(case("claims that are not UTF-8", world.es.sign_bytes_of(ES_HEADER.as_bytes(), &bytes)));
    cases
}
