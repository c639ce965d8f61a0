//! What a notice looks like on its way, and what is taken for none.

use super::*;

fn notices(org: &str, user: &str) -> [Notice; 2] {
    let (org_id, user_id): (OrgId, UserId) = (org.parse().unwrap(), user.parse().unwrap());
    [
        Notice::TeacherDisconnect { org_id: org_id.clone(), user_id: user_id.clone() },
        Notice::LogOut { org_id, user_id },
    ]
}

#[test]
fn the_longest_notice_is_understood() {
    let me = ReplicaId(u128::MAX);
    for notice in notices(&"o".repeat(128), &"@".repeat(128)) {
        assert_eq!(read(&written(me, &notice).unwrap()), Some((me, notice)));
    }
}

#[test]
fn the_words_are_those_of_the_protocol() {
    let bodies = notices("school", "t-1").map(|notice| written(ReplicaId(1), &notice).unwrap());
    let expected = ["teacher_disconnect", "log_out"].map(|event| {
        format!(
            r#"{{"replica":"00000000-0000-0000-0000-000000000001","event":"{event}","org_id":"school","user_id":"t-1"}}"#
        )
    });
    assert_eq!(bodies.map(|body| String::from_utf8(body.to_vec()).unwrap()), expected);
    for notice in notices("school", "t-1") {
        let body = String::from_utf8(written(ReplicaId(1), &notice).unwrap().to_vec()).unwrap();
        assert!(body.contains(&format!("\"{}\"", notice.name())), "the name is the event's: {body}");
    }
}

#[test]
fn whatever_else_is_said_is_no_notice() {
    let [good, _] = notices("school", "t-1");
    let good = String::from_utf8(written(ReplicaId(1), &good).unwrap().to_vec()).unwrap();
    for bad in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        good.replace("teacher_disconnect", "teacher_connect"),
        good.replace("org_id", "org"),
        good.replace("school", "a_user_b"),
        good.replace("t-1", "t 1"),
        good.replace("t-1", &"t".repeat(129)),
        good.replace("-0000-", "-zzzz-"),
        good.replacen('{', r#"{"more":1,"#, 1),
        good.replacen('{', r#"{"event":"log_out","#, 1),
        format!("{good}{good}"),
        format!("{}{good}", " ".repeat(MAX_BYTES)),
    ] {
        assert_eq!(read(bad.as_bytes()), None, "{bad}");
    }
}
