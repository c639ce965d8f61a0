//! Situations, and what is said of them. Every reason of the closed list is reached by one of them.

mod situation;

use std::collections::BTreeSet;

use situation::{Situation, situations};

use super::*;
use crate::plan;

fn reasons(status: &PresenceClusterStatus) -> BTreeSet<String> {
    status.conditions.iter().map(|condition| condition.reason.clone()).collect()
}

#[test]
fn each_situation_is_told_by_its_conditions() {
    for mut situation in situations() {
        let status = situation.status();
        let name = situation.name;
        for (type_, is, reason) in &situation.expected {
            let condition = status.conditions.iter().find(|it| it.type_ == format!("{type_:?}")).unwrap();
            let seen = (condition.status.as_str(), condition.reason.as_str());
            assert_eq!(
                seen,
                (*is, format!("{reason:?}").as_str()),
                "{name}: {type_:?}: {}",
                condition.message
            );
        }
        let degraded = status.conditions.iter().find(|it| it.type_ == "Degraded").unwrap();
        let says = situation.says;
        let told = status.conditions.iter().any(|it| it.message.contains(says));
        assert!(told, "{name}: {says:?} is not in {}", degraded.message);
    }
}

#[test]
fn every_reason_is_reached_by_a_situation() {
    let reached: BTreeSet<_> = situations().iter_mut().flat_map(|it| reasons(&it.status())).collect();
    let lacking: Vec<_> =
        Reason::ALL.into_iter().filter(|reason| !reached.contains(reason.as_str())).collect();
    assert_eq!(lacking, []);
}

#[test]
fn all_eight_are_always_told_sorted_and_of_this_generation() {
    for mut situation in situations() {
        let status = situation.status();
        let types: Vec<_> = status.conditions.iter().map(|it| it.type_.clone()).collect();
        let mut expected: Vec<_> = ConditionType::ALL.iter().map(|it| format!("{it:?}")).collect();
        expected.sort();
        assert_eq!(types, expected, "{}", situation.name);
        assert!(
            status.conditions.iter().all(|it| it.observed_generation == Some(1) && !it.message.is_empty())
        );
        assert!(status.conditions.iter().all(|it| it.message.len() <= 1024));
    }
}

#[test]
fn looked_at_again_it_says_the_same_and_there_is_nothing_to_tell() {
    for mut situation in situations() {
        let first = situation.status();
        situation.of.status = Some(first.clone());
        // A status may say that a wait has become too long: only what takes no time is compared.
        situation.now += jiff::SignedDuration::from_secs(1);
        let second = situation.status();
        assert_eq!(first, second, "{}", situation.name);
        assert_eq!(changes(Some(&first), &second), [], "{}", situation.name);
    }
}

#[test]
fn a_transition_time_is_that_of_the_status_not_of_the_reason() {
    let mut situation = Situation::new("starting").pods("a", 1, "Ready");
    let first = situation.status();
    let since = plan::since(&situation.of, ConditionType::Ready, "False");
    assert_eq!(since, None, "no status yet");
    situation.of.status = Some(first);
    let since = plan::since(&situation.of, ConditionType::Ready, "False").unwrap();
    situation.now += jiff::SignedDuration::from_secs(60);
    situation = situation.pods("b", 1, "Ready");
    let later = situation.status();
    let ready = later.conditions.iter().find(|it| it.type_ == "Ready").unwrap();
    assert_eq!((ready.reason.as_str(), ready.last_transition_time.0), ("RevisionStarting", since));
}

#[test]
fn events_tell_one_thing_once_and_of_a_new_resource_only_what_is_news() {
    let mut blocked = situations().into_iter().find(|it| it.name == "a secret is not there").unwrap();
    let told = changes(None, &blocked.status());
    let told: Vec<_> = told.iter().map(|it| (it.condition, it.reason, it.warning)).collect();
    assert_eq!(told, [(ConditionType::Degraded, Reason::SecretNotFound, true)]);
    let whole = Situation::new("whole").whole().status();
    let told = changes(Some(&blocked.status()), &whole);
    let told: Vec<_> = told.iter().map(|it| (it.reason, it.warning)).collect();
    assert!(
        told.contains(&(Reason::AllServing, false)) && told.contains(&(Reason::AsExpected, false)),
        "{told:?}"
    );
    let reasons: BTreeSet<_> = told.iter().map(|it| it.0).collect();
    assert_eq!(reasons.len(), told.len());
}

#[test]
fn agents_are_summed_over_pods_that_answer_and_unknown_is_not_zero() {
    let mut situation = Situation::new("agents").whole().agents(&[Some(5), None, Some(7)]);
    let status = situation.status();
    assert_eq!((status.serving, status.draining, status.agents), (3, 0, 12));
    let mut agents: Vec<_> = status.pods.iter().map(|pod| pod.agents).collect();
    agents.sort();
    assert_eq!(agents, [None, Some(5), Some(7)]);
    let mut names: Vec<_> = status.pods.iter().map(|pod| pod.name.clone()).collect();
    names.dedup();
    assert!(names.is_sorted() && names.len() == 3);
    assert!(status.selector.contains("app.kubernetes.io/instance=lessons"));
}

#[test]
fn a_deadline_that_was_too_short_is_long_enough_only_with_some_to_spare() {
    // 30 s at 1000 a second, of which seven tenths count.
    let mut situation = Situation::new("grace").whole().agents(&[Some(21_000), Some(0), Some(0)]);
    let grace = |status: &PresenceClusterStatus| {
        status.conditions.iter().find(|it| it.type_ == "GracePeriodSufficient").unwrap().status.clone()
    };
    assert_eq!(grace(&situation.status()), "True");
    let mut short = situation.clone().agents(&[Some(21_001), Some(0), Some(0)]);
    let said = short.status();
    assert_eq!(grace(&said), "False");
    situation.of.status = Some(said);
    assert_eq!(grace(&situation.status()), "False");
    let mut spare = situation.agents(&[Some(18_900), Some(0), Some(0)]);
    assert_eq!(grace(&spare.status()), "True");
}

#[test]
fn the_last_words_of_a_server_are_told_without_its_logs() {
    let logs = "{\"timestamp\":\"2027\"}\npresence: settings are wrong\n  store.url: not a URL\n";
    assert_eq!(words::last_words(logs).unwrap(), "settings are wrong; store.url: not a URL");
    assert_eq!(words::last_words("{\"timestamp\":\"2027\"}\n"), None);
    assert_eq!(words::last_words("exec format error").unwrap(), "exec format error");
    let long = format!("presence: {}", "é".repeat(300));
    assert!(words::last_words(&long).unwrap().len() <= 256);
    assert_eq!(words::line("a\u{1b}[31mb\r\n\n c", 100), "a[31mb; c");
}
