//! Names of records as people type them.

use telemetry_core::DeviceId;

use crate::answer::Failure;

/// Records of one stream that a person means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    pub who: Who,
    /// The stream's whole or last name.
    pub stream: &'a str,
    /// The first and the last number.
    pub first: u64,
    pub last: u64,
}

/// Whose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// In one opening of a device's spool.
    Device { device: DeviceId, epoch: u64 },
    /// Of a tracker of the run, counted from 1, in its newest opening.
    Tracker(u64),
    /// Of the run's gateway, in its newest opening.
    Gateway,
}

/// How names look.
const SHAPE: &str = "a name is DEVICE:EPOCH:STREAM:NUMBER, or TRACKER:STREAM:NUMBER as in \
                     1:ActivitySample:5 or gateway:FeedbackGiven:1; NUMBER may be a range, as in 5-8; \
                     `xpt why --data DIR` lists names";

/// Reads a name as `xpt` and a run print it, of a record or of a batch, or as people abbreviate it.
pub(crate) fn parse(text: &str) -> Result<Name<'_>, Failure> {
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(match text.trim().is_empty() {
            true => format!("the name of the record is empty: {SHAPE}"),
            false => format!("{text}: a part of the name is empty: {SHAPE}"),
        });
    }
    let (who, stream, numbers) = match parts[..] {
        [device, epoch, stream, numbers] => {
            let device = device.parse().map_err(|e| format!("{device}: {e}"))?;
            let epoch = number(epoch).map_err(|why| format!("the epoch {epoch}: {why}"))?;
            (Who::Device { device, epoch }, stream, numbers)
        }
        [who, stream, numbers] => (tracker(who)?, stream, numbers),
        _ => return Err(format!("{text}: {SHAPE}")),
    };
    let (first, last) = range(numbers).map_err(|why| format!("the number {numbers}: {why}"))?;
    Ok(Name {
        who,
        stream,
        first,
        last,
    })
}

/// `3`, `tracker 3`, `tracker-3`, `#3`, or `gateway`.
fn tracker(text: &str) -> Result<Who, Failure> {
    let lower = text.to_ascii_lowercase();
    if lower == "gateway" {
        return Ok(Who::Gateway);
    }
    let digits = lower.strip_prefix("tracker").unwrap_or(&lower).trim();
    let digits = digits.strip_prefix(['-', '#']).unwrap_or(digits);
    let number = number(digits).map_err(|why| format!("the tracker {text}: {why}"))?;
    match number {
        0 => Err("the tracker 0: trackers count from 1".to_owned()),
        number => Ok(Who::Tracker(number)),
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => {
            let only = number(text)?;
            (only, only)
        }
    };
    if first == 0 {
        return Err("records count from 1".to_owned());
    }
    if first > last {
        return Err(format!(
            "a range goes from the lower to the higher number: {last}-{first}"
        ));
    }
    Ok((first, last))
}

/// A number as it is printed: digits alone, none of them a leading zero.
fn number(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a number has digits alone".to_owned());
    }
    let value: u64 = text
        .parse()
        .map_err(|_| "it is larger than any number that is given".to_owned())?;
    match value.to_string() == text {
        true => Ok(value),
        false => Err(format!("write it without leading zeros: {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "00000000-0000-0000-0000-000000000007";

    #[track_caller]
    fn check(text: &str, expected: (Who, &str, u64, u64)) {
        let (who, stream, first, last) = expected;
        let name = Name {
            who,
            stream,
            first,
            last,
        };
        assert_eq!(parse(text), Ok(name));
    }

    #[test]
    fn names_are_read_as_they_are_printed_and_as_people_abbreviate_them() {
        let device = Who::Device {
            device: DEVICE.parse().unwrap(),
            epoch: 9,
        };
        check(&format!("{DEVICE}:9:a.B:5"), (device, "a.B", 5, 5));
        check(&format!("{DEVICE}:9:a.B:5-8"), (device, "a.B", 5, 8));
        check("1:Beat:4", (Who::Tracker(1), "Beat", 4, 4));
        check(
            " tracker 12 : Beat : 4-4 ",
            (Who::Tracker(12), "Beat", 4, 4),
        );
        check("Tracker-2:Beat:1", (Who::Tracker(2), "Beat", 1, 1));
        check(
            "gateway:FeedbackGiven:1",
            (Who::Gateway, "FeedbackGiven", 1, 1),
        );
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "the name of the record is empty"),
            (" ", "the name of the record is empty"),
            (":::", "a part of the name is empty"),
            ("1:Beat:", "a part of the name is empty"),
            ("5", "a name is DEVICE:EPOCH:STREAM:NUMBER"),
            ("a:b:c:d:e", "a name is DEVICE:EPOCH:STREAM:NUMBER"),
            ("1:Beat:0", "records count from 1"),
            ("1:Beat:0-0", "records count from 1"),
            ("1:Beat:0-3", "records count from 1"),
            ("1:Beat:5-3", "from the lower to the higher number: 3-5"),
            ("1:Beat:05", "write it without leading zeros: 5"),
            ("1:Beat:+5", "a number has digits alone"),
            ("1:Beat:-5", "a number has digits alone"),
            ("1:Beat:5-", "a number has digits alone"),
            ("1:Beat:1-2-3", "a number has digits alone"),
            ("1:Beat:99999999999999999999", "larger than any number"),
            ("0:Beat:1", "trackers count from 1"),
            ("trackers:Beat:1", "a number has digits alone"),
            ("x:9:a.B:1", "x: "),
            (
                "00000000-0000-0000-0000-000000000007:09:a.B:1",
                "the epoch 09: ",
            ),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
