//! The JSON of a packet: looked through once, as deep as it is, and cut into values that nobody has to copy.

use super::{AckId, Event, Json, MAX_DEPTH, MAX_ELEMENTS, Malformed};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};
use std::fmt;

/// Names that Socket.IO's own events have: an application hears them of its own socket only.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

pub(super) struct Payload<'a> {
    /// The whole message, which `json` is the end of.
    pub(super) message: &'a Bytes,
    pub(super) json: &'a str,
    /// How many follow.
    pub(super) attachments: u8,
}

impl<'a> Payload<'a> {
    /// An object, or nothing at all.
    pub(super) fn object(&self) -> Result<Option<Json>, Malformed> {
        if self.json.is_empty() {
            return Ok(None);
        }
        let object = self.read::<&RawValue>(Malformed::NotAnObject)?;
        object.get().starts_with('{').then(|| Some(self.cut(object))).ok_or(Malformed::NotAnObject)
    }

    pub(super) fn event(&self, ack: Option<AckId>) -> Result<Event, Malformed> {
        let elements = self.elements()?;
        let (name, arguments) = elements.split_first().ok_or(Malformed::NoName)?;
        let name: String = serde_json::from_str(name.get()).map_err(|_| Malformed::NoName)?;
        if RESERVED.contains(&name.as_str()) {
            return Err(Malformed::ReservedName);
        }
        let arguments = arguments.iter().map(|argument| self.cut(argument)).collect();
        Ok(Event { name, arguments, ack, attachments: Vec::new() })
    }

    /// An array, which may be empty.
    pub(super) fn array(&self) -> Result<Vec<Json>, Malformed> {
        Ok(self.elements()?.into_iter().map(|element| self.cut(element)).collect())
    }

    fn elements(&self) -> Result<Vec<&'a RawValue>, Malformed> {
        if self.json.is_empty() {
            return Err(Malformed::NoPayload);
        }
        let Elements { kept, too_many } = self.read(Malformed::NotAnArray)?;
        if too_many {
            return Err(Malformed::TooManyElements);
        }
        if self.attachments > 0 {
            self.check_placeholders()?;
        }
        Ok(kept)
    }

    /// Raw values are read without a limit of depth, so it is looked at first; `wrong_type` is what JSON of another type
    /// is.
    fn read<T: Deserialize<'a>>(&self, wrong_type: Malformed) -> Result<T, Malformed> {
        if depth(self.json) > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        serde_json::from_str(self.json).map_err(|error| match error.classify() {
            Category::Data => wrong_type,
            Category::Syntax | Category::Eof | Category::Io => Malformed::NotJson,
        })
    }

    /// Each attachment has one placeholder, and each placeholder an attachment.
    fn check_placeholders(&self) -> Result<(), Malformed> {
        let mut seen = Placeholders::default();
        let mut json = serde_json::Deserializer::from_str(self.json);
        (&mut seen).deserialize(&mut json).map_err(|_| Malformed::NotJson)?;
        let all = (0..self.attachments).fold(0, |all, number| all | 1 << number);
        if seen.wrong || seen.numbers != all { Err(Malformed::Placeholder) } else { Ok(()) }
    }

    fn cut(&self, value: &RawValue) -> Json {
        Json(self.message.slice_ref(value.get().as_bytes()))
    }
}

/// How deep brackets lie in each other outside of texts. Right for all that is JSON; what is not is refused later.
fn depth(json: &str) -> usize {
    let (mut deepest, mut open) = (0, 0_usize);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            b'"' => skip_text(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_text(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// The elements of an array, as they are written. No more of them are kept than may be there.
#[derive(Default)]
struct Elements<'a> {
    kept: Vec<&'a RawValue>,
    too_many: bool,
}

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Array;

        impl<'de> Visitor<'de> for Array {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Elements::default();
                while elements.kept.len() < MAX_ELEMENTS {
                    let Some(element) = seq.next_element()? else {
                        return Ok(elements);
                    };
                    elements.kept.push(element);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    elements.too_many = true;
                }
                Ok(elements)
            }
        }

        from.deserialize_seq(Array)
    }
}

/// Looks for `{"_placeholder":true,"num":<number>}` at every depth, and keeps nothing else.
#[derive(Default)]
struct Placeholders {
    /// A bit for each number.
    numbers: u16,
    /// A number that stands there twice, that is none, or that is too large.
    wrong: bool,
}

impl Placeholders {
    fn note(&mut self, number: Option<u64>) {
        match number.filter(|number| *number < u64::from(u16::BITS)) {
            Some(number) if self.numbers & (1 << number) == 0 => self.numbers |= 1 << number,
            _ => self.wrong = true,
        }
    }
}

/// What a value is, as far as it matters to a placeholder.
enum Seen {
    True,
    Number(u64),
    Other,
}

impl<'de> DeserializeSeed<'de> for &mut Placeholders {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Seen, D::Error> {
        from.deserialize_any(self)
    }
}

/// A number that is not whole, or is negative, is of no attachment.
impl<'de> Visitor<'de> for &mut Placeholders {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(if value { Seen::True } else { Seen::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Seen, E> {
        Ok(Seen::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Seen, A::Error> {
        while seq.next_element_seed(&mut *self)?.is_some() {}
        Ok(Seen::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        let (mut marked, mut number) = (false, None);
        while let Some(key) = map.next_key::<Key>()? {
            match (key, map.next_value_seed(&mut *self)?) {
                (Key::Placeholder, value) => marked = matches!(value, Seen::True),
                (Key::Num, Seen::Number(value)) => number = Some(value),
                (Key::Num | Key::Other, _) => {}
            }
        }
        if marked {
            self.note(number);
        }
        Ok(Seen::Other)
    }
}

#[derive(Deserialize)]
enum Key {
    #[serde(rename = "_placeholder")]
    Placeholder,
    #[serde(rename = "num")]
    Num,
    #[serde(other)]
    Other,
}
