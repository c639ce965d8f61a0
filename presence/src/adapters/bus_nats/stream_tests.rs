//! What a stream must have, over configurations as siblings and administrators make them.

use super::*;
use std::time::Duration;

fn config(over: &Value) -> Map<String, Value> {
    let mut config = made(&StreamOptions::default(), 1);
    for (name, value) in over.as_object().unwrap() {
        config[name] = value.clone();
    }
    config.as_object().unwrap().clone()
}

fn settings(over: &Value) -> Vec<&'static str> {
    match fit(&config(over), &StreamOptions::default()) {
        Fit::Yes => vec![],
        Fit::After { settings, .. } => settings,
        Fit::No(problems) => panic!("{problems:?}"),
    }
}

#[test]
fn our_own_stream_fits() {
    assert_eq!(fit(&config(&json!({})), &StreamOptions::default()), Fit::Yes);
}

#[test]
fn a_siblings_stream_gets_what_it_lacks_and_keeps_the_rest() {
    let theirs = json!({
        "name": "classroom", "subjects": ["classroom.*.chat", "conference.>"], "retention": "limits",
        "max_age": 300_000_000_000_i64, "max_bytes": 5, "duplicate_window": 120_000_000_000_i64, "allow_batched": true,
    });
    let Fit::After { config, settings } = fit(theirs.as_object().unwrap(), &StreamOptions::default()) else {
        panic!("it does not fit yet")
    };
    assert_eq!(settings, ["subjects", "republish", "allow_direct", "duplicate_window"]);
    assert_eq!(config["subjects"], json!(["conference.>", "classroom.*.*"]));
    assert_eq!(config["duplicate_window"], 300_000_000_000_i64);
    assert_eq!((&config["max_bytes"], &config["allow_batched"]), (&json!(5), &json!(true)));
}

#[test]
fn wider_subjects_and_a_longer_window_are_kept() {
    for wide in ["classroom.>", "classroom.*.*", "*.*.*", "classroom.*.>", "*.>"] {
        assert!(settings(&json!({ "subjects": [wide] })).is_empty(), "{wide}");
    }
    for narrow in ["classroom.*", "classroom.*.agent", "classroom.x.*", "room.*.*", "classroom.*.*.*"] {
        assert_eq!(settings(&json!({ "subjects": [narrow] })), ["subjects"], "{narrow}");
    }
    let day = nanos(Duration::from_hours(24));
    assert!(settings(&json!({ "max_age": day, "duplicate_window": day })).is_empty());
}

#[test]
fn what_would_break_others_is_named_and_not_changed() {
    for (name, value) in [
        ("retention", json!("workqueue")),
        ("max_msgs_per_subject", json!(1)),
        ("no_ack", json!(true)),
        ("sealed", json!(true)),
        ("mirror", json!({ "name": "other" })),
        ("republish", json!({ "src": ">", "dest": "elsewhere.>" })),
        ("republish", json!({ "src": SUBJECTS, "dest": LIVE_DESTINATION, "headers_only": true })),
    ] {
        let Fit::No(problems) = fit(&config(&json!({ name: value })), &StreamOptions::default()) else {
            panic!("{name} must be a problem")
        };
        assert!(problems.len() == 1 && problems[0].starts_with(name), "{problems:?}");
    }
}

#[test]
fn a_stream_made_later_begins_above_and_below_what_javascript_counts_exactly() {
    let (now, year_2242) = (1_790_000_000, 8_583_000_000);
    let a_million_events_a_second_for_a_day = 86_400 * 1_000_000;
    let (old, new) = (first_position(now, 0), first_position(now + 86_400, 0));
    assert!(old + a_million_events_a_second_for_a_day < new);
    assert!(first_position(year_2242, 0) < 1 << 53);
    // The same second, or a clock that went back.
    assert!(first_position(now, old + 7) > old + 8);
    assert!(first_position(-1, old + 7) > old + 8);
}

#[test]
fn a_range_is_held_whole_or_not_at_all() {
    let state = State { first_seq: 10, last_seq: 20 };
    assert!(state.holds(9, 20) && state.holds(20, 20) && state.holds(12, 15));
    assert!(!state.holds(8, 20) && !state.holds(9, 21) && !state.holds(0, 0));
}
