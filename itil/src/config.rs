//! What an organisation decides: rules, tables, times and bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::{Rule, RuleRef};
use crate::incident::HoldReason;
use crate::priority::{Matrix, Targets};
use crate::sla::Calendar;

/// Data that replaces code: ITIL prescribes none of it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The rules that may open incidents. Default none.
    pub rules: Vec<Rule>,
    /// Priority by impact and urgency. Default ServiceNow's.
    pub matrix: Matrix,
    /// Times allowed per priority.
    pub targets: Targets,
    /// When the clocks count. Default always.
    pub calendar: Calendar,
    /// Hold reasons that pause the resolve clock. Default caller and vendor: waiting for our own
    /// change or problem is our own time.
    pub pausing: BTreeSet<HoldReason>,
    /// How long after its resolution an incident may be reopened. Default 24 hours.
    pub reopen_within: Duration,
    /// A resolution that nobody opposes for this long is confirmed. Default 5 days.
    pub close_after: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            matrix: Matrix::default(),
            targets: Targets::default(),
            calendar: Calendar::Always,
            pausing: BTreeSet::from([HoldReason::AwaitingCaller, HoldReason::AwaitingVendor]),
            reopen_within: Duration::from_secs(24 * 3600),
            close_after: Duration::from_secs(5 * 24 * 3600),
            limits: Limits::default(),
        }
    }
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let mut seen = BTreeSet::new();
        for rule in &self.rules {
            if !seen.insert(&rule.rule.id) {
                return Err(ConfigError::DuplicateRule {
                    rule: rule.rule.id.clone(),
                });
            }
            if !(rule.threshold > 0.0 && rule.threshold.is_finite()) {
                return Err(ConfigError::Threshold {
                    rule: rule.rule.id.clone(),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn rule(&self, rule: &RuleRef) -> Option<&Rule> {
        self.rules.iter().find(|r| r.rule == *rule)
    }
}

/// Every bound of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open and resolved incidents at a time; beyond it an exception is refused. Default 10,000.
    pub active_max: usize,
    /// Closed and cancelled incidents kept for linking; the oldest go first. Default 1,000.
    pub closed_max: usize,
    /// Causes remembered for removing duplicates; the oldest go first. Default 65,536.
    pub causes_max: usize,
    /// Configuration items named in an incident; more are counted. Default 256.
    pub cis_max: usize,
    /// Steps and holds kept in an incident; the oldest go first. Default 256.
    pub history_max: usize,
    /// Bytes of a name (service, item, signature, rule, account, cause). Default 256.
    pub name_bytes_max: usize,
    /// Bytes of a text written by a person. Default 2,048.
    pub text_bytes_max: usize,
    /// Effects started and not finished; beyond it only their outcomes are taken. Default 1,024.
    pub outbox_max: usize,
    /// Log groups appended and not settled; beyond it only their answers are taken. Default 64.
    pub groups_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            active_max: 10_000,
            closed_max: 1_000,
            causes_max: 65_536,
            cis_max: 256,
            history_max: 256,
            name_bytes_max: 256,
            text_bytes_max: 2_048,
            outbox_max: 1_024,
            groups_max: 64,
        }
    }
}

/// A configuration that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Two rules of one name: rename one.
    #[error("rule {rule} is declared twice")]
    DuplicateRule {
        /// Id of the rule.
        rule: String,
    },
    /// A threshold that is zero, negative or no number would always or never fire.
    #[error("rule {rule}: the threshold must be a number above zero")]
    Threshold {
        /// Id of the rule.
        rule: String,
    },
}

telemetry_core::error_codes!(ConfigError {
    DuplicateRule { .. } => 5011,
    Threshold { .. } => 5012,
});
