//! Every form of packet that a client may send, and every malformed one.

use super::*;
use proptest::prelude::*;

fn bytes(text: &str) -> Bytes {
    text.to_owned().into()
}

fn json(text: &str) -> Json {
    Json(bytes(text))
}

fn event(name: &str, arguments: &[&str], ack: Option<u64>) -> Content {
    let arguments = arguments.iter().map(|argument| json(argument)).collect();
    Content::Event(Event { name: name.to_owned(), arguments, ack: ack.map(AckId), attachments: Vec::new() })
}

fn acknowledged(id: u64, arguments: &[&str]) -> Content {
    let arguments = arguments.iter().map(|argument| json(argument)).collect();
    Content::Ack { id: AckId(id), arguments, attachments: Vec::new() }
}

fn other(name: &str) -> Namespace {
    Namespace::Other(name.to_owned())
}

#[test]
fn each_packet_of_a_client_is_understood() {
    let auth = |text| Content::Connect { auth: Some(json(text)) };
    let nothing = Content::Connect { auth: None };
    let one = r#"{"_placeholder":true,"num":0}"#;
    let table = [
        ("0", Namespace::Main, nothing.clone(), 0),
        ("0/,", Namespace::Main, nothing.clone(), 0),
        ("0/?token=1,", Namespace::Main, nothing.clone(), 0),
        (r#"0{"token":"123"}"#, Namespace::Main, auth(r#"{"token":"123"}"#), 0),
        (r#"0/admin?a=b,{"token":1}"#, other("/admin"), auth(r#"{"token":1}"#), 0),
        ("0/admin", other("/admin"), nothing.clone(), 0),
        ("0/admin,", other("/admin"), nothing, 0),
        ("1", Namespace::Main, Content::Disconnect, 0),
        ("1/admin", other("/admin"), Content::Disconnect, 0),
        ("1/admin,", other("/admin"), Content::Disconnect, 0),
        (r#"2["foo"]"#, Namespace::Main, event("foo", &[], None), 0),
        (r#"212["foo"]"#, Namespace::Main, event("foo", &[], Some(12)), 0),
        (r#"2007["foo"]"#, Namespace::Main, event("foo", &[], Some(7)), 0),
        (r#"2/admin,1["foo"]"#, other("/admin"), event("foo", &[], Some(1)), 0),
        (r#"29007199254740991["foo"]"#, Namespace::Main, event("foo", &[], Some(AckId::MAX.0)), 0),
        (
            r#"2[ "f\u00f6o" , 1,"2", {"3":[true]} ,null]"#,
            Namespace::Main,
            event("föo", &["1", r#""2""#, r#"{"3":[true]}"#, "null"], None),
            0,
        ),
        (r#"2[""]"#, Namespace::Main, event("", &[], None), 0),
        ("37[]", Namespace::Main, acknowledged(7, &[]), 0),
        (r#"3/admin,13["bar",1]"#, other("/admin"), acknowledged(13, &[r#""bar""#, "1"]), 0),
        (r#"50-["foo"]"#, Namespace::Main, event("foo", &[], None), 0),
        (r#"51-["baz",{"_placeholder":true,"num":0}]"#, Namespace::Main, event("baz", &[one], None), 1),
        (
            r#"51-/admin,15["baz",{"_placeholder":true,"num":0}]"#,
            other("/admin"),
            event("baz", &[one], Some(15)),
            1,
        ),
        (
            r#"61-15["bar",{"_placeholder":true,"num":0}]"#,
            Namespace::Main,
            acknowledged(15, &[r#""bar""#, one]),
            1,
        ),
    ];
    for (text, namespace, content, attachments) in table {
        let announced = Announced { packet: Packet { namespace, content }, attachments };
        assert_eq!(parse(&bytes(text)), Ok(announced), "{text}");
    }
}

#[test]
fn each_malformed_head_is_an_error_of_its_own() {
    refused(&[
        ("", Malformed::Empty),
        ("7", Malformed::UnknownType),
        ("abc", Malformed::UnknownType),
        ("é", Malformed::UnknownType),
        (r#"4{"message":"no"}"#, Malformed::ConnectError),
        ("5", Malformed::Attachments),
        (r#"5["a"]"#, Malformed::Attachments),
        (r#"5-["a"]"#, Malformed::Attachments),
        (r#"51["a"]"#, Malformed::Attachments),
        (r#"5-1-["a"]"#, Malformed::Attachments),
        (r#"51.0-["a"]"#, Malformed::Attachments),
        (r#"511-["a"]"#, Malformed::TooManyAttachments),
        (r#"599999999999999999999-["a"]"#, Malformed::TooManyAttachments),
        ("0/a\x1eb,", Malformed::Namespace),
        ("0/a\u{85}b", Malformed::Namespace),
        (r#"29007199254740992["a"]"#, Malformed::AckId),
        (r#"2123456789012345678901234567890["a"]"#, Malformed::AckId),
        ("012", Malformed::UnexpectedAckId),
        ("112", Malformed::UnexpectedAckId),
        (r#"3["a"]"#, Malformed::NoAckId),
        (r#"60-["a"]"#, Malformed::NoAckId),
        ("1{}", Malformed::UnexpectedPayload),
        ("1/admin,{}", Malformed::UnexpectedPayload),
    ]);
    assert_eq!(parse(&Bytes::from_static(b"2[\"\xff\"]")), Err(Malformed::NotUtf8));
}

#[test]
fn each_malformed_payload_is_an_error_of_its_own() {
    refused(&[
        ("2", Malformed::NoPayload),
        ("2/admin", Malformed::NoPayload),
        ("212", Malformed::NoPayload),
        ("37", Malformed::NoPayload),
        ("50-", Malformed::NoPayload),
        (r#"2abc["a"]"#, Malformed::NotJson),
        (r#"2["a""#, Malformed::NotJson),
        (r#"2["a"]]"#, Malformed::NotJson),
        (r#"2["a",]"#, Malformed::NotJson),
        (r#"2-1["a"]"#, Malformed::NotAnArray),
        ("2[\"a\x1e\"]", Malformed::NotJson),
        (r#"2["a","#, Malformed::NotJson),
        ("0{", Malformed::NotJson),
        ("0abc", Malformed::NotJson),
        ("0[]", Malformed::NotAnObject),
        ("0null", Malformed::NotAnObject),
        (r#"0"token""#, Malformed::NotAnObject),
        ("2{}", Malformed::NotAnArray),
        (r#"2"a""#, Malformed::NotAnArray),
        ("2null", Malformed::NotAnArray),
        ("31{}", Malformed::NotAnArray),
        ("2[]", Malformed::NoName),
        ("2[1]", Malformed::NoName),
        ("2[null]", Malformed::NoName),
        (r#"2[["a"]]"#, Malformed::NoName),
        (r#"2["connect"]"#, Malformed::ReservedName),
        (r#"2["connect_error"]"#, Malformed::ReservedName),
        (r#"2["disconnect"]"#, Malformed::ReservedName),
        (r#"2["disconnecting"]"#, Malformed::ReservedName),
        (r#"2["newListener"]"#, Malformed::ReservedName),
        (r#"2["removeListener"]"#, Malformed::ReservedName),
        (r#"2["\u0063onnect"]"#, Malformed::ReservedName),
        (r#"2["\ud800"]"#, Malformed::NoName),
    ]);
}

fn refused(table: &[(&str, Malformed)]) {
    for (text, why) in table {
        assert_eq!(parse(&bytes(text)), Err(*why), "{text}");
    }
}

#[test]
fn placeholders_and_attachments_match() {
    for text in [
        r#"51-["a"]"#,
        r#"51-["a",{"_placeholder":true,"num":1}]"#,
        r#"51-["a",{"_placeholder":true,"num":-1}]"#,
        r#"51-["a",{"_placeholder":true,"num":0.0}]"#,
        r#"51-["a",{"_placeholder":true,"num":"0"}]"#,
        r#"51-["a",{"_placeholder":true}]"#,
        r#"51-["a",{"_placeholder":true,"num":16}]"#,
        r#"51-["a",{"_placeholder":true,"num":18446744073709551616}]"#,
        r#"51-["a",{"_placeholder":1,"num":0}]"#,
        r#"51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#,
        r#"52-["a",{"_placeholder":true,"num":0}]"#,
        r#"61-1["a"]"#,
    ] {
        assert_eq!(parse(&bytes(text)), Err(Malformed::Placeholder), "{text}");
    }
    // Without attachments it is an object like another.
    assert!(parse(&bytes(r#"2["a",{"_placeholder":true,"num":7}]"#)).is_ok());
    assert!(
        parse(&bytes(r#"51-["a",{"_placeholder":false,"num":7},{"_placeholder":true,"num":0}]"#)).is_ok()
    );
}

#[test]
fn a_payload_has_bounds() {
    let nested = |depth: usize| format!(r#"2["a",{}{}]"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(parse(&nested(MAX_DEPTH).into()).is_ok());
    assert_eq!(parse(&nested(MAX_DEPTH + 1).into()), Err(Malformed::TooDeep));
    assert_eq!(parse(&nested(500_000).into()), Err(Malformed::TooDeep));
    // What stands in a text is not deep.
    assert!(parse(&format!(r#"2["a","\"{}"]"#, "[".repeat(500)).into()).is_ok());

    let many = |more: usize| format!(r#"["a"{}]"#, ",1".repeat(more));
    for head in ["2", "37"] {
        assert!(parse(&format!("{head}{}", many(MAX_ELEMENTS - 1)).into()).is_ok());
        let too_many = format!("{head}{}", many(MAX_ELEMENTS)).into();
        assert_eq!(parse(&too_many), Err(Malformed::TooManyElements));
    }

    let named = |length: usize| format!("0/{},", "n".repeat(length - 1));
    assert!(parse(&named(MAX_NAMESPACE).into()).is_ok());
    assert_eq!(parse(&named(MAX_NAMESPACE + 1).into()), Err(Malformed::Namespace));
}

#[test]
fn arguments_are_slices_of_the_message_and_do_not_print() {
    let message = bytes(r#"2["join_lesson",{"access_token":"secret"}]"#);
    let Content::Event(event) = parse(&message).unwrap().packet.content else { panic!("an event") };
    assert_eq!(event.arguments[0].as_bytes().as_ptr(), message[16..].as_ptr());
    assert!(!format!("{event:?}").contains("secret"));
    let decoded: serde_json::Value = event.arguments[0].decode().unwrap();
    assert_eq!(decoded["access_token"], "secret");
}

#[test]
fn what_the_server_says_is_worded_as_the_protocol_says() {
    let (sid, pid) = ("s".parse().unwrap(), "p".parse().unwrap());
    assert_eq!(connected(&sid, &pid), r#"40{"sid":"s","pid":"p"}"#);
    let data = serde_json::json!({"code": "unauthenticated"});
    assert_eq!(
        connect_error(&Namespace::Main, "No \"token\"", Some(data)),
        r#"44{"message":"No \"token\"","data":{"code":"unauthenticated"}}"#
    );
    assert_eq!(
        connect_error(&other("/random"), "Invalid namespace", None::<()>),
        r#"44/random,{"message":"Invalid namespace"}"#
    );
    assert_eq!(ack(AckId(456), &serde_json::json!({"status": "SUCCESS"})), r#"43456[{"status":"SUCCESS"}]"#);
    assert_eq!(encode::event("log_\"out", &[1]), r#"42["log_\"out",[1]]"#);
    assert_eq!(DISCONNECT, "41");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        name in any::<String>().prop_map(|name| format!("n{name}")),
        argument in any_json(),
        id in 0..=AckId::MAX.0,
    ) {
        let packet = encode::event(&name, &argument);
        let read = parse(&packet.slice(1..)).unwrap().packet;
        let written = serde_json::to_string(&argument).unwrap();
        prop_assert_eq!(read.content, event(&name, &[&written], None));

        let packet = ack(AckId(id), &argument);
        let read = parse(&packet.slice(1..)).unwrap().packet;
        prop_assert_eq!(read.content, acknowledged(id, &[&written]));
    }

    #[test]
    fn nothing_that_comes_in_is_a_panic(message in any::<Vec<u8>>(), text in "[0-6]([0-9]-)?(/a,)?[0-9]?\\PC*") {
        drop(parse(&message.into()));
        drop(parse(&text.into()));
    }
}
