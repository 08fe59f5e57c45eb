//! Random walks: whatever is thrown at the machine, the log tells the whole story.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use telemetry_itil::*;

use crate::rig::*;

fn any_action() -> impl Strategy<Value = Action> {
    let reason = prop::sample::select(vec![
        HoldReason::AwaitingCaller,
        HoldReason::AwaitingChange,
        HoldReason::AwaitingProblem,
        HoldReason::AwaitingVendor,
    ]);
    prop_oneof![
        Just(assign()),
        Just(Action::Start),
        reason.prop_map(|reason| Action::Hold { reason }),
        Just(Action::Resume),
        Just(resolve()),
        Just(Action::Reopen {
            reason: "again".into()
        }),
        Just(Action::Close),
        Just(Action::Cancel {
            reason: "a test".into()
        }),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    let event = (
        0u8..3,
        any::<bool>(),
        0u8..3,
        0u8..2,
        0i64..200,
        -1e9f64..1e9,
    )
        .prop_map(|(significance, present, ci, signature, record, score)| {
            let significance = [
                Significance::Informational,
                Significance::Warning,
                Significance::Exception,
            ][usize::from(significance)];
            let mut e = event(record, significance, &format!("ci-{ci}"));
            if !present {
                e.condition = Condition::Cleared;
            }
            e.signature = format!("signature {signature}");
            e.score = score;
            Input::Event(e)
        });
    prop_oneof![
        3 => event,
        3 => (1u64..6, any_action()).prop_map(|(id, action)| command(id, action)),
        1 => Just(Input::Tick),
    ]
}

fn small() -> Config {
    let mut config = config();
    config.reopen_within = Duration::from_secs(3_000);
    config.close_after = Duration::from_secs(9_000);
    config.limits.closed_max = 3;
    config.limits.causes_max = 50;
    config.limits.cis_max = 2;
    config.limits.history_max = 5;
    config
}

fn invariants(rig: &Rig) {
    let mut open = BTreeSet::new();
    for i in rig.itil.incidents() {
        if i.state.is_open() {
            assert!(
                open.insert((&i.service, &i.signature)),
                "two open for one key"
            );
        }
        assert_eq!(i.closure.is_some(), !i.state.is_open(), "{i:?}");
        assert_eq!(i.own.is_running(), i.state == State::New);
        let paused = i
            .holds
            .back()
            .is_some_and(|h| h.until.is_none() && h.pauses_clock);
        assert_eq!(i.resolve.is_running(), i.state.is_open() && !paused);
        assert!(i.cis.len() <= 2 && i.history.len() <= 5 && i.holds.len() <= 5);
        assert!(i.present.is_subset(&i.cis));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The log alone rebuilds the machine, whoever stops it wherever, and its writer goes on.
    #[test]
    fn replay_is_the_machine(inputs in prop::collection::vec((0i64..4_000, any_input()), 0..80)) {
        let mut rig = Rig::new(small());
        let mut now = 0;
        for (step, input) in inputs {
            now += step;
            // Refusals are part of the walk.
            let _ = rig.give(now, input);
            invariants(&rig);
        }
        let again = Itil::replay(small(), &rig.log).unwrap();
        prop_assert_eq!(again.snapshot(), rig.itil.snapshot());
        prop_assert_eq!(again.head(), rig.itil.head());
        prop_assert_eq!(again.outbox().count(), 0);
    }

    /// Ticking often, seldom or only with the next input leads to the same state.
    #[test]
    fn ticks_change_nothing(inputs in prop::collection::vec((1i64..4_000, any_input()), 0..40), every in 1i64..700) {
        let (mut lazy, mut eager) = (Rig::new(small()), Rig::new(small()));
        let mut now = 0;
        for (step, input) in inputs {
            for s in (now..now + step).step_by(usize::try_from(every).unwrap()) {
                eager.give(s, Input::Tick).unwrap();
            }
            now += step;
            let (a, b) = (lazy.give(now, input.clone()), eager.give(now, input));
            prop_assert_eq!(a, b);
        }
        let incidents = |rig: &Rig| rig.itil.incidents().cloned().collect::<Vec<_>>();
        prop_assert_eq!(incidents(&lazy), incidents(&eager));
        prop_assert_eq!(lazy.told, eager.told);
    }
}
