//! The day itself: who connects, joins, logs out and goes, in this order, and what is to be found then.

use presence_tests::{
    Context, Foreign, Keys, Lesson, Library, Person, Result, Server, Stack, Way, balancer::Balancer, ensure,
    eventually, keys::Fields, tokens::AUDIENCE,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const ORG: &str = "school-1";
const ROOM: &str = "room-9";
/// Of the student who has one.
const SEAT: &str = "7";
/// As many as a lesson gets unless it is told otherwise.
const SEATS: usize = 50;

/// Where clients go.
pub(super) struct Doors {
    servers: Vec<Server>,
    balancer: Option<Balancer>,
}

impl Doors {
    pub(super) fn one(server: Server) -> Self {
        Self { servers: vec![server], balancer: None }
    }

    pub(super) async fn behind_a_balancer(servers: Vec<Server>) -> Result<Self> {
        let targets: Vec<_> = servers.iter().map(|server| server.public).collect();
        Ok(Self { balancer: Some(Balancer::over(&targets).await?), servers })
    }

    fn address(&self) -> std::net::SocketAddr {
        self.balancer.as_ref().map_or(self.servers[0].public, |balancer| balancer.address)
    }
}

pub(super) struct Day {
    keys: Keys,
    doors: Doors,
    apps: Foreign,
    library: Library,
    way: Way,
    lesson: String,
    hub: Person,
    manager: Person,
    teacher: Person,
    student: Person,
    /// A student whose `join_lesson` carries an access token.
    participant: Person,
    /// Of another org.
    strangers: [Person; 2],
}

impl Day {
    pub(super) async fn begin(
        stack: &Stack,
        keys: Keys,
        doors: Doors,
        library: Library,
        way: Way,
    ) -> Result<Self> {
        let lesson = stack.classroom("lesson");
        stack.add_lesson(Lesson { id: &lesson, org: ORG, room: Some(ROOM) }).await?;
        stack.add_seat(&lesson, "p-1", SEAT).await?;
        Ok(Self {
            keys,
            doors,
            apps: Foreign::start(library, stack.folder())?,
            library,
            way,
            lesson,
            hub: Person::hub("h-1", ORG),
            manager: Person::manager("m-1", ORG),
            teacher: Person::teacher("t-1", ORG),
            student: Person::student("s-1", ORG),
            participant: Person::student("p-1", ORG),
            strangers: [Person::hub("h-2", "elsewhere"), Person::teacher("t-2", "elsewhere")],
        })
    }

    pub(super) async fn pass(mut self) -> Result<()> {
        self.those_who_listen_connect().await.context("those who listen connect")?;
        self.the_teacher_connects().await.context("the teacher connects")?;
        self.students_connect().await.context("students connect")?;
        self.the_teacher_joins().await.context("the teacher joins")?;
        self.a_student_joins().await.context("a student joins")?;
        self.a_participant_joins().await.context("a participant joins")?;
        self.the_student_goes().await.context("the student goes")?;
        self.the_teacher_goes().await.context("the teacher goes")?;
        self.the_teacher_comes_back_and_logs_out().await.context("the teacher comes back and logs out")?;
        self.everybody_goes().await.context("everybody goes")
    }

    /// Lets a person in; returns the socket's id.
    async fn connect(&mut self, person: &Person) -> Result<String> {
        let opening = self.doors.servers[0].opening(person)?.by(self.way);
        self.apps.connect(&person.user, self.doors.address(), &opening).await
    }

    async fn those_who_listen_connect(&mut self) -> Result<()> {
        self.connect(&self.hub.clone()).await?;
        self.connect(&self.strangers[0].clone()).await?;
        self.expect_names(&[]).await?;
        let manager = self.manager.clone();
        let sid = self.connect(&manager).await?;
        let key = format!("manager:org_{ORG}_user_{}", manager.user);
        self.expect_user(&key, &manager, &sid, None).await?;
        self.keys.expect_ttl(&key, None).await?;
        self.expect_names(&[&key]).await
    }

    async fn the_teacher_connects(&mut self) -> Result<()> {
        let teacher = self.teacher.clone();
        let before = jiff::Timestamp::now().as_second();
        let sid = self.connect(&teacher).await?;
        self.expect_alive("connect", before).await?;
        self.keys.expect_ttl(&self.alive(), None).await?;
        self.expect_user(&teacher.user, &teacher, &sid, None).await?;
        self.keys.expect_ttl(&teacher.user, None).await
    }

    async fn students_connect(&mut self) -> Result<()> {
        for student in [self.student.clone(), self.participant.clone()] {
            let sid = self.connect(&student).await?;
            self.expect_user(&student.user, &student, &sid, None).await?;
            self.keys.expect_ttl(&student.user, None).await?;
        }
        // By polling or WebSocket alone, or by the one and then the other.
        match (self.way, self.library) {
            (Way::Upgrade, Library::Node) => self.apps.expect_upgraded(&self.student.user).await,
            (Way::Upgrade | Way::WebSocket, _) => self.apps.ensure_over(&self.student.user, "websocket"),
            (Way::Polling, _) => self.apps.ensure_over(&self.student.user, "polling"),
        }
    }

    async fn the_teacher_joins(&mut self) -> Result<()> {
        let teacher = self.teacher.clone();
        let joined = self.join(&teacher, &teacher.joining(&self.lesson), 1).await?;
        ensure!(joined["seat"].is_null(), "a teacher has no seat: {joined}");
        let seats: Fields = (1..=SEATS).map(|seat| (seat.to_string(), String::new())).collect();
        let found = self.keys.hash(&self.key("seat")).await?;
        ensure!(found == seats, "the seats are {found:?}");
        self.keys.expect_ttl(&self.key("seat"), None).await?;
        let sid = self.sid_of(&teacher).await?;
        self.keys.expect_hash(&self.key("teacher"), &[(&teacher.user, &sid)]).await?;
        self.keys.expect_ttl(&self.key("teacher"), Some(DAY)).await?;
        self.expect_user(&teacher.user, &teacher, &sid, Some(&self.lesson)).await?;
        self.keys.expect_ttl(&teacher.user, None).await
    }

    async fn a_student_joins(&mut self) -> Result<()> {
        let student = self.student.clone();
        // Somebody has sat down in the meantime: seats that are there stay as they are.
        self.keys.set_fields(&self.key("seat"), &[("3", "somebody")]).await?;
        let joined = self.join(&student, &student.joining(&self.lesson), 2).await?;
        ensure!(joined["seat"].is_null(), "no seat is written down for this student: {joined}");
        ensure!(self.keys.hash(&self.key("seat")).await?["3"] == "somebody", "a seat was lost");
        let sid = self.sid_of(&student).await?;
        self.keys.expect_hash(&self.key("student"), &[(&student.user, &sid)]).await?;
        self.keys.expect_ttl(&self.key("student"), Some(DAY)).await?;
        self.expect_user(&student.user, &student, &sid, Some(&self.lesson)).await?;
        self.keys.expect_ttl(&student.user, None).await?;
        self.expect_told(&self.teacher.clone(), "entered", &student).await
    }

    async fn a_participant_joins(&mut self) -> Result<()> {
        let (student, participant) = (self.student.clone(), self.participant.clone());
        let mut joining = participant.joining(&self.lesson);
        joining["access_token"] = self.doors.servers[0].tokens().of_person(&participant)?.into();
        let joined = self.join(&participant, &joining, 3).await?;
        ensure!(joined["seat"] == SEAT, "{joined}");
        let (theirs, ours) = (self.sid_of(&student).await?, self.sid_of(&participant).await?);
        let both = [(participant.user.as_str(), ours.as_str()), (student.user.as_str(), theirs.as_str())];
        self.keys.expect_hash(&self.key("student"), &both).await?;
        self.keys.expect_ttl(&self.key("student"), Some(DAY)).await?;
        self.expect_user(&participant.user, &participant, &ours, Some(&self.lesson)).await?;
        self.keys.expect_ttl(&participant.user, Some(DAY)).await?;
        for listener in [&self.teacher.clone(), &student] {
            self.expect_told(listener, "entered", &participant).await?;
        }
        Ok(())
    }

    async fn the_student_goes(&mut self) -> Result<()> {
        let (student, participant) = (self.student.clone(), self.participant.clone());
        let (left, stays) = (self.sid_of(&student).await?, self.sid_of(&participant).await?);
        self.apps.disconnect(&student.user).await?;
        for listener in [&self.teacher.clone(), &participant] {
            self.expect_told(listener, "left", &student).await?;
        }
        self.keys.expect_hash(&self.key("student"), &[(&participant.user, &stays)]).await?;
        self.expect_user(&student.user, &student, &left, Some(&self.lesson)).await?;
        eventually("the lesson's room to be known", async || {
            let room = self.keys.text(&self.key("room")).await?;
            ensure!(room.as_deref() == Some(ROOM), "the room is {room:?}");
            Ok(())
        })
        .await
    }

    async fn the_teacher_goes(&mut self) -> Result<()> {
        let (teacher, participant) = (self.teacher.clone(), self.participant.clone());
        self.apps.disconnect(&teacher.user).await?;
        let told = self.apps.expect_event(&self.hub.user, "teacher_disconnect").await?;
        ensure!(told == json!([{ "user_id": teacher.user }]), "{told}");
        self.expect_told(&participant, "left", &teacher).await?;
        self.expect_alive("disconnect", 0).await?;
        self.keys.expect_ttl(&self.alive(), Some(HOUR)).await?;
        self.keys.expect_absent(&self.key("teacher")).await
    }

    async fn the_teacher_comes_back_and_logs_out(&mut self) -> Result<()> {
        let teacher = self.teacher.clone();
        let before = jiff::Timestamp::now().as_second();
        let sid = self.connect(&teacher).await?;
        self.expect_alive("connect", before).await?;
        self.keys.expect_ttl(&self.alive(), None).await?;
        self.expect_user(&teacher.user, &teacher, &sid, Some(&self.lesson)).await?;
        self.apps.ask_well(&teacher.user, "log_out", &teacher.logging_out()).await?;
        ensure!(!self.keys.exists(&self.alive()).await?, "a teacher who logged out is alive");
        let told = self.apps.expect_event(&self.manager.user, "log_out").await?;
        ensure!(told == json!([teacher.logging_out()]), "{told}");
        self.apps.disconnect(&teacher.user).await?;
        let told = self.apps.expect_event(&self.hub.user, "teacher_disconnect").await?;
        ensure!(told == json!([{ "user_id": teacher.user }]), "{told}");
        ensure!(!self.keys.exists(&self.alive()).await?, "a teacher who logged out is alive again");
        Ok(())
    }

    async fn everybody_goes(&mut self) -> Result<()> {
        let [hub, teacher] = self.strangers.clone();
        self.connect(&teacher).await?;
        self.apps.disconnect(&teacher.user).await?;
        // The first thing that another org's hub hears.
        let told = self.apps.expect_event(&hub.user, "teacher_disconnect").await?;
        ensure!(told == json!([{ "user_id": teacher.user }]), "{told}");
        for person in [&self.participant, &self.manager, &self.hub, &hub] {
            self.apps.disconnect(&person.user).await?;
        }
        self.keys.expect_absent(&self.key("student")).await?;
        let manager = format!("manager:org_{ORG}_user_{}", self.manager.user);
        let (seat, room) = (self.key("seat"), self.key("room"));
        let users = [&self.teacher, &self.student, &self.participant, &teacher].map(|it| it.user.clone());
        let alive = format!("alive:org_elsewhere_user_{}", teacher.user);
        let mut left = vec![manager, seat, room, alive];
        left.extend(users);
        self.expect_names(&left.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        for server in &self.doors.servers {
            server.expect_metric("presence_sessions", 0).await?;
        }
        Ok(())
    }

    /// Joins the lesson, as the so-manieth; returns what is learnt.
    async fn join(&mut self, person: &Person, joining: &Value, present: u64) -> Result<Value> {
        let joined = self.apps.ask_well(&person.user, "join_lesson", joining).await?;
        let is_right = joined["lesson_id"] == *self.lesson
            && joined["room_id"] == ROOM
            && joined["session_id"].is_i64()
            && joined["agents_total"] == present;
        ensure!(is_right, "{joined}");
        let ids: Vec<&Value> =
            joined["agents"].as_array().into_iter().flatten().map(|agent| &agent["agent_id"]).collect();
        ensure!(ids.contains(&&Value::from(agent_id(person))), "{joined}");
        Ok(joined)
    }

    /// The next thing that a person in the lesson hears is that somebody entered or left.
    async fn expect_told(&mut self, listener: &Person, operation: &str, whom: &Person) -> Result<()> {
        let args = self.apps.expect_event(&listener.user, "event").await?;
        let event = &args[0];
        let is_right = event["id"]["entity_type"] == "agent"
            && event["id"]["operation"] == operation
            && event["payload"]["agent_id"] == agent_id(whom)
            && args[1].as_str() == Some(&event["seq"].to_string());
        ensure!(is_right, "expected {operation} of {}: {args}", whom.user);
        Ok(())
    }

    async fn expect_alive(&self, state: &str, since: i64) -> Result<()> {
        eventually("a teacher's state", async || {
            let found = self.keys.hash(&self.alive()).await?;
            let logged_in: i64 = found.get("login_time").context("no login_time")?.parse()?;
            let now = jiff::Timestamp::now().as_second();
            let is_right = found.len() == 2 && found["state"] == state && (since..=now).contains(&logged_in);
            ensure!(is_right, "expected {state}, since {since}: {found:?}");
            Ok(())
        })
        .await
    }

    /// What is known of a user, field by field.
    async fn expect_user(&self, key: &str, person: &Person, sid: &str, lesson: Option<&str>) -> Result<()> {
        // A manager calls itself a teacher: that is what the query says, and what is stored.
        let role = if person.role == "student" { "student" } else { "teacher" };
        let mut expected =
            vec![("sid", sid), ("client_id", &person.user), ("role", role), ("org_id", &person.org)];
        expected.extend(lesson.map(|lesson| ("lesson_id", lesson)));
        self.keys.expect_hash(key, &expected).await
    }

    async fn sid_of(&self, person: &Person) -> Result<String> {
        let mut known = self.keys.hash(&person.user).await?;
        known.remove("sid").context("a user has a sid")
    }

    async fn expect_names(&self, expected: &[&str]) -> Result<()> {
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        let found = self.keys.names().await?;
        ensure!(found == expected, "the keys are {found:?}, expected {expected:?}");
        Ok(())
    }

    fn alive(&self) -> String {
        format!("alive:org_{ORG}_user_{}", self.teacher.user)
    }

    /// One of the lesson's.
    fn key(&self, of: &str) -> String {
        format!("lesson_{of}_{}", self.lesson)
    }
}

fn agent_id(person: &Person) -> String {
    format!("app.{}.{AUDIENCE}", person.user)
}
