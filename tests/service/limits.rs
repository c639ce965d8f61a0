//! What a client may send: frames over a limit, frames against RFC 6455, and too many frames, before and after its
//! token was trusted. Whoever breaks a rule is closed by the code for it; the others in the classroom go on.

use presence_tests::{
    Raw, Result, Server, Stack, ensure,
    raw::{BINARY, CONTINUED, PING, TEXT, TEXT_TO_BE_CONTINUED, masked, unmasked},
    scenarios,
};

scenarios! {
    both:
        a_message_over_the_limit_is_too_big,
        fragments_without_end_are_too_big,
        whoever_breaks_the_protocol_is_closed_by_its_code,
        a_flood_of_pings_is_against_the_rules,
        messages_within_the_limits_harm_nobody;
}

const BEFORE: usize = 16 * 1024;
const AFTER: usize = 64 * 1024;
/// Far more than any limit; nobody reads this many.
const ENDLESS: usize = 200_000;

async fn in_the_room(server: &Server, room: &str, trusted: bool) -> Result<Raw> {
    if trusted { server.connect_raw("mallory", room).await } else { server.knock_raw().await }
}

/// Ann is in the room all the time, and hears no more of mallory than that they came and went.
async fn unmoved(
    server: &Server,
    room: &str,
    abuse: impl AsyncFn(&mut Raw, bool) -> Result<()>,
) -> Result<()> {
    let mut ann = server.connect("ann", room).await?;
    for trusted in [false, true] {
        let mut raw = in_the_room(server, room, trusted).await?;
        abuse(&mut raw, trusted).await?;
        if trusted {
            ann.expect_entered("mallory").await?;
            ann.expect_left("mallory").await?;
        }
        ann.expect_quiet(server, room).await?;
    }
    server.expect_present(room, &["ann"]).await?;
    ann.close().await
}

async fn a_message_over_the_limit_is_too_big(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    unmoved(&server, &stack.classroom("math"), async |raw, trusted| {
        let limit = if trusted { AFTER } else { BEFORE };
        raw.write_as_long_as_it_goes([masked(TEXT, &vec![b' '; limit + 1])].into_iter()).await?;
        raw.expect_close(1009).await?;
        Ok(())
    })
    .await
}

async fn fragments_without_end_are_too_big(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    for piece in [&b"a"[..], b""] {
        unmoved(&server, &stack.classroom("math"), async |raw, _| {
            let first = std::iter::once(masked(TEXT_TO_BE_CONTINUED, piece));
            let more = std::iter::repeat_n(masked(CONTINUED, piece).repeat(100), ENDLESS / 100);
            raw.write_as_long_as_it_goes(first.chain(more)).await?;
            raw.expect_close(1009).await?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn whoever_breaks_the_protocol_is_closed_by_its_code(stack: &mut Stack) -> Result<()> {
    let reserved_bit = 0x40;
    let cases = [
        ("text that is no UTF-8", masked(TEXT, b"\xff\xfe"), 1007),
        ("a frame without a mask", unmasked(TEXT, b"{}"), 1002),
        ("a reserved opcode for data", masked(0x83, b""), 1002),
        ("a reserved opcode for control", masked(0x8b, b""), 1002),
        ("a reserved bit", masked(TEXT | reserved_bit, b"{}"), 1002),
        ("a continuation of nothing", masked(0x80 | CONTINUED, b"{}"), 1002),
        ("a ping in fragments", masked(PING & 0x7f, b""), 1002),
        ("a ping of 126 bytes", masked(PING, &[0; 126]), 1002),
    ];
    unmoved_by_each(stack, &cases).await
}

async fn unmoved_by_each(stack: &mut Stack, cases: &[(&str, Vec<u8>, u16)]) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    for (what, bytes, code) in cases {
        for trusted in [false, true] {
            let mut raw = in_the_room(&server, &room, trusted).await?;
            raw.write(bytes).await?;
            let ending = raw.ending().await?;
            ensure!(ending.code == Some(*code), "{what}, trusted: {trusted}: {ending:?}");
            if trusted {
                ann.expect_entered("mallory").await?;
                ann.expect_left("mallory").await?;
            }
        }
    }
    ann.expect_quiet(&server, &room).await
}

async fn a_flood_of_pings_is_against_the_rules(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    unmoved(&server, &stack.classroom("math"), async |raw, _| {
        raw.write_as_long_as_it_goes(std::iter::repeat_n(masked(PING, b"x").repeat(100), 100)).await?;
        raw.expect_close(1008).await?;
        Ok(())
    })
    .await
}

async fn messages_within_the_limits_harm_nobody(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let mut ann = server.connect("ann", &room).await?;
    let mut raw = server.connect_raw("ben", &room).await?;
    ann.expect_entered("ben").await?;
    // A newer client may say more than this server understands.
    raw.write(&masked(TEXT, &vec![b' '; AFTER])).await?;
    raw.write(&masked(BINARY, b"\xff")).await?;
    raw.write(&masked(TEXT_TO_BE_CONTINUED, b"{")).await?;
    raw.write(&masked(PING, b"in between")).await?;
    raw.write(&masked(0x80 | CONTINUED, b"}")).await?;
    ann.expect_quiet(&server, &room).await?;
    server.expect_present(&room, &["ann", "ben"]).await
}
