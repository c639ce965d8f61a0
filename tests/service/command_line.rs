//! The binary by itself: how it refuses, what it prints, and the terminal client.

use presence_tests::{
    Context, Result, Stack, ensure, eventually,
    log::Log,
    process,
    process::{Process, Settings},
    scenarios,
};
use std::net::TcpListener;

scenarios! {
    both:
        a_wrong_setting_is_named_with_its_value_and_an_example,
        a_taken_port_is_said_to_be_taken,
        a_token_is_printed_and_nothing_else,
        those_who_join_from_a_terminal_see_each_other_come_and_go,
        a_store_is_verified_beside_its_server_and_without_it;
    full:
        a_store_that_lies_is_found_out,
        a_database_without_our_tables_is_refused,
        a_database_of_a_later_version_is_refused,
        a_database_that_comes_late_is_waited_for;
}

/// How a start that is to fail fails: its exit code, and what it says.
fn refusal(settings: &Settings, args: &[&str]) -> Result<(Option<i32>, String)> {
    let output = process::output(settings, args)?;
    ensure!(output.stdout.is_empty(), "it printed {}", String::from_utf8_lossy(&output.stdout));
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

async fn a_wrong_setting_is_named_with_its_value_and_an_example(stack: &mut Stack) -> Result<()> {
    let cases = [
        ("session.leave_grace", "soon", "PRESENCE_SESSION__LEAVE_GRACE="),
        ("session.leave_gracee", "5s", "PRESENCE_SESSION__LEAVE_GRACE="),
        ("native.max_message", "lots", "PRESENCE_NATIVE__MAX_MESSAGE="),
        ("public.addr", "8080", "PRESENCE_PUBLIC__ADDR="),
        ("log.format", "xml", "PRESENCE_LOG__FORMAT="),
        ("store.url", "mysql:db", "PRESENCE_STORE__URL="),
    ];
    for (key, value, example) in cases {
        let settings = [stack.settings().clone(), Settings::from([(key.into(), value.into())])];
        let settings = settings.into_iter().flatten().collect();
        let (code, said) = refusal(&settings, &["serve"])?;
        let told = said.contains(key) && said.contains(value) && said.contains(example);
        ensure!(code == Some(78) && told, "{key}={value}: {code:?}\n{said}");
    }
    let file = stack.folder().join("presence.yaml");
    let path = file.to_str().context("a path is text")?;
    let none = Settings::new();
    for (text, key, value) in [
        ("session:\n  leave_grace: soon\n", "session.leave_grace", "soon"),
        ("session:\n  leave_gracee: 5s\n", "session.leave_gracee", "5s"),
        ("sesion:\n  leave_grace: 5s\n", "sesion", "for example"),
        ("native:\n  max_message: 1\n", "native.max_message", "1"),
    ] {
        std::fs::write(&file, text)?;
        let (code, said) = refusal(&none, &["serve", "--config", path])?;
        let told = said.contains(key) && said.contains(value) && said.contains("for example");
        ensure!(code == Some(78) && told && said.contains(path), "{text}: {code:?}\n{said}");
    }
    std::fs::write(&file, "session: [\n")?;
    let (code, said) = refusal(&none, &["serve", "--config", path])?;
    ensure!(code == Some(78) && said.contains(path), "{code:?}\n{said}");
    std::fs::remove_file(&file)?;
    let (code, said) = refusal(&none, &["serve", "--config", path])?;
    ensure!(code == Some(78) && said.contains(path), "{code:?}\n{said}");
    Ok(())
}

async fn a_taken_port_is_said_to_be_taken(stack: &mut Stack) -> Result<()> {
    let holder = TcpListener::bind("127.0.0.1:0")?;
    let taken = holder.local_addr()?.to_string();
    for (key, variable) in [
        ("public.addr", "PRESENCE_PUBLIC__ADDR"),
        ("internal.addr", "PRESENCE_INTERNAL__ADDR"),
        ("metrics.addr", "PRESENCE_METRICS__ADDR"),
    ] {
        let mut settings = stack.settings().clone();
        settings.insert(key.into(), taken.clone());
        let (code, said) = refusal(&settings, &["serve"])?;
        ensure!(code == Some(69) && said.contains(&taken) && said.contains(variable), "{code:?}\n{said}");
    }
    Ok(())
}

async fn a_token_is_printed_and_nothing_else(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let args = ["token", "--account", "ann", "--audience", "school.example"];
    let output = process::output(stack.settings(), &args)?;
    let printed = String::from_utf8(output.stdout)?;
    let token = printed.strip_suffix('\n').context("the token ends with a line feed")?;
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    ensure!(token.split('.').count() == 3 && token.split('.').all(is_word), "it printed {printed:?}");
    ensure!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // It is good as it is.
    let request = presence_tests::request(&stack.classroom("math"), token);
    server.connect_as("ann", &request).await?.close().await
}

async fn those_who_join_from_a_terminal_see_each_other_come_and_go(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let url = format!("http://{}", server.public);
    let join = |account: &str| {
        let args = ["join", &room, "--server", &url, "--account", account, "--audience", "school.example"];
        Process::start(stack.folder(), account, stack.settings(), &args)
    };
    let mut ann = join("ann")?;
    expect_line(&ann, "= connected to").await?;
    expect_line(&ann, "cli.ann.school.example").await?;
    let mut ben = join("ben")?;
    expect_line(&ann, "+ cli.ben.school.example entered").await?;
    expect_line(&ben, "cli.ann.school.example").await?;
    let carl = server.connect("carl", &room).await?;
    expect_line(&ben, "+ web.carl.school.example entered").await?;
    ben.signal("INT")?;
    expect_line(&ann, "- cli.ben.school.example left").await?;
    ensure!(ben.end().await?.success(), "{}", ben.log.text()?);
    carl.close().await?;
    expect_line(&ann, "- web.carl.school.example left").await?;

    let args = ["agents", &room, "--server", &url, "--account", "ann", "--audience", "school.example"];
    let listed = process::output(stack.settings(), &args)?;
    let listed = String::from_utf8(listed.stdout)?;
    ensure!(listed.contains("cli.ann.school.example") && !listed.contains("cli.ben"), "{listed}");
    ann.signal("INT")?;
    ensure!(ann.end().await?.success(), "{}", ann.log.text()?);
    server.expect_present(&room, &[]).await
}

/// What `verify` ends with, and what it prints.
fn verified(stack: &Stack, args: &[&str]) -> Result<(Option<i32>, String)> {
    let args: Vec<_> = ["verify"].iter().chain(args).copied().collect();
    let output = process::output(stack.settings(), &args)?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

async fn a_store_is_verified_beside_its_server_and_without_it(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let room = stack.classroom("math");
    let ann = server.connect("ann", &room).await?;
    server.connect("ben", &room).await?.close().await?;
    let (code, said) = verified(stack, &["--settled", "1m"])?;
    ensure!(code == Some(0) && said.lines().count() == 6 && !said.contains("VIOLATED"), "{code:?}\n{said}");
    ann.close().await?;
    stack.stop(&server).await?;
    let (code, said) = verified(stack, &["--settled", "1m", "--json"])?;
    ensure!(code == Some(0) && said.starts_with("{\"good\":true,"), "{code:?}\n{said}");
    // Nothing is made where nothing is.
    let nowhere = stack.folder().join("nowhere");
    let mut settings = stack.settings().clone();
    settings.insert("store.url".into(), format!("sqlite:{}", nowhere.join("presence.db").display()));
    let (code, said) = refusal(&settings, &["verify"])?;
    ensure!(code == Some(69) && !nowhere.exists(), "{code:?}\n{said}");
    Ok(())
}

async fn a_store_that_lies_is_found_out(stack: &mut Stack) -> Result<()> {
    let server = stack.start().await?;
    let ann = server.connect("ann", &stack.classroom("math")).await?;
    stack.database()?.query("DELETE FROM outbox")?;
    let (code, said) = verified(stack, &["--settled", "1m"])?;
    let found = said.contains("I4  VIOLATED") && said.contains("no event says that it entered");
    ensure!(code == Some(1) && found && said.matches("VIOLATED").count() == 1, "{code:?}\n{said}");
    ann.close().await
}

async fn expect_line(process: &Process, text: &str) -> Result<()> {
    eventually(text, async || {
        let printed = process.stdout()?;
        ensure!(printed.lines().any(|line| line.contains(text)), "it printed:\n{printed}");
        Ok(())
    })
    .await
}

async fn a_database_without_our_tables_is_refused(stack: &mut Stack) -> Result<()> {
    let database = stack.database()?;
    database.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")?;
    let (code, said) = refusal(stack.settings(), &["serve"])?;
    ensure!(code == Some(1) && said.contains("presence migrate"), "{code:?}\n{said}");
    let tables =
        database.query("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")?;
    ensure!(tables == "0", "a server that refuses makes no tables");
    // It does as it says, and twice is as good as once.
    for _ in 0..2 {
        let migrated = process::output(stack.settings(), &["migrate"])?;
        ensure!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    }
    stack.start().await?;
    Ok(())
}

async fn a_database_of_a_later_version_is_refused(stack: &mut Stack) -> Result<()> {
    let database = stack.database()?;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'of the future', true, '\\x00', 0)";
    database.query(later)?;
    // It only added something: the release before may still start.
    stack.start().await?;
    let database = stack.database()?;
    database.query("UPDATE schema_contract SET compatible_from = 9999")?;
    for command in ["serve", "migrate"] {
        let (code, said) = refusal(stack.settings(), &[command])?;
        ensure!(code == Some(1) && said.contains("9999"), "{command}: {code:?}\n{said}");
    }
    Ok(())
}

async fn a_database_that_comes_late_is_waited_for(stack: &mut Stack) -> Result<()> {
    stack.expect_in_log("the store is away");
    let link = stack.link_database().await?;
    link.cut();
    let log = Log::at(&stack.folder().join("presence-0.log"));
    let healing = async {
        let waits = async || log.find("the store is away; trying again").map(drop);
        eventually("the server to wait for its database", waits).await?;
        link.heal();
        Ok::<_, presence_tests::Error>(())
    };
    let (server, healed) = tokio::join!(stack.start(), healing);
    healed?;
    server?.connect("ann", &stack.classroom("math")).await?.close().await
}
