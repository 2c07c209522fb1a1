//! The rules as the documents state them: lag times, the newest 50 logs, the limit of seven days.

use ese_format::Generation;
use jiff::{SignedDuration, Timestamp};
use standby::clock::age;
use standby::lag::{Lag, LagError};
use standby::rules::{
    Inspected, KEPT_BACK, ReplayWait, Replayed, SourceTruncationFacts, TruncationFacts,
    replay_limit, source_truncation_limit, truncation_limit,
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

#[test]
fn lags_are_written_days_hours_minutes_seconds() {
    for (text, seconds, written) in [
        ("1.00:00:00", DAY, "1.00:00:00"),
        ("0.00:00:00", 0, "0.00:00:00"),
        ("0:0:0", 0, "0.00:00:00"),
        ("7.00:00:00", 7 * DAY, "7.00:00:00"),
        ("7", 7 * DAY, "7.00:00:00"),
        ("3.0:0:0", 3 * DAY, "3.00:00:00"),
        ("06:30", 6 * HOUR + 1800, "0.06:30:00"),
        ("23:59:59", DAY - 1, "0.23:59:59"),
        ("6.23:59:59", 7 * DAY - 1, "6.23:59:59"),
    ] {
        let lag: Lag = text.parse().unwrap();
        assert_eq!(lag.duration(), SignedDuration::from_secs(seconds), "{text}");
        assert_eq!(lag.to_string(), written, "{text}");
        assert_eq!(written.parse(), Ok(lag));
    }
    assert_eq!(Lag::DEFAULT_REPLAY.to_string(), "1.00:00:00");
}

#[test]
fn what_is_no_lag_is_refused() {
    for text in ["7.00:00:01", "8", "7.00:01", "4294967295", "49711"] {
        let refused = text.parse::<Lag>();
        assert_eq!(refused, Err(LagError::TooLong(text.to_owned())));
    }
    for text in ["24:00:00", "0.00:60:00", "1.00:00:60"] {
        let refused = text.parse::<Lag>();
        assert!(
            matches!(refused, Err(LagError::Part { .. })),
            "{text}: {refused:?}"
        );
    }
    for text in [
        "",
        ".",
        ":",
        "-1",
        "1.",
        "1.5",
        "1.0",
        "1w",
        "d",
        "-1d",
        "1.2.3",
        "1:2:3:4",
        "1. 0:0:0",
        "+1",
        "0:0:0.5",
        "99999999999",
        "1:2:",
    ] {
        let refused = text.parse::<Lag>();
        assert_eq!(refused, Err(LagError::Form(text.to_owned())));
    }
    let short = [
        ("1d", 86_400),
        ("24h", 86_400),
        ("30m", 1800),
        ("90s", 90),
        ("0s", 0),
    ];
    for (text, seconds) in short {
        assert_eq!(text.parse(), Ok(Lag::from_seconds(seconds)), "{text}");
    }
    assert_eq!("8d".parse::<Lag>(), Err(LagError::TooLong("8d".to_owned())));
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// Logs 1 to `count`, one every `apart` seconds.
fn logs(count: u32, apart: i64) -> Vec<Inspected> {
    (1..=count)
        .map(|generation| Inspected {
            generation: Generation(generation),
            at: at(i64::from(generation) * apart),
        })
        .collect()
}

#[test]
fn replay_waits_for_the_larger_of_both_delays() {
    let day = "1.00:00:00";
    // Logs, seconds between them, lag, now: the last that may be replayed, and what the next waits for.
    let kept = |logs| ReplayWait::KeptBack { logs };
    let lag = |until| ReplayWait::Lag { until: at(until) };
    for (count, apart, lag_time, now, last, waits) in [
        // No lag: the newest 50 stay.
        (50, 60, "0", DAY, None, kept(1)),
        (51, 60, "0", DAY, Some(1), kept(1)),
        (120, 60, "0", DAY, Some(70), kept(1)),
        (1, 60, "0", DAY, None, kept(50)),
        (0, 60, "0", DAY, None, ReplayWait::Nothing),
        // A busy source: 2000 logs in an hour, nothing is old enough.
        (2000, 2, day, HOUR, None, lag(2 + DAY)),
        // A day later the first ones are; the lag is the larger delay.
        (2000, 2, day, DAY + 100, Some(50), lag(102 + DAY)),
        // To the second: as old as the lag is old enough.
        (2000, 2, day, DAY + 2, Some(1), lag(4 + DAY)),
        (2000, 2, day, DAY + 1, None, lag(2 + DAY)),
        // A quiet source: all are old, and the 50 are the larger delay.
        (60, 60, day, 30 * DAY, Some(10), kept(1)),
        (
            60,
            60,
            "7.00:00:00",
            7 * DAY + 300,
            Some(5),
            lag(360 + 7 * DAY),
        ),
    ] {
        let logs = logs(count, apart);
        let newest = Generation(count);
        let limit = replay_limit(logs, newest, lag_time.parse().unwrap(), KEPT_BACK, at(now));
        let case = format!("{count} logs, {apart} s apart, lag {lag_time}, now {now}");
        assert_eq!(limit.last, last.map(Generation), "{case}");
        assert_eq!(limit.waits, waits, "{case}");
    }
}

#[test]
fn a_young_log_holds_back_older_looking_ones_behind_it() {
    // The clock went back after the second log: replay is in order, so all wait for it.
    let mut logs = logs(100, 1);
    logs[1].at = at(DAY);
    let limit = replay_limit(
        logs,
        Generation(100),
        Lag::DEFAULT_REPLAY,
        KEPT_BACK,
        at(DAY + HOUR),
    );
    assert_eq!(limit.last, Some(Generation(1)));
    assert_eq!(limit.waits, ReplayWait::Lag { until: at(2 * DAY) });
}

#[test]
fn a_clock_that_goes_back_makes_waits_longer_never_shorter() {
    assert_eq!(age(at(0), at(-HOUR)), SignedDuration::ZERO);
    let limit = replay_limit(
        logs(100, 1),
        Generation(100),
        Lag::DEFAULT_REPLAY,
        KEPT_BACK,
        at(-30 * DAY),
    );
    assert_eq!(limit.last, None);
}

#[test]
fn logs_are_deleted_when_nobody_needs_them_any_more() {
    let day = "1.00:00:00";
    let none = None;
    // 100 logs, one a minute. The four conditions: needed from, all copies have, backed up to, now, both lags; the last
    // that goes.
    for (needed, exported, backed_up, now, replay_lag, truncation_lag, last) in [
        // Below the checkpoint, and no lag.
        (60, none, none, DAY, "0", "0", Some(59)),
        (1, none, none, DAY, "0", "0", None),
        // Everything is below the checkpoint: the newest log stays all the same.
        (200, none, none, DAY, "0", "0", Some(99)),
        // Both lags count, one after the other.
        (60, none, none, DAY + 600, day, "0", Some(10)),
        (60, none, none, 2 * DAY + 600, day, day, Some(10)),
        (60, none, none, 2 * DAY, day, day, None),
        (60, none, none, 7 * DAY + 600, day, "6.00:00:00", Some(10)),
        (60, none, none, 14 * DAY + 59, "7", "7", None),
        (60, none, none, 14 * DAY + 60, "7", "7", Some(1)),
        // A copy that is made from this one has to have it.
        (60, Some(30), none, DAY, "0", "0", Some(30)),
        (60, Some(0), none, DAY, "0", "0", None),
        // A backup has to have it.
        (60, none, Some(20), DAY, "0", "0", Some(20)),
        (60, none, Some(0), DAY, "0", "0", None),
        // All four at once: the smallest decides.
        (60, Some(50), Some(40), DAY + 30 * 60, day, "0", Some(30)),
        (25, Some(50), Some(40), DAY + 30 * 60, day, "0", Some(24)),
        // A clock that went back keeps them.
        (60, none, none, -DAY, "0.00:00:01", "0", None),
    ] {
        let facts = TruncationFacts {
            needed: Generation(needed),
            newest: Generation(100),
            exported: exported.map(Generation),
            backed_up: backed_up.map(Generation),
        };
        let (replay, truncation) = (replay_lag.parse().unwrap(), truncation_lag.parse().unwrap());
        let logs = replayed_after(replay);
        let limit = truncation_limit(logs, facts, replay, truncation, at(now));
        assert_eq!(
            limit,
            last.map(Generation),
            "{facts:?}, now {now}, {replay_lag} and {truncation_lag}"
        );
    }
}

/// Logs 1 to 100, one a minute, each replayed so long after its inspection.
fn replayed_after(wait: Lag) -> Vec<Replayed> {
    let replayed = |log: Inspected| Replayed {
        generation: log.generation,
        inspected: log.at,
        replayed: Some(log.at + wait.duration()),
    };
    logs(100, 60).into_iter().map(replayed).collect()
}

#[test]
fn the_truncation_lag_begins_when_a_log_has_been_replayed() {
    let facts = TruncationFacts {
        needed: Generation(60),
        newest: Generation(100),
        exported: None,
        backed_up: None,
    };
    let limit = |logs: Vec<Replayed>, now: i64| {
        let hour = Lag::from_seconds(3600);
        truncation_limit(logs, facts, Lag::ZERO, hour, at(now)).map(|limit| limit.0)
    };
    // Inspected long ago, replayed three hours later: each waits an hour from then.
    let late = || replayed_after(Lag::from_seconds(3 * 3600));
    assert_eq!(limit(late(), 4 * HOUR + 59), None);
    assert_eq!(limit(late(), 4 * HOUR + 60), Some(1));
    assert_eq!(limit(late(), 4 * HOUR + 10 * 60), Some(10));
    assert_eq!(limit(replayed_after(Lag::ZERO), 4 * HOUR + 60), Some(59));
    // Of one nothing is known, so that it stays, and those after it.
    let mut logs = replayed_after(Lag::ZERO);
    logs[6].replayed = None;
    assert_eq!(limit(logs, DAY), Some(6));
}

#[test]
fn the_source_keeps_what_a_copy_or_its_own_checkpoint_needs() {
    for (inspected, checkpoint, last) in [
        (50, 80, 50),
        (80, 50, 49),
        (50, 51, 50),
        (50, 50, 49),
        (0, 9, 0),
        (9, 0, 0),
        (9, 1, 0),
    ] {
        let facts = SourceTruncationFacts {
            inspected_by_all: Generation(inspected),
            checkpoint: Generation(checkpoint),
            backed_up: None,
        };
        let limit = source_truncation_limit(facts);
        assert_eq!(
            limit,
            Generation(last),
            "all have {inspected}, checkpoint in {checkpoint}"
        );
        for backed_up in [0, last / 2, last, last + 10] {
            let facts = SourceTruncationFacts {
                backed_up: Some(Generation(backed_up)),
                ..facts
            };
            let least = Generation(last.min(backed_up));
            assert_eq!(source_truncation_limit(facts), least, "{facts:?}");
        }
    }
}
