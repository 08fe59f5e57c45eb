//! Whose pods these are, and whether they are worn.

use telemetry_core::Instant;

use crate::policy::Policy;
use crate::proximity::{Activity, Frame};

/// How long "worn" outlives a frame that says otherwise: while pods change roles, both send, with
/// slightly different opinions.
const FLAP: core::time::Duration = core::time::Duration::from_secs(2);

/// The wearer's pods as their frames show them.
///
/// A frame counts if its model is the wearer's, it is strong enough, and its strength does not
/// jump against the last one. A frame of unknown strength only continues what was seen before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods {
    pub(crate) seen: Option<Seen>,
    pub(crate) worn_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    at: Instant,
    frame: Frame,
    rssi: i16,
}

impl Pods {
    pub(crate) fn observe(
        &mut self,
        policy: &Policy,
        now: Instant,
        frame: Frame,
        rssi: Option<i16>,
    ) {
        let last = self.fresh(policy, now).copied();
        let Some(rssi) = rssi.or(last.map(|l| l.rssi)) else {
            return;
        };
        let other_model = policy.own_model.is_some_and(|own| own != frame.model)
            || last.is_some_and(|l| l.frame.model != frame.model);
        let jump = last.is_some_and(|l| l.rssi.abs_diff(rssi) > policy.rssi_step_max);
        if other_model || rssi < policy.rssi_min || jump {
            return;
        }
        self.seen = Some(Seen {
            at: now,
            frame,
            rssi,
        });
        if frame.is_worn() {
            self.worn_at = Some(now);
        }
    }

    pub(crate) fn is_worn(&self, policy: &Policy, now: Instant) -> bool {
        let lately = |at: Instant| now.saturating_since(at) <= FLAP;
        self.fresh(policy, now)
            .is_some_and(|seen| seen.frame.is_worn() || self.worn_at.is_some_and(lately))
    }

    pub(crate) fn in_call(&self, policy: &Policy, now: Instant) -> bool {
        self.fresh(policy, now)
            .is_some_and(|seen| matches!(seen.frame.activity, Activity::Call | Activity::Ringing))
    }

    fn fresh(&self, policy: &Policy, now: Instant) -> Option<&Seen> {
        self.seen
            .as_ref()
            .filter(|seen| now.saturating_since(seen.at) <= policy.pods_fresh)
    }
}
