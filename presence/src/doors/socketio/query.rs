//! What a request on `/socket.io/` says of itself, read once: its transport, its connection, its credentials.
//!
//! A key that counts may be there once. The access token is among them, so nothing here has a `Debug` that shows it.

use super::{EngineId, Opening, refusal::Refusal};
use crate::flows::connect::Token;
use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

/// A role, an org, a kind of product: none that is right is longer.
const MAX_WORD: usize = 256;
/// A request's head holds no more than twice as much.
const MAX_TOKEN: usize = 8 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Polling,
    WebSocket,
}

/// Which connection is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sid {
    /// A new one.
    None,
    Of(EngineId),
    /// Nobody's: it is not as ours are.
    Foreign,
}

/// A request, understood.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub way: Way,
    pub sid: Sid,
    pub opening: Opening,
    pub credentials: Credentials,
}

/// A digest of what the client that opened a connection showed. Whoever uses the connection shows the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Credentials {
    query: [u8; 32],
    bearer: Option<[u8; 32]>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// The values of the keys that count.
#[derive(Default)]
struct Values {
    version: Option<String>,
    transport: Option<String>,
    sid: Option<String>,
    role: Option<String>,
    org_id: Option<String>,
    product_type: Option<String>,
    auth: Option<String>,
}

impl Values {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut values = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decoded(key)?, decoded(value)?);
            let (slot, most) = match &*key {
                "EIO" => (&mut values.version, MAX_WORD),
                "transport" => (&mut values.transport, MAX_WORD),
                "sid" => (&mut values.sid, MAX_WORD),
                "role" => (&mut values.role, MAX_WORD),
                "org_id" => (&mut values.org_id, MAX_WORD),
                "product_type" => (&mut values.product_type, MAX_WORD),
                "auth" => (&mut values.auth, MAX_TOKEN),
                // JSONP, which lets any page read the answers: not served.
                "j" => return Err(Refusal::BadRequest),
                _ => continue,
            };
            if value.len() > most || slot.replace(value).is_some() {
                return Err(Refusal::BadRequest);
            }
        }
        Ok(values)
    }
}

impl Asked {
    pub(super) fn read(query: &str, headers: &HeaderMap) -> Result<Self, Refusal> {
        let values = Values::read(query)?;
        let way = match values.transport.as_deref() {
            Some("polling") => Way::Polling,
            Some("websocket") => Way::WebSocket,
            _ => return Err(Refusal::UnknownTransport),
        };
        if values.version.as_deref() != Some("4") {
            return Err(Refusal::UnsupportedVersion);
        }
        let sid = match &values.sid {
            None => Sid::None,
            Some(text) => text.parse().map_or(Sid::Foreign, Sid::Of),
        };
        let bearer = bearer(headers)?;
        let credentials = Credentials::of(&values, bearer);
        let Values { role, org_id, product_type, auth, .. } = values;
        // An empty one is as good as none, so that the payload of the connect packet may hold it.
        let token = bearer.map(str::to_owned).or(auth).filter(|token| !token.is_empty()).map(Token::new);
        Ok(Self { way, sid, opening: Opening { role, org_id, product_type, token }, credentials })
    }
}

impl Credentials {
    fn of(values: &Values, bearer: Option<&str>) -> Self {
        let Values { auth, role, org_id, product_type, .. } = values;
        let mut digest = Sha256::new();
        for part in [auth, role, org_id, product_type].map(Option::as_deref) {
            // With its length, so that no two lists of parts read the same.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(part.unwrap_or_default());
        }
        Self { query: digest.finalize().into(), bearer: bearer.map(|token| Sha256::digest(token).into()) }
    }

    /// Whether whoever shows `these` may use a connection that was opened with those. A page cannot put a header into
    /// the handshake of a WebSocket: there it may be missing, and never another one.
    pub(super) fn admit(self, these: Self, way: Way) -> bool {
        let may_lack = way == Way::WebSocket && these.bearer.is_none();
        self.query == these.query && (may_lack || self.bearer == these.bearer)
    }
}

/// The token of `Authorization: Bearer`. Another scheme is some proxy's in front, and none of ours.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(|header| {
        let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match (bearers.next(), bearers.next()) {
        (Some(token), None) if token.is_empty() || token.len() > MAX_TOKEN => Err(Refusal::BadRequest),
        (bearer, None) => Ok(bearer),
        (_, Some(_)) => Err(Refusal::BadRequest),
    }
}

/// As forms are encoded: `%xx`, and `+` for a space. What is encoded badly is refused, not guessed.
fn decoded(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                rest = tail;
                nibble(*high)? << 4 | nibble(*low)?
            }
            (b'%', _) => return Err(Refusal::BadRequest),
            (b'+', _) => b' ',
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Refusal::BadRequest)
}

fn nibble(digit: u8) -> Result<u8, Refusal> {
    let value = char::from(digit).to_digit(16).ok_or(Refusal::BadRequest)?;
    u8::try_from(value).map_err(|_| Refusal::BadRequest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_core::ids::ReplicaId;

    const GOOD: &str = "EIO=4&transport=polling";

    fn read(query: &str) -> Result<Asked, Refusal> {
        Asked::read(query, &HeaderMap::new())
    }

    fn with_header(query: &str, authorization: &str) -> Result<Asked, Refusal> {
        let headers = [(header::AUTHORIZATION, authorization.parse().unwrap())].into_iter().collect();
        Asked::read(query, &headers)
    }

    #[test]
    fn what_an_app_says_of_itself_is_kept() {
        let query = "role=teacher&org_id=o%40x+1&product_type=&auth=t.o-k&EIO=4&transport=websocket&t=x1";
        let asked = read(query).unwrap();
        assert_eq!((asked.way, asked.sid), (Way::WebSocket, Sid::None));
        assert_eq!(asked.opening.role.as_deref(), Some("teacher"));
        assert_eq!(asked.opening.org_id.as_deref(), Some("o@x 1"));
        assert_eq!(asked.opening.product_type.as_deref(), Some(""));
        assert_eq!(asked.opening.token.unwrap().expose(), "t.o-k");
        assert_eq!(read(GOOD).unwrap().opening, Opening::default());
        assert_eq!(read(&format!("{GOOD}&auth=")).unwrap().opening, Opening::default());
    }

    #[test]
    fn a_sid_is_ours_or_nobodys() {
        let id = EngineId::new(ReplicaId(7));
        assert_eq!(read(&format!("{GOOD}&sid={}", id.as_str())).unwrap().sid, Sid::Of(id));
        for foreign in ["", "abc"] {
            assert_eq!(read(&format!("{GOOD}&sid={foreign}")).unwrap().sid, Sid::Foreign);
        }
    }

    #[test]
    fn the_header_is_preferred_to_the_query() {
        let token = |asked: Asked| asked.opening.token.unwrap().expose().to_owned();
        let query = format!("{GOOD}&auth=query");
        assert_eq!(token(with_header(&query, "bearer header").unwrap()), "header");
        assert_eq!(token(with_header(&query, "Basic cHJveHk=").unwrap()), "query");
        assert_eq!(with_header(&query, "Bearer ").unwrap_err(), Refusal::BadRequest);
    }

    #[test]
    fn what_is_said_badly_is_refused() {
        let long = format!("{GOOD}&role={}", "x".repeat(MAX_WORD + 1));
        for (query, refusal) in [
            ("", Refusal::UnknownTransport),
            ("EIO=4", Refusal::UnknownTransport),
            ("EIO=4&transport=flash", Refusal::UnknownTransport),
            ("transport=polling", Refusal::UnsupportedVersion),
            ("EIO=3&transport=polling", Refusal::UnsupportedVersion),
            ("EIO=4&EIO=4&transport=polling", Refusal::BadRequest),
            ("EIO=4&transport=polling&role=teacher&%72ole=student", Refusal::BadRequest),
            ("EIO=4&transport=polling&role=%4", Refusal::BadRequest),
            ("EIO=4&transport=polling&role=%zz", Refusal::BadRequest),
            ("EIO=4&transport=polling&role=%ff", Refusal::BadRequest),
            ("EIO=4&transport=polling&other=%", Refusal::BadRequest),
            ("EIO=4&transport=polling&j=0", Refusal::BadRequest),
            (&long, Refusal::BadRequest),
        ] {
            assert_eq!(read(query).unwrap_err(), refusal, "{query}");
        }
    }

    #[test]
    fn credentials_differ_where_anything_of_them_does() {
        let queries = [
            "",
            "&auth=a",
            "&auth=b",
            "&auth=",
            "&role=a",
            "&org_id=a",
            "&product_type=a",
            "&role=a&org_id=a",
            "&role=aa",
            "&auth=a&role=a",
        ];
        let all: Vec<_> = queries.map(|query| read(&format!("{GOOD}{query}")).unwrap().credentials).into();
        for (i, one) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|other| one != other), "{}", queries[i]);
        }
        let header = with_header(GOOD, "Bearer a").unwrap().credentials;
        assert!(all.iter().all(|other| header != *other));
        assert_eq!(read("sid=x&auth=a&transport=websocket&EIO=4").unwrap().credentials, all[1]);
    }

    #[test]
    fn the_handshake_of_a_websocket_may_lack_the_header_and_nothing_may_have_another() {
        let of = |authorization| with_header(GOOD, authorization).unwrap().credentials;
        let (opened, other, lacking) = (of("Bearer a"), of("Bearer b"), read(GOOD).unwrap().credentials);
        assert!(opened.admit(opened, Way::Polling) && opened.admit(lacking, Way::WebSocket));
        assert!(!opened.admit(lacking, Way::Polling));
        assert!([Way::Polling, Way::WebSocket].iter().all(|way| !opened.admit(other, *way)));
        assert!(!lacking.admit(opened, Way::WebSocket));
        assert!(!opened.admit(read(&format!("{GOOD}&auth=a")).unwrap().credentials, Way::WebSocket));
    }

    #[test]
    fn nothing_of_a_token_is_in_debug() {
        let asked = with_header(&format!("{GOOD}&auth=hunter2"), "Bearer hunter3").unwrap();
        assert!(!format!("{asked:?}").contains("hunter"), "{asked:?}");
    }
}
