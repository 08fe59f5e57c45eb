//! One behaviour a test, then walks of random inputs.

use std::collections::BTreeMap;

use proptest::prelude::*;
use telemetry_airpods::*;
use telemetry_core::{Instant, Timestamp};

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn alert(id: u64, topic: &str, urgency: Urgency) -> Input {
    Input::Alert(Alert {
        id: AlertId(id),
        topic: topic.into(),
        urgency,
        text: SpokenText(format!("alert {id}")),
        earcon: Earcon::Notice,
        haptic: Haptic::Notice,
    })
}

/// A frame of two worn pods; `activity` is byte 10.
fn worn(activity: u8) -> Input {
    let mut data = [
        0x07, 0x19, 0x01, 0x24, 0x20, 0x0b, 0x77, 0x8f, 0x11, 0x00, activity,
    ]
    .to_vec();
    data.resize(27, 0);
    Input::PodsSeen {
        frame: proximity::decode(&data).unwrap(),
        rssi: Some(-48),
    }
}

struct Rig(Router);

impl Rig {
    fn new(policy: Policy) -> Self {
        let mut rig = Self(Router::new(policy));
        let (haptic, tracker) = (true, true);
        rig.give(0, Input::Devices { haptic, tracker });
        rig
    }

    /// One short word for each output.
    fn give(&mut self, ms: u64, input: Input) -> Vec<String> {
        self.0.handle_input(at(ms), input).unwrap();
        std::iter::from_fn(|| self.0.poll_output())
            .map(word)
            .collect()
    }
}

fn word(output: Output) -> String {
    match output {
        Output::Cue { alert, cue } => match cue {
            Cue::Speak { text, .. } => format!("{} says {}", alert.0, text.0),
            Cue::Earcon(_) => format!("{} sounds", alert.0),
            Cue::Haptic(_) => format!("{} buzzes", alert.0),
            Cue::TrackerAlert { level } => format!("{} tracker {level:?}", alert.0),
        },
        Output::Stop(alert) => format!("{} stops", alert.0),
        Output::Given { alert, .. } => format!("{} given", alert.0),
        Output::NotGiven { alert, reason } => format!("{} not: {reason:?}", alert.0),
    }
}

use Urgency::{Critical, Info, Notice, Warning};

#[test]
fn worn_pods_sound_and_speak() {
    let mut rig = Rig::new(Policy::default());
    rig.give(0, worn(5));
    assert_eq!(
        rig.give(1, alert(1, "a", Info)),
        ["1 sounds", "1 says alert 1"]
    );
    assert_eq!(rig.give(900, Input::SpeechDone(AlertId(1))), ["1 given"]);
}

#[test]
fn without_pods_only_what_matters_finds_another_way() {
    let mut rig = Rig::new(Policy::default());
    assert_eq!(rig.give(0, alert(1, "a", Notice)), ["1 not: PodsNotWorn"]);
    assert_eq!(
        rig.give(0, alert(2, "b", Warning)),
        ["2 tracker Mild", "2 buzzes", "2 given"]
    );
    let (haptic, tracker) = (false, false);
    rig.give(0, Input::Devices { haptic, tracker });
    assert_eq!(rig.give(0, alert(3, "c", Warning)), ["3 not: NoModality"]);
}

#[test]
fn nobody_speaks_into_a_call() {
    for in_call in [worn(6), worn(7), Input::CallState { in_call: true }] {
        let mut rig = Rig::new(Policy::default());
        rig.give(0, worn(4));
        rig.give(0, in_call);
        assert_eq!(rig.give(1, alert(1, "a", Notice)), ["1 not: InCall"]);
        assert_eq!(rig.give(1, alert(2, "b", Warning)), ["2 buzzes", "2 given"]);
        assert_eq!(
            rig.give(1, alert(3, "c", Critical)),
            ["3 buzzes", "3 sounds", "3 given"]
        );
    }
}

#[test]
fn quiet_hours_follow_wall_time_and_zone() {
    let quiet = Some(QuietHours {
        from_minute: 22 * 60,
        to_minute: 7 * 60,
    });
    let mut rig = Rig::new(Policy {
        quiet,
        ..Policy::default()
    });
    rig.give(0, worn(4));
    // 20:30 UTC is 22:30 two hours east.
    let wall = Timestamp::from_micros((20 * 60 + 30) * 60_000_000);
    let clock = |offset_seconds| Input::Clock {
        wall,
        offset_seconds,
    };
    rig.give(0, clock(7_200));
    assert_eq!(rig.give(1, alert(1, "a", Notice)), ["1 not: QuietHours"]);
    assert_eq!(
        rig.give(1, alert(2, "b", Critical)),
        ["2 buzzes", "2 given"]
    );
    rig.give(2, clock(0));
    assert_eq!(
        rig.give(3, alert(3, "c", Notice)),
        ["3 sounds", "3 says alert 3"]
    );
}

#[test]
fn followers_are_told_as_one() {
    let mut rig = Rig::new(Policy::default());
    rig.give(0, worn(4));
    rig.give(0, alert(1, "gateway", Info));
    rig.give(500, Input::SpeechDone(AlertId(1)));
    for (id, urgency) in [(2, Info), (3, Notice), (4, Info)] {
        assert!(rig.give(1_000, alert(id, "gateway", urgency)).is_empty());
    }
    assert_eq!(rig.0.poll_timeout(), Some(at(2_000)));
    let into = "Coalesced { into: AlertId(3), count: 3 }";
    assert_eq!(
        rig.give(2_000, Input::Tick),
        [
            "3 sounds".to_owned(),
            "3 says 3 alerts from gateway".to_owned(),
            format!("2 not: {into}"),
            format!("4 not: {into}"),
        ]
    );
}

#[test]
fn a_topic_has_two_and_then_one_a_minute() {
    let mut rig = Rig::new(Policy::default());
    rig.give(0, worn(4));
    let mut given = 0;
    for id in 0..60 {
        let ms = id * 5_000;
        rig.give(ms, worn(4));
        let out = rig.give(ms, alert(id, "a", Info));
        if out.iter().any(|w| w.contains("says")) {
            rig.give(ms + 1, Input::SpeechDone(AlertId(id)));
            given += 1;
        } else {
            assert_eq!(out, [format!("{id} not: RateLimited")]);
        }
    }
    // 295 s: two saved and four that came back.
    assert_eq!(given, 6);
}

#[test]
fn the_graver_takes_the_voice() {
    let mut rig = Rig::new(Policy::default());
    rig.give(0, worn(4));
    rig.give(0, alert(1, "a", Notice));
    assert!(rig.give(1_000, alert(2, "b", Notice)).is_empty());
    assert_eq!(
        rig.give(2_000, alert(3, "c", Warning)),
        ["1 stops", "3 sounds", "3 says alert 3"]
    );
    // The young one begins anew, in its turn.
    assert_eq!(
        rig.give(3_000, Input::SpeechDone(AlertId(3))),
        ["3 given", "1 sounds", "1 says alert 1"]
    );
    rig.give(6_000, worn(4));
    assert_eq!(
        rig.give(6_000, alert(4, "d", Critical)),
        [
            "4 buzzes",
            "1 stops",
            "1 not: Preempted",
            "4 sounds",
            "4 says alert 4"
        ]
    );
    assert_eq!(
        rig.give(7_000, Input::SpeechDone(AlertId(4))),
        ["4 given", "2 sounds", "2 says alert 2"]
    );
}

#[test]
fn waiting_for_the_voice_ends_with_the_use() {
    let mut rig = Rig::new(Policy::default());
    rig.give(0, worn(4));
    rig.give(0, alert(1, "a", Warning));
    rig.0.handle_input(at(0), Input::Tick).unwrap();
    assert!(rig.give(1, alert(2, "b", Info)).is_empty());
    // The voice never reports back: it is free after 15 s, but the pods were last seen long ago.
    assert_eq!(
        rig.give(15_000, Input::Tick),
        ["1 given", "2 not: PodsNotWorn"]
    );
}

#[test]
fn critical_repeats_until_acknowledged() {
    let mut rig = Rig::new(Policy::default());
    assert_eq!(
        rig.give(0, alert(1, "a", Critical)),
        ["1 tracker High", "1 buzzes", "1 given"]
    );
    let mut times = Vec::new();
    for _ in 0..5 {
        let due = rig.0.poll_timeout().unwrap().as_nanos() / 1_000_000;
        assert_eq!(rig.give(due, Input::Tick), ["1 tracker High", "1 buzzes"]);
        times.push(due / 1_000);
    }
    assert_eq!(times, [10, 40, 100, 400, 700]);
    assert!(rig.give(701_000, Input::Ack(AlertId(1))).is_empty());
    assert_eq!(rig.0.poll_timeout(), None);
}

#[test]
fn critical_waits_for_a_way() {
    let mut rig = Rig(Router::new(Policy::default()));
    assert!(rig.give(0, alert(1, "a", Critical)).is_empty());
    let (haptic, tracker) = (false, true);
    rig.give(5_000, Input::Devices { haptic, tracker });
    assert_eq!(rig.give(10_000, Input::Tick), ["1 tracker High", "1 given"]);
    assert!(
        rig.give(11_000, alert(2, "a", Critical))
            .contains(&"2 given".to_owned())
    );
}

#[test]
fn somebody_elses_pods_change_nothing() {
    let Input::PodsSeen { frame, .. } = worn(4) else {
        unreachable!("a frame")
    };
    let seen = |rssi| Input::PodsSeen { frame, rssi };
    let own = Policy {
        own_model: Some(Model::AirPodsPro3),
        ..Policy::default()
    };
    for (policy, frames) in [
        (own, vec![seen(Some(-40))]),
        (Policy::default(), vec![seen(Some(-71))]),
        (Policy::default(), vec![seen(None)]),
    ] {
        let mut rig = Rig::new(policy);
        for frame in frames {
            rig.give(0, frame);
        }
        assert_eq!(rig.give(1, alert(1, "a", Notice)), ["1 not: PodsNotWorn"]);
    }
}

#[test]
fn a_full_router_keeps_the_grave() {
    let mut policy = Policy::default();
    policy.limits.alerts_max = 2;
    let mut rig = Rig::new(policy);
    rig.give(0, worn(4));
    rig.give(0, alert(1, "a", Notice));
    rig.give(1, alert(2, "b", Info));
    let refusal = rig.0.handle_input(at(2), alert(3, "c", Info)).unwrap_err();
    assert_eq!(refusal.reason.code(), 6013);
    assert_eq!(rig.give(3, alert(4, "d", Critical))[0], "2 not: Displaced");
    let refusal = rig.0.handle_input(at(4), alert(4, "d", Info)).unwrap_err();
    assert_eq!(refusal.reason.code(), 6012);
    assert_eq!(
        rig.0
            .handle_input(at(4), Input::Ack(AlertId(9)))
            .unwrap_err()
            .reason
            .code(),
        6014
    );
    assert_eq!(
        rig.0
            .handle_input(at(4), alert(5, "", Info))
            .unwrap_err()
            .reason
            .code(),
        6011
    );
}

#[test]
fn a_refused_alert_comes_back_and_is_taken_later() {
    let mut policy = Policy::default();
    policy.limits.alerts_max = 1;
    let mut rig = Rig::new(policy);
    rig.give(0, worn(4));
    rig.give(0, alert(1, "a", Info));
    let refusal = rig.0.handle_input(at(1), alert(2, "b", Info)).unwrap_err();
    assert_eq!(refusal.reason.action(), RefusalAction::Wait);
    assert_eq!(refusal.input, alert(2, "b", Info));
    rig.give(2, Input::SpeechDone(AlertId(1)));
    assert_eq!(rig.give(3, refusal.input)[1], "2 says alert 2");
}

/// Speech that ends just as something graver stops it answers too late: nothing is to be done.
#[test]
fn an_answer_that_comes_after_the_stop_is_dropped() {
    let mut rig = Rig::new(Policy::default());
    rig.give(0, worn(4));
    rig.give(0, alert(1, "a", Notice));
    assert_eq!(rig.give(1, alert(2, "b", Warning))[0], "1 stops");
    let late = Input::SpeechDone(AlertId(1));
    let refusal = rig.0.handle_input(at(2), late).unwrap_err();
    assert_eq!(refusal.reason.action(), RefusalAction::Drop);
}

fn any_input() -> impl Strategy<Value = Input> {
    let urgency = prop::sample::select(vec![Info, Notice, Warning, Critical]);
    let id = 0u64..40;
    prop_oneof![
        5 => (id.clone(), 0u8..3, urgency).prop_map(|(id, t, u)| alert(id, &format!("t{t}"), u)),
        3 => prop::sample::select(vec![4u8, 6]).prop_map(worn),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(haptic, tracker)| Input::Devices { haptic, tracker }),
        1 => any::<bool>().prop_map(|in_call| Input::CallState { in_call }),
        3 => id.clone().prop_map(|id| Input::SpeechDone(AlertId(id))),
        2 => id.prop_map(|id| Input::Ack(AlertId(id))),
        1 => Just(Input::Tick),
    ]
}

proptest! {
    /// Every accepted alert ends once; nothing is cued after the ending but repeats of critical
    /// ones; rates hold; the same inputs give the same outputs.
    #[test]
    fn every_alert_ends_once(inputs in prop::collection::vec((0u64..20_000, any_input()), 0..120)) {
        let mut policy = Policy::default();
        policy.limits.alerts_max = 8;
        policy.limits.topics_max = 2;
        let run = || {
            let (mut router, mut now) = (Router::new(policy), 0);
            let (mut began, mut ended, mut spoken) = (BTreeMap::new(), BTreeMap::new(), 0u64);
            let mut all = Vec::new();
            let tail = (0..40).map(|id| (1, Input::Ack(AlertId(id)))).chain([(600_000, Input::Tick), (600_000, Input::Tick)]);
            for (step, input) in inputs.iter().cloned().chain(tail) {
                now += step;
                let id = match &input { Input::Alert(a) => Some(a.id), _ => None };
                if let (Ok(()), Some(id)) = (router.handle_input(at(now), input), id) {
                    *began.entry(id).or_insert(0) += 1;
                }
                while let Some(output) = router.poll_output() {
                    match &output {
                        Output::Given { alert, .. } | Output::NotGiven { alert, .. } => *ended.entry(*alert).or_insert(0) += 1,
                        Output::Cue { cue: Cue::Speak { urgency, .. }, .. } if *urgency < Critical => spoken += 1,
                        _ => {}
                    }
                    all.push(output);
                }
            }
            (began, ended, spoken, all, now, router.poll_timeout())
        };
        let (began, ended, spoken, all, now, timeout) = run();
        prop_assert_eq!(&began, &ended);
        prop_assert_eq!(timeout, None);
        // Each alert may begin anew once per preemption; those are stops.
        let stops = all.iter().filter(|o| matches!(o, Output::Stop(_))).count() as u64;
        prop_assert!(spoken <= 6 + now / 10_000 + stops);
        prop_assert_eq!(run().3, all);
    }
}
