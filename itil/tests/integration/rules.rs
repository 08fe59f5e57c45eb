//! What ITIL and other tools' bug trackers ask for, one behaviour a test.

use std::time::Duration;

use telemetry_itil::*;

use crate::rig::*;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

#[test]
fn a_warning_opens_nothing_and_joins_what_is_open() {
    let mut rig = Rig::new(config());
    let warning = |s| Input::Event(event(s, Significance::Warning, "spool-1"));
    rig.give(1, warning(1)).unwrap();
    assert_eq!(rig.itil.incidents().count(), 0);
    rig.give(2, exception(2, "spool-1")).unwrap();
    rig.give(3, warning(3)).unwrap();
    assert_eq!(rig.incident(1).events, 2);
    assert_eq!(rig.notices(), [Notice::Opened]);
}

#[test]
fn an_incident_keeps_three_times_and_where_its_priority_came_from() {
    let mut rig = Rig::new(config());
    let mut late = event(10, Significance::Exception, "spool-1");
    late.occurred_at = at(1);
    late.detected_at = at(4);
    rig.give(10, Input::Event(late)).unwrap();
    let i = rig.incident(1);
    assert_eq!(
        (i.occurred_at, i.detected_at, i.created_at),
        (at(1), at(4), at(10))
    );
    assert_eq!(
        (i.priority, &*i.matrix_version),
        (Priority::P1, "servicenow-3x3")
    );
    assert_eq!(
        i.reporter,
        Actor::Rule(rule(Impact::High, IncidentUrgency::High).rule)
    );
    assert_eq!(i.id.to_string(), "INC0000001");
}

#[test]
fn a_storm_is_one_incident_and_one_page() {
    let mut rig = Rig::new(config());
    for s in 0..1_000 {
        rig.give(s, exception(s, "spool-1")).unwrap();
        rig.give(s, exception(s, "spool-1")).unwrap();
    }
    assert_eq!(rig.notices()[0], Notice::Opened);
    assert_eq!(rig.told.iter().filter(|t| t.2 == Notice::Opened).count(), 1);
    assert_eq!(rig.incident(1).events, 1_000);
    assert_eq!(rig.itil.stats().duplicates, 1_000);
}

#[test]
fn one_more_item_on_a_grave_incident_is_told_a_repeat_is_not() {
    let mut rig = Rig::new(config());
    for (s, ci) in [(1, "a"), (2, "b"), (3, "a"), (4, "b")] {
        rig.give(s, exception(s, ci)).unwrap();
    }
    assert_eq!(
        rig.notices(),
        [Notice::Opened, Notice::Joined { ci: "b".into() }]
    );
}

#[test]
fn heals_when_all_items_stay_clear() {
    let mut rig = Rig::new(config());
    rig.give(1, exception(1, "a")).unwrap();
    rig.give(2, exception(2, "b")).unwrap();
    rig.give(3, cleared(3, "a")).unwrap();
    assert_eq!(rig.incident(1).recovers_at, None);
    rig.give(4, cleared(4, "b")).unwrap();
    assert_eq!(rig.itil.poll_timeout(), Some(at(64)));
    // A relapse takes the recovery back.
    rig.give(5, Input::Event(event(5, Significance::Warning, "b")))
        .unwrap();
    assert_eq!(rig.incident(1).recovers_at, None);
    rig.give(6, cleared(6, "b")).unwrap();
    rig.give(66, Input::Tick).unwrap();
    let i = rig.incident(1);
    assert_eq!(i.state, State::Resolved);
    let closure = i.closure.as_ref().unwrap();
    assert_eq!(
        (&closure.code, &closure.by),
        (&ClosureCode::SelfHealed, &Actor::Machine)
    );
    // Unopposed, it closes.
    rig.give(66 + 5 * 24 * HOUR, Input::Tick).unwrap();
    assert_eq!(rig.incident(1).state, State::Closed);
    assert_eq!(rig.itil.poll_timeout(), None);
}

#[test]
fn a_clear_without_an_incident_leaves_nothing_behind() {
    let mut rig = Rig::new(config());
    rig.give(1, cleared(1, "a")).unwrap();
    assert_eq!(rig.itil.poll_timeout(), None);
    rig.give(2, exception(2, "a")).unwrap();
    assert_eq!(rig.incident(1).recovers_at, None);
}

#[test]
fn back_within_the_window_is_a_generation_later_a_linked_incident() {
    let mut rig = Rig::new(config());
    rig.give(0, exception(0, "a")).unwrap();
    rig.give(1, command(1, assign())).unwrap();
    rig.give(2, command(1, resolve())).unwrap();
    rig.give(HOUR, exception(HOUR, "a")).unwrap();
    let i = rig.incident(1);
    assert_eq!(
        (i.generation, i.state, i.closure.as_ref()),
        (2, State::Assigned, None)
    );
    // The hour it was resolved does not count.
    assert_eq!(i.resolve.consumed(at(HOUR)), Duration::from_secs(2));

    rig.give(HOUR + 1, command(1, resolve())).unwrap();
    rig.give(26 * HOUR, exception(26 * HOUR, "a")).unwrap();
    assert_eq!(rig.incident(1).state, State::Resolved);
    assert_eq!(rig.incident(2).previous, Some(IncidentId(1)));
    let keys: Vec<_> = rig
        .told
        .iter()
        .map(|(i, g, n)| (i.0, *g, n.clone()))
        .collect();
    assert_eq!(
        keys,
        [
            (1, 1, Notice::Opened),
            (1, 1, Notice::Resolved),
            (1, 2, Notice::Reopened),
            (1, 2, Notice::Resolved),
            (2, 1, Notice::Opened),
        ]
    );
}

#[test]
fn clocks_warn_breach_and_escalate_at_the_second() {
    let mut rig = Rig::new(config());
    rig.give(0, exception(0, "a")).unwrap();
    let mut fired = Vec::new();
    while let Some(due) = rig.itil.poll_timeout() {
        let seconds = (due.as_micros() - at(0).as_micros()) / 1_000_000;
        let before = rig.told.len();
        rig.give(seconds, Input::Tick).unwrap();
        fired.extend(
            rig.told[before..]
                .iter()
                .map(|t| (seconds / MINUTE, t.2.clone())),
        );
    }
    let (own, resolve) = (ClockKind::Own, ClockKind::Resolve);
    assert_eq!(
        fired,
        [
            (11, Notice::SlaWarning { clock: own }),
            (15, Notice::SlaBreach { clock: own }),
            (15, Notice::Escalated { level: 1 }),
            (180, Notice::SlaWarning { clock: resolve }),
            (240, Notice::SlaBreach { clock: resolve }),
            (240, Notice::Escalated { level: 2 }),
        ]
    );
    assert_eq!(rig.incident(1).state, State::New);
}

#[test]
fn only_waiting_for_others_pauses_the_clock() {
    for (reason, pauses) in [
        (HoldReason::AwaitingCaller, true),
        (HoldReason::AwaitingVendor, true),
        (HoldReason::AwaitingChange, false),
        (HoldReason::AwaitingProblem, false),
    ] {
        let mut rig = Rig::new(config());
        rig.give(0, exception(0, "a")).unwrap();
        rig.give(60, command(1, assign())).unwrap();
        rig.give(60, command(1, Action::Start)).unwrap();
        rig.give(60, command(1, Action::Hold { reason })).unwrap();
        rig.give(660, command(1, Action::Resume)).unwrap();
        let i = rig.incident(1);
        let expected = if pauses { 60 } else { 660 };
        assert_eq!(
            i.resolve.consumed(at(660)),
            Duration::from_secs(expected),
            "{reason:?}"
        );
        assert_eq!(i.own.consumed(at(660)), Duration::from_secs(60));
        assert_eq!(i.holds[0].until, Some(at(660)));
    }
}

#[test]
fn a_tick_that_comes_late_finds_the_world_as_it_was_due() {
    let mut rig = Rig::new(config());
    rig.give(0, exception(0, "a")).unwrap();
    rig.give(1, cleared(1, "a")).unwrap();
    // Due at 61, looked at after days: no clock was missed.
    rig.give(48 * HOUR, Input::Tick).unwrap();
    assert_eq!(rig.notices(), [Notice::Opened, Notice::Resolved]);
    assert_eq!(rig.incident(1).closure.as_ref().unwrap().at, at(61));
}

#[test]
fn refusals_say_what_to_do() {
    let mut rig = Rig::new(config());
    rig.give(0, exception(0, "a")).unwrap();
    let before = rig.itil.snapshot();
    let mut refuse = |input, code| {
        let error = rig.give(1, input).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        error
    };
    let e = refuse(command(1, Action::Start), 5041);
    assert_eq!(e.to_string(), "INC0000001 is New: Start is not possible");
    refuse(command(1, resolve()), 5041);
    refuse(command(9, Action::Close), 5040);
    let empty = Action::Cancel {
        reason: String::new(),
    };
    refuse(command(1, empty), 5038);
    let mut undeclared = event(1, Significance::Exception, "a");
    undeclared.rule.version = 4;
    refuse(Input::Event(undeclared), 5036);
    let mut nan = event(1, Significance::Exception, "a");
    nan.score = f64::NAN;
    refuse(Input::Event(nan), 5037);
    refuse(exception(1, &"x".repeat(257)), 5039);
    assert_eq!(rig.itil.snapshot(), before);
    assert_eq!(rig.log.len(), 3, "takeover, opening, page delivered");
}

#[test]
fn reopening_has_a_window() {
    let mut rig = Rig::new(config());
    rig.give(0, exception(0, "a")).unwrap();
    rig.give(1, command(1, assign())).unwrap();
    rig.give(2, command(1, resolve())).unwrap();
    let reopen = || {
        command(
            1,
            Action::Reopen {
                reason: "still down".into(),
            },
        )
    };
    let late = 3 + 24 * HOUR;
    assert_eq!(rig.give(late, reopen()).unwrap_err().code(), 5042);
}

#[test]
fn no_effect_before_its_entry_is_won() {
    let mut itil = Itil::new(config()).unwrap();
    itil.take_over(at(0), 1);
    itil.handle_input(at(1), exception(1, "a")).unwrap();
    let first: Vec<_> = std::iter::from_fn(|| itil.poll_output()).collect();
    assert!(
        first.iter().all(|o| matches!(o, Output::Append(_))),
        "{first:?}"
    );
    itil.handle_input(at(1), Input::LogWon { seq: 1 }).unwrap();
    assert_eq!(itil.poll_output(), None);
    itil.handle_input(at(1), Input::LogWon { seq: 2 }).unwrap();
    assert!(
        matches!(itil.poll_output(), Some(Output::Effect(e)) if e.dedup_key() == "INC0000001-1")
    );
}

#[test]
fn a_lost_group_stops_the_machine_and_its_effects() {
    let mut itil = Itil::new(config()).unwrap();
    itil.take_over(at(0), 1);
    itil.handle_input(at(1), exception(1, "a")).unwrap();
    itil.handle_input(at(1), Input::LogLost { seq: 1 }).unwrap();
    assert_eq!(itil.poll_output(), None);
    assert_eq!(itil.poll_timeout(), None);
    let refusal = itil.handle_input(at(2), Input::Tick).unwrap_err();
    assert_eq!(refusal.reason, InputError::NotLeading);
}

#[test]
fn a_restart_tells_again_what_was_never_acknowledged() {
    let mut itil = Itil::new(config()).unwrap();
    itil.take_over(at(0), 1);
    itil.handle_input(at(1), exception(1, "a")).unwrap();
    let log: Vec<_> = std::iter::from_fn(|| itil.poll_output())
        .filter_map(|o| match o {
            Output::Append(group) => Some(group),
            Output::Effect(_) => None,
        })
        .collect();
    // Killed between winning the entry and the page.
    let mut again = Itil::replay(config(), &log).unwrap();
    assert_eq!(again.outbox().count(), 1);
    again.take_over(at(9), 2);
    assert!(matches!(again.poll_output(), Some(Output::Append(g)) if g.seq == 3));
    assert_eq!(again.poll_output(), None);
    again.handle_input(at(9), Input::LogWon { seq: 3 }).unwrap();
    assert!(matches!(again.poll_output(), Some(Output::Effect(e)) if e.notice == Notice::Opened));
}

#[test]
fn full_outbox_and_slow_log_are_back_pressure() {
    let mut tight = config();
    tight.limits.outbox_max = 1;
    tight.limits.groups_max = 2;
    let mut itil = Itil::new(tight).unwrap();
    itil.take_over(at(0), 1);
    itil.handle_input(at(1), exception(1, "a")).unwrap();
    let refusal = itil.handle_input(at(1), exception(2, "b")).unwrap_err();
    assert_eq!(refusal.reason, InputError::LogBehind { waiting: 2 });
    assert_eq!(refusal.reason.action(), RefusalAction::SettleLog);
    itil.handle_input(at(1), Input::LogWon { seq: 1 }).unwrap();
    itil.handle_input(at(1), Input::LogWon { seq: 2 }).unwrap();
    let refusal = itil.handle_input(at(1), refusal.input).unwrap_err();
    assert_eq!(refusal.reason, InputError::OutboxFull { waiting: 1 });
    assert_eq!(refusal.reason.action(), RefusalAction::EndEffects);
    let id = itil.outbox().next().unwrap().id;
    let outcome = EffectOutcome::Delivered;
    itil.handle_input(at(1), Input::EffectEnded { id, outcome })
        .unwrap();
    assert_eq!(refusal.input, exception(2, "b"), "it comes back as it was");
    itil.handle_input(at(1), refusal.input).unwrap();
}

#[test]
fn a_newer_entry_is_refused_by_name() {
    let group = hash_chain::seal(None, 1, vec![br#"{"v":2,"what":"unknown"}"#.to_vec()]);
    assert_eq!(
        Itil::replay(config(), [&group]).unwrap_err(),
        ReplayError::Version { seq: 1, v: 2 }
    );
}
