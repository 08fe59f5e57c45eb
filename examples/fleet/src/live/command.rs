//! What a visitor can do to the running fleet.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Error;

/// A button, and what it is pressed for. Trackers count from 1, as they do on the page.
///
/// Commands without a field have braces all the same: serde refuses unknown fields only there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// The link to the log goes down.
    CutLink {},
    /// The link is back.
    RestoreLink {},
    /// A tracker loses its power in the middle of what it does.
    Unplug {
        /// The tracker, counted from 1.
        tracker: usize,
    },
    /// It gets its power back.
    Plug {
        /// The tracker, counted from 1.
        tracker: usize,
    },
    /// Every tracker gets firmware 2, one after the other.
    RollOut {},
    /// A program on a tracker sends a record that nobody can read.
    Poison {
        /// The tracker, counted from 1.
        tracker: usize,
    },
    /// A tracker loses its power while it writes: half a frame is on its disk.
    CorruptTail {
        /// The tracker, counted from 1.
        tracker: usize,
    },
}

impl Command {
    /// The command that a page sends: a JSON object. Serde would take an array of its values as well.
    pub(super) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        match body.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(body),
            _ => Err(Error::custom(
                "a command is a JSON object, such as {\"do\":\"cut-link\"}",
            )),
        }
    }
}

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The link is in that state.
    #[error("the link is {state} already")]
    Link { state: &'static str },
    /// There is no such tracker.
    #[error("there is no tracker {tracker}: they count from 1 to {count}")]
    NoTracker {
        /// What was asked for.
        tracker: usize,
        /// How many there are.
        count: usize,
    },
    /// The tracker has no power.
    #[error("tracker {tracker} is unplugged: plug it in first")]
    Unplugged {
        /// The tracker, counted from 1.
        tracker: usize,
    },
    /// The tracker has power.
    #[error("tracker {tracker} is plugged in")]
    Plugged {
        /// The tracker, counted from 1.
        tracker: usize,
    },
    /// The tracker has not been switched on so far.
    #[error("tracker {tracker} is not switched on yet: wait for its screen")]
    NotOn {
        /// The tracker, counted from 1.
        tracker: usize,
    },
    /// The tracker has delivered everything and is switched off.
    #[error("tracker {tracker} has delivered everything and is switched off: take another one")]
    Off {
        /// The tracker, counted from 1.
        tracker: usize,
    },
    /// The last command for the tracker is not carried out yet.
    #[error("tracker {tracker} is busy with the last command: try again")]
    Busy {
        /// The tracker, counted from 1.
        tracker: usize,
    },
    /// Every tracker has it.
    #[error("every tracker runs firmware 2 already")]
    RolledOut,
    /// The report shows so many.
    #[error("the link went down {max} times in this run: that is as many as a report shows")]
    OutagesMax { max: usize },
    /// Nothing runs any more.
    #[error("the run is over: start another one")]
    Over,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_what_the_page_says_and_nothing_besides() {
        let read = |text: &str| Command::read(text.as_bytes()).ok();
        assert_eq!(read(r#"{"do":"cut-link"}"#), Some(Command::CutLink {}));
        let unplug = Some(Command::Unplug { tracker: 2 });
        assert_eq!(read(r#"{"do":"unplug","tracker":2}"#), unplug);
        for wrong in [
            r#"{"do":"unplug"}"#,
            r#"{"do":"unplug","tracker":-1}"#,
            r#"{"do":"format-disk"}"#,
            r#"{"do":"cut-link","x":1}"#,
            r#"{"do":"restore-link","tracker":1}"#,
            r#"{"do":"roll-out","x":1}"#,
            r#"{"do":"unplug","tracker":2,"x":1}"#,
            r#"["cut-link"]"#,
            r#"["unplug",1]"#,
            "[]",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
