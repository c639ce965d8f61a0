//! What replicas say to each other, and what they take for no word at all.

use super::*;

fn ask(why: Why) -> Ask {
    let account = "\\".repeat(255);
    let key = SessionKey {
        agent_id: format!("web.{account}.school.example").parse().unwrap(),
        classroom_id: "x".repeat(64).parse().unwrap(),
    };
    Ask { key, held: Held { session_id: SessionId(i64::MAX), generation: Generation(i64::MAX) }, why }
}

#[test]
fn the_longest_ask_is_understood() {
    for why in [Why::Replaced, Why::Evicted] {
        assert_eq!(read_ask(&written(&ask(why)).unwrap()), Some(ask(why)));
    }
}

#[test]
fn the_words_are_those_of_the_protocol() {
    let key = SessionKey { agent_id: "web.a.b".parse().unwrap(), classroom_id: "math".parse().unwrap() };
    let held = Held { session_id: SessionId(7), generation: Generation(3) };
    let body = written(&Ask { key, held, why: Why::Replaced }).unwrap();
    let expected =
        r#"{"agent_id":"web.a.b","classroom_id":"math","session_id":7,"generation":3,"why":"replaced"}"#;
    assert_eq!(body, expected);
    assert_eq!(subject(ReplicaId(1)), "presence.peer.v1.00000000-0000-0000-0000-000000000001");
    for (answer, body) in
        [(Answer::LetGo, r#"{"answer":"let_go"}"#), (Answer::NotHere, r#"{"answer":"not_here"}"#)]
    {
        assert_eq!(written_answer(answer), body);
        assert_eq!(read_answer(body.as_bytes()), Some(answer));
    }
}

#[test]
fn whatever_else_is_said_is_no_ask() {
    let good = String::from_utf8(written(&ask(Why::Evicted)).unwrap().to_vec()).unwrap();
    for bad in [
        String::new(),
        "{}".to_owned(),
        good.replace("evicted", "shot"),
        good.replace("session_id", "session"),
        good.replace("web.", "w b."),
        good.replacen('{', r#"{"more":1,"#, 1),
        good.replacen('{', r#"{"why":"evicted","#, 1),
        format!("{good}{good}"),
        format!("{}{good}", " ".repeat(MAX_ASK_BYTES)),
    ] {
        assert_eq!(read_ask(bad.as_bytes()), None, "{bad}");
    }
    let long = format!(r#"{}{{"answer":"let_go"}}"#, " ".repeat(MAX_ANSWER_BYTES));
    for bad in ["", "let_go", r#"{"answer":"perhaps"}"#, r#"{"answer":"let_go","more":1}"#, &long] {
        assert_eq!(read_answer(bad.as_bytes()), None, "{bad}");
    }
}
