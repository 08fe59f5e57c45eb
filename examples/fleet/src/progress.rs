//! Progress: a bar per stage on a terminal, lines elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use terminal::Terminal;

use crate::clock::hms;

/// How far each stage is, in samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// Read from the files.
    pub read: u64,
    /// Durable in the spools.
    pub durable: u64,
    /// Confirmed by the log.
    pub published: u64,
    /// Stored as rows.
    pub stored: u64,
}

/// What the run is going through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing special.
    Steady,
    /// Firmware 2 is being rolled out.
    Rollout,
    /// The link to the log is down.
    Outage,
}

impl Phase {
    /// One word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Rollout => "rollout",
            Self::Outage => "outage",
        }
    }
}

/// Shows progress on standard error.
pub enum Progress {
    /// Bars that move.
    Bars([ProgressBar; 4]),
    /// A line each time another `every` samples are stored, `pause` has passed, or the phase
    /// changes.
    Lines {
        /// Samples in all.
        total: u64,
        /// Samples between lines.
        every: u64,
        /// Virtual time between lines.
        pause: Duration,
        /// Stored samples, virtual time and phase at the last line.
        last: Option<(u64, Duration, Phase)>,
    },
}

impl Progress {
    /// For `total` samples in `length` of virtual time; lines come `lines` times or more, or bars
    /// move.
    pub fn new(total: u64, length: Duration, lines: u32) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines {
                total,
                every: (total / u64::from(lines.max(1))).max(1),
                pause: length / lines.max(1),
                last: None,
            };
        }
        let all = MultiProgress::new();
        let style = |template| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let plain = style("{prefix:>9} {bar:30} {pos:>9}/{len:9}");
        // The last stage says how long it will take.
        let last = style("{prefix:>9} {bar:30} {pos:>9}/{len:9} {msg}, {eta} left");
        Self::Bars(["read", "durable", "published", "stored"].map(|name| {
            let bar = all.add(ProgressBar::new(total));
            let style = if name == "stored" { &last } else { &plain };
            bar.set_style(style.clone());
            bar.set_prefix(name);
            bar
        }))
    }

    /// Shows the state at `since_start`.
    pub fn show(&mut self, stages: Stages, phase: Phase, since_start: Duration) {
        match self {
            Self::Bars([read, durable, published, stored]) => {
                read.set_position(stages.read);
                durable.set_position(stages.durable);
                published.set_position(stages.published);
                stored.set_position(stages.stored);
                stored.set_message(format!("{} {}", hms(since_start), phase.as_str()));
            }
            Self::Lines {
                total,
                every,
                pause,
                last,
            } => {
                let due = last.is_none_or(|(stored, at, before)| {
                    stages.stored >= stored + *every
                        || since_start >= at + *pause
                        || before != phase
                });
                if due {
                    *last = Some((stages.stored, since_start, phase));
                    line(stages, phase, since_start, *total);
                }
            }
        }
    }

    /// Says something beside the progress.
    pub fn say(&self, sentence: &str) {
        match self {
            Self::Bars([.., last]) => last.suspend(|| Terminal::new().warn(sentence)),
            Self::Lines { .. } => Terminal::new().warn(sentence),
        }
    }

    pub fn finish(&mut self, stages: Stages, since_start: Duration) {
        match self {
            Self::Bars(bars) => {
                for bar in bars {
                    bar.finish();
                }
            }
            Self::Lines { total, .. } => line(stages, Phase::Steady, since_start, *total),
        }
    }
}

fn line(stages: Stages, phase: Phase, since_start: Duration, total: u64) {
    Terminal::new().warn(format_args!(
        "{} {}: read {} durable {} published {} stored {} of {total}",
        hms(since_start),
        phase.as_str(),
        stages.read,
        stages.durable,
        stages.published,
        stages.stored
    ));
}
