//! The same words to our door and to a server of `socketioxide`, by a client that shares nothing with either: the answers
//! are the same, frame by frame, once ids and texts for people are taken out. Where we differ, the table says why.

mod frames;

use frames::{Frames, Told};
use presence_tests::{Lesson, Person, Result, Stack, Way, ensure, reference::Reference, scenarios};

scenarios! {
    full: both_servers_answer_with_the_same_frames;
}

/// Ours, theirs, and why it is so. A row that nothing needs fails the test.
const ON_PURPOSE: &[(&str, &str, &str)] = &[
    ("< 40{pid: …, sid: …}", "< 40{sid: …}", "a lost connection can be taken up again"),
    (
        "< 44{data: {code: \"unauthenticated\", message: …}, message: …}",
        "< 44{message: …}",
        "whoever is refused learns why in a word for programs, too",
    ),
    (
        "< 436[{data: {agents: …, agents_total: …, lesson_id: …, seq: …, session_id: …}, status: \"SUCCESS\"}]",
        "< 436[{data: {lesson_id: …}, status: \"SUCCESS\"}]",
        "the reference knows no sessions, and nobody else in the lesson",
    ),
    (
        "\"42[\\\"a\\\"]x\": the connection ends",
        "\"42[\\\"a\\\"]x\": the connection lives",
        "what stands behind the JSON of a packet makes it none",
    ),
    (
        "GET ?EIO=4&transport=websocket: 400 {code: 3, message: …}",
        "GET ?EIO=4&transport=websocket: 400 ",
        "no refusal of ours is without its reason",
    ),
];

async fn both_servers_answer_with_the_same_frames(stack: &mut Stack) -> Result<()> {
    stack.use_redis().await?;
    // As the reference has it.
    stack.set("socketio.max_payload", 100_000);
    let server = stack.start().await?;
    let (lesson, org) = (stack.classroom("lesson"), stack.classroom("school"));
    stack.add_lesson(Lesson { id: &lesson, org: &org, room: None }).await?;
    let reference = Reference::start(stack.folder()).await?;
    let (mut wrong, mut used, mut played) = (vec![], vec![], vec![]);
    for way in Way::ALL {
        for (name, script) in frames::SCRIPTS {
            // Somebody new: who polls and goes without a word is missed only when a ping is not answered.
            let teacher = Person::teacher(&format!("t-{}", played.len()), &org);
            played.push(name);
            let ours = script(Frames::with(&server, server.public, way, &lesson, &teacher)).await?;
            let theirs = script(Frames::with(&server, reference.address, way, &lesson, &teacher)).await?;
            compare(&format!("{name} by {way:?}"), &ours, &theirs, &mut used, &mut wrong);
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let stale: Vec<_> = ON_PURPOSE.iter().enumerate().filter(|(row, _)| !used.contains(row)).collect();
    ensure!(stale.is_empty(), "differences that there are no more: {stale:?}");
    Ok(())
}

fn compare(script: &str, ours: &[Told], theirs: &[Told], used: &mut Vec<usize>, wrong: &mut Vec<String>) {
    let same = |(ours, theirs): (&Told, &Told)| {
        let row = ON_PURPOSE.iter().position(|(one, other, _)| ours == one && theirs == other);
        used.extend(row);
        ours == theirs || row.is_some()
    };
    if ours.len() != theirs.len() || !ours.iter().zip(theirs).all(same) {
        wrong.push(format!(
            "{script}:\n  ours:   {}\n  theirs: {}",
            ours.join("\n          "),
            theirs.join("\n          ")
        ));
    }
}
