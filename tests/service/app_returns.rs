//! What becomes of npm's client, left to itself, when its network goes or its replica does: it comes back through the
//! balancer, to another replica, and is in its lesson as if nothing had been. And who is refused stays away.

use presence_tests::{
    Context, Foreign, Lesson, Library, Person, Result, Server, Stack, Way, balancer::Balancer, ensure,
    scenarios,
};
use serde_json::Value;

scenarios! {
    full:
        a_client_that_lost_its_network_hears_what_it_missed,
        a_client_whose_replica_ends_moves_and_nobody_notices,
        clients_that_are_refused_learn_why_and_stay_away;
}

/// A teacher on the first replica, a student on the second, in one lesson.
struct Class {
    servers: [Server; 2],
    balancer: Balancer,
    apps: Foreign,
    lesson: String,
    teacher: Person,
    sid: String,
    student: Person,
    /// Who came later.
    others: Vec<String>,
}

impl Class {
    async fn gather(stack: &mut Stack) -> Result<Self> {
        stack.use_redis().await?;
        let mut servers = vec![];
        for label in ["first", "second"] {
            stack.set("replica.label", label);
            servers.push(stack.start().await?);
        }
        let servers: [Server; 2] = servers.try_into().ok().context("two were pushed")?;
        let (lesson, org) = (stack.classroom("lesson"), stack.classroom("school"));
        stack.add_lesson(Lesson { id: &lesson, org: &org, room: None }).await?;
        let (teacher, student) = (Person::teacher("t-1", &org), Person::student("s-1", &org));
        let mut apps = Foreign::start(Library::Node, stack.folder())?;
        let balancer = Balancer::over(&[servers[0].public]).await?;
        let opening =
            |person: &Person| Ok::<_, presence_tests::Error>(servers[0].opening(person)?.by(Way::WebSocket));
        let sid = apps.connect(&teacher.user, balancer.address, &opening(&teacher)?).await?;
        apps.ask_well(&teacher.user, "join_lesson", &teacher.joining(&lesson)).await?;
        apps.connect(&student.user, servers[1].public, &opening(&student)?).await?;
        apps.ask_well(&student.user, "join_lesson", &student.joining(&lesson)).await?;
        let mut class = Self { servers, balancer, apps, lesson, teacher, sid, student, others: vec![] };
        class.expect_told(&class.teacher.user.clone(), "entered", &class.student.user.clone()).await?;
        Ok(class)
    }

    /// Somebody else comes to the second replica.
    async fn enter(&mut self, user: &str) -> Result<()> {
        let person = Person::student(user, &self.teacher.org);
        let opening = self.servers[1].opening(&person)?.by(Way::WebSocket);
        self.apps.connect(user, self.servers[1].public, &opening).await?;
        self.apps.ask_well(user, "join_lesson", &person.joining(&self.lesson)).await?;
        self.others.push(user.to_owned());
        Ok(())
    }

    async fn dismiss(mut self) -> Result<()> {
        for user in self.others.iter().chain([&self.student.user, &self.teacher.user]) {
            self.apps.dismiss(user).await?;
        }
        Ok(())
    }

    async fn expect_told(&mut self, listener: &str, operation: &str, user: &str) -> Result<()> {
        let args = self.apps.expect_event(listener, "event").await?;
        let agent = args[0]["payload"]["agent_id"].as_str().unwrap_or_default();
        let is_right = args[0]["id"]["operation"] == operation && agent.starts_with(&format!("app.{user}."));
        ensure!(is_right, "{listener} expected {operation} of {user}: {args}");
        Ok(())
    }

    /// The teacher is back, under the same id, without having done anything for it.
    async fn expect_taken_up(&mut self) -> Result<()> {
        let connected = loop {
            let told = self.apps.next(&self.teacher.user).await?;
            // A try that found nobody.
            if told["is"] != "refused" || told["comes_back"] != true {
                break told;
            }
        };
        let is_recovered =
            connected["is"] == "connected" && connected["recovered"] == true && connected["sid"] == *self.sid;
        ensure!(is_recovered, "expected {}: {connected}", self.sid);
        Ok(())
    }
}

async fn a_client_that_lost_its_network_hears_what_it_missed(stack: &mut Stack) -> Result<()> {
    let mut class = Class::gather(stack).await?;
    let (teacher, student) = (class.teacher.user.clone(), class.student.user.clone());
    class.balancer.remove(class.servers[0].public);
    class.apps.lose(&teacher)?;
    class.apps.expect(&teacher, "disconnected").await?;
    class.enter("late").await?;
    class.expect_told(&student, "entered", "late").await?;
    class.balancer.add(class.servers[1].public);
    class.expect_taken_up().await?;
    class.expect_told(&teacher, "entered", "late").await?;
    // Nobody saw it go or come.
    class.enter("later").await?;
    class.expect_told(&student, "entered", "later").await?;
    class.expect_told(&teacher, "entered", "later").await?;
    class.dismiss().await
}

async fn a_client_whose_replica_ends_moves_and_nobody_notices(stack: &mut Stack) -> Result<()> {
    let mut class = Class::gather(stack).await?;
    let (teacher, student) = (class.teacher.user.clone(), class.student.user.clone());
    class.balancer.add(class.servers[1].public);
    class.balancer.remove(class.servers[0].public);
    stack.process(&class.servers[0]).signal("TERM")?;
    let told = class.apps.expect_event(&teacher, "terminated").await?;
    ensure!(told[0]["reconnect_after_ms"].is_u64() && told[0]["reason"] == "shutdown", "{told}");
    let gone = class.apps.expect(&teacher, "disconnected").await?;
    ensure!(gone["comes_back"] == true, "{gone}");
    class.expect_taken_up().await?;
    let status = stack.process(&class.servers[0]).end().await?;
    ensure!(status.success(), "after SIGTERM the server ended with {status}");
    class.enter("late").await?;
    class.expect_told(&student, "entered", "late").await?;
    class.expect_told(&teacher, "entered", "late").await?;
    class.dismiss().await
}

async fn clients_that_are_refused_learn_why_and_stay_away(stack: &mut Stack) -> Result<()> {
    stack.use_redis().await?;
    let server = stack.start().await?;
    let person = Person::student("s-1", &stack.classroom("school"));
    for library in [Library::Node, Library::Python] {
        let mut apps = Foreign::start(library, stack.folder())?;
        for way in Way::ALL {
            let good = server.opening(&person)?.by(way);
            let bad = [
                ("nobody", good.clone().without("auth"), "unauthenticated"),
                ("forger", good.clone().with("auth", "a.b.c"), "unauthenticated"),
                ("stranger", good.clone().with("org_id", "another"), "access_denied"),
                ("pretender", good.clone().with("role", "teacher"), "access_denied"),
            ];
            for (name, opening, code) in bad {
                let who = format!("{name} by {way:?}");
                apps.begin(&who, server.public, &opening)?;
                let refused = apps.expect(&who, "refused").await?;
                let is_told = refused["data"]["code"] == code && refused["message"].is_string();
                ensure!(
                    is_told && refused.get("comes_back") != Some(&Value::Bool(true)),
                    "{library:?}, {who}: {refused}"
                );
            }
        }
    }
    server.expect_metric("presence_sessions", 0).await?;
    // Once each: two ways to be a stranger to the keys, three transports, two libraries.
    server.expect_metric(r#"presence_app_connects_total{outcome="unauthenticated"}"#, 12).await
}
