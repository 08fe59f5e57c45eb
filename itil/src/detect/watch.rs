//! A rule over one series: how scores become warning, exception and recovery.

use telemetry_core::Timestamp;

use super::Score;
use crate::event::{Cause, Condition, Event, Rule, Significance};

/// Applies one [`Rule`] to the scores of one configuration item.
///
/// Says each thing once: a warning when the score reaches the threshold, an exception when it
/// stayed there for [`Rule::lasts`], a recovery when it fell below. Whether a recovery lasts is
/// judged by [`Itil`](crate::Itil), where the incident is.
#[derive(Clone, Debug)]
pub struct Watch {
    rule: Rule,
    ci: String,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Normal,
    Above { since: Timestamp },
    Raised { since: Timestamp },
}

impl Watch {
    /// A watch over the series of `ci`.
    pub fn new(rule: Rule, ci: impl Into<String>) -> Self {
        Self {
            rule,
            ci: ci.into(),
            phase: Phase::Normal,
        }
    }

    /// A watch that takes over while the condition is there since `since`: an incident is open.
    pub fn raised(rule: Rule, ci: impl Into<String>, since: Timestamp) -> Self {
        Self {
            phase: Phase::Raised { since },
            ..Self::new(rule, ci)
        }
    }

    /// Takes the score of one record, seen at `now`. `cause` names that record.
    pub fn update(&mut self, now: Timestamp, score: Score, cause: Cause) -> Option<Event> {
        let above = score.excess >= self.rule.threshold;
        let (significance, condition, began) = match self.phase {
            Phase::Normal if above => {
                if self.rule.lasts.is_zero() {
                    self.phase = Phase::Raised { since: now };
                    (Significance::Exception, Condition::Present, now)
                } else {
                    self.phase = Phase::Above { since: now };
                    (Significance::Warning, Condition::Present, now)
                }
            }
            Phase::Above { since } if above => {
                if now.saturating_since(since) < self.rule.lasts {
                    return None;
                }
                self.phase = Phase::Raised { since };
                (Significance::Exception, Condition::Present, since)
            }
            Phase::Above { since } | Phase::Raised { since } if !above => {
                self.phase = Phase::Normal;
                (Significance::Informational, Condition::Cleared, since)
            }
            Phase::Normal | Phase::Above { .. } | Phase::Raised { .. } => return None,
        };
        Some(Event {
            significance,
            condition,
            service: self.rule.service.clone(),
            ci: self.ci.clone(),
            signature: self.rule.signature.clone(),
            rule: self.rule.rule.clone(),
            // An excess beyond all bounds is still a number in the log.
            score: score.excess.min(f64::MAX),
            cause,
            occurred_at: began,
            detected_at: now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RuleRef;
    use crate::priority::{Impact, IncidentUrgency};
    use std::time::Duration;

    #[test]
    fn a_watch_that_takes_over_says_the_recovery() {
        let at = |s: i64| Timestamp::from_micros(s * 1_000_000);
        let mut watch = Watch::raised(rule(), "spool-1", at(1));
        let cause = Cause {
            record: "9".into(),
            detector: "range-break".into(),
        };
        let event = watch.update(at(9), Score::default(), cause).unwrap();
        assert_eq!(event.condition, Condition::Cleared);
        assert_eq!(event.occurred_at, at(1));
    }

    fn rule() -> Rule {
        Rule {
            rule: RuleRef {
                id: "backlog".into(),
                version: 1,
            },
            service: "telemetry".into(),
            signature: "backlog grows".into(),
            threshold: 1.0,
            lasts: Duration::from_secs(3),
            clear: Duration::ZERO,
            impact: Impact::High,
            urgency: IncidentUrgency::High,
        }
    }

    #[test]
    fn warning_then_exception_then_recovery_each_once() {
        let mut watch = Watch::new(rule(), "spool-1");
        let at = |s: i64| Timestamp::from_micros(s * 1_000_000);
        let scores = [0.0, 2.0, 2.0, 2.0, 2.0, 2.0, 0.0, 0.0, 2.0, 0.0];
        let said: Vec<_> = (0..)
            .zip(scores)
            .filter_map(|(s, excess)| {
                let cause = Cause {
                    record: s.to_string(),
                    detector: "range-break".into(),
                };
                let score = Score {
                    excess,
                    fresh: false,
                };
                let e = watch.update(at(s), score, cause)?;
                Some((s, e.significance, e.condition, e.occurred_at))
            })
            .collect();
        use Condition::{Cleared, Present};
        use Significance::{Exception, Informational, Warning};
        assert_eq!(
            said,
            [
                (1, Warning, Present, at(1)),
                (4, Exception, Present, at(1)),
                (6, Informational, Cleared, at(1)),
                (8, Warning, Present, at(8)),
                (9, Informational, Cleared, at(8)),
            ]
        );
    }
}
