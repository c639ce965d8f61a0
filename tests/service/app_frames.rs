//! The same words to our door and to a server of `socketioxide`, by a client that shares nothing with either: the answers
//! are the same, frame by frame, once ids and texts for people are taken out. Where we differ, the table says why.

mod frames;

use frames::{Frames, Told};
use presence_tests::{Lesson, Result, Stack, Way, ensure, reference::Reference, scenarios};

scenarios! {
    full: both_servers_answer_with_the_same_frames;
}

/// Ours, theirs, and why it is so. Rows that nothing needs fail the test.
const ON_PURPOSE: &[(&str, &str, &str)] = &[];

async fn both_servers_answer_with_the_same_frames(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let lesson = stack.classroom("lesson");
    stack.add_lesson(Lesson { id: &lesson, org: "school", room: None }).await?;
    let reference = Reference::start(stack.folder()).await?;
    let (mut wrong, mut used) = (vec![], vec![]);
    for way in Way::ALL {
        for (name, script) in frames::SCRIPTS {
            let ours = script(Frames::with(&server, server.public, way, &lesson)).await?;
            let theirs = script(Frames::with(&server, reference.address, way, &lesson)).await?;
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
    if ours.len() != theirs.len() || !ours.iter().zip(theirs).map(same).all(|same| same) {
        wrong.push(format!(
            "{script}:\n  ours:   {}\n  theirs: {}",
            ours.join("\n          "),
            theirs.join("\n          ")
        ));
    }
}
