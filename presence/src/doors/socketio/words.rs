//! The arguments of a client's packets: read into what flows take, or named as what is wrong with them.

use super::{Opening, packet::Json};
use crate::flows::{
    connect::Token,
    lesson::{Claims, LeftOff, Refusal, Wish},
};
use presence_api::lesson::Code;
use presence_core::ids::{ClassroomId, IdError};
use serde_json::{Map, Value};

/// Bytes of an event's arguments, at most: what is asked here are a few ids and a token.
const MAX_ARGUMENTS_BYTES: usize = 16 * 1024;

/// Under which names clients send their token in the `auth` payload.
const TOKENS: [&str; 3] = ["token", "auth", "access_token"];

/// What a client says of itself, and where it left off.
pub(super) fn claims(opening: Opening, auth: Option<&Json>) -> Result<(Claims, Option<LeftOff>), Refusal> {
    let auth = match auth {
        Some(auth) => auth.decode().map_err(|_| Refusal::bad_request("auth is not an object"))?,
        None => Map::new(),
    };
    let given = TOKENS.into_iter().find(|name| auth.get(*name).is_some_and(|value| !value.is_null()));
    let token = match given {
        Some(name) => Some(Token::new(text(&auth, name, "auth.")?.to_owned())),
        None => opening.token,
    };
    let Opening { role, org_id, product_type, .. } = opening;
    Ok((Claims { role, org_id, product_type, token }, left_off(&auth)))
}

/// What does not fit is of no connection that ever was here: then it is a new one.
fn left_off(auth: &Map<String, Value>) -> Option<LeftOff> {
    let pid = auth.get("pid")?.as_str()?.parse().ok()?;
    let heard = match auth.get("offset") {
        None | Some(Value::Null) => None,
        Some(offset) => Some(offset.as_str()?.parse().ok()?),
    };
    Some(LeftOff { pid, heard })
}

pub(super) fn wish(arguments: &[Json]) -> Result<Wish, Refusal> {
    let data = data(arguments)?;
    let user_id = text(&data, "user_id", "")?.to_owned();
    let lesson: ClassroomId = text(&data, "lesson_id", "")?
        .parse()
        .map_err(|error: IdError| Refusal::bad_request(format!("lesson_id must be {}", error.expected)))?;
    let role = text(&data, "role", "")?.to_owned();
    let token = match data.get("access_token") {
        None | Some(Value::Null) => None,
        Some(_) => Some(Token::new(text(&data, "access_token", "")?.to_owned())),
    };
    Ok(Wish { user_id, role, lesson, token })
}

/// Who logs out: user and org.
pub(super) fn leaver(arguments: &[Json]) -> Result<(String, String), Refusal> {
    let data = data(arguments)?;
    Ok((text(&data, "user_id", "")?.to_owned(), text(&data, "org_id", "")?.to_owned()))
}

/// The first argument; others are not looked at.
fn data(arguments: &[Json]) -> Result<Map<String, Value>, Refusal> {
    if arguments.iter().map(|it| it.as_bytes().len()).sum::<usize>() > MAX_ARGUMENTS_BYTES {
        let why = format!("the arguments have more than {MAX_ARGUMENTS_BYTES} bytes");
        return Err(Refusal::new(Code::TooLarge, why));
    }
    let data = arguments.first().ok_or_else(|| Refusal::bad_request("there are no arguments"))?;
    data.decode().map_err(|_| Refusal::bad_request("the first argument is not an object"))
}

/// A text that is there and says something. `of` goes before the field's name.
fn text<'a>(data: &'a Map<String, Value>, field: &str, of: &str) -> Result<&'a str, Refusal> {
    let wrong = |what: &str| Refusal::bad_request(format!("{of}{field} {what}"));
    match data.get(field) {
        None => Err(wrong("is missing")),
        Some(Value::String(text)) if text.is_empty() => Err(wrong("is empty")),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(wrong("is not a string")),
    }
}
