//! `xpt pods`: frames that AirPods advertise.

use clap::Subcommand;
use serde_json::json;
use telemetry_airpods::proximity::{Activity, Frame, Lid, Parts, Pod, decode};

use crate::answer::{Answer, Failure, Table};

/// What to do with frames.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what a frame means.
    Decode {
        /// The frame in hex, as any tool shows it: 0719…, "07 19 …", 07:19:… or 0x07,0x19,…. It may begin
        /// at `07` or at Apple's company number, or be the whole advertisement.
        #[arg(required = true)]
        hex: Vec<String>,
    },
}

impl Command {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        let Self::Decode { hex } = self;
        let bytes = bytes(&hex.join(" "))?;
        let frame = decode(proximity(&bytes)).map_err(|e| e.to_string())?;
        Ok(table(&frame).fine())
    }
}

/// Bytes of hex digits with whatever stands between them.
fn bytes(text: &str) -> Result<Vec<u8>, Failure> {
    let hint = "a frame is an even number of hex digits, e.g. 0719… or 07 19 …";
    let text = text.to_ascii_lowercase().replace("0x", " ");
    let text = text.replace("\\x", " ");
    let mut out = Vec::new();
    let apart = |c: char| !c.is_alphanumeric();
    for part in text.split(apart).filter(|part| !part.is_empty()) {
        if part.len() % 2 == 1 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("{part}: {hint}"));
        }
        for pair in part.as_bytes().chunks_exact(2) {
            let digit = |b: u8| (b as char).to_digit(16).unwrap_or_default() as u8;
            out.push(digit(pair[0]) << 4 | digit(pair[1]));
        }
    }
    match out.is_empty() {
        true => Err(hint.to_owned()),
        false => Ok(out),
    }
}

/// The proximity frame inside what was pasted: Apple's company number, and the header of
/// manufacturer data before it, are left out.
fn proximity(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0x4c, 0x00, rest @ ..] | [0xff, 0x4c, 0x00, rest @ ..] => rest,
        // Advertisements are a row of parts: length, kind, bytes.
        _ => {
            let mut rest = bytes;
            while let [len, tail @ ..] = rest
                && let Some((part, next)) = tail.split_at_checked(usize::from(*len))
                && !part.is_empty()
            {
                if let [0xff, 0x4c, 0x00, frame @ ..] = part {
                    return frame;
                }
                rest = next;
            }
            bytes
        }
    }
}

fn table(frame: &Frame) -> Table {
    let mut table = Table::new(["what", "value"]);
    table.row([json!("model"), json!(frame.model.to_string())]);
    table.row([json!("worn"), json!(frame.is_worn())]);
    table.row([json!("activity"), json!(activity(frame.activity))]);
    match &frame.parts {
        Parts::Dual(dual) => {
            for (side, pod) in [("left", &dual.left), ("right", &dual.right)] {
                let Pod {
                    battery,
                    charging,
                    in_ear,
                } = pod;
                table.row([json!(format!("{side} battery %")), json!(battery)]);
                table.row([json!(format!("{side} charging")), json!(charging)]);
                table.row([json!(format!("{side} in ear")), json!(in_ear)]);
            }
            table.row([json!("case battery %"), json!(dual.case.battery)]);
            table.row([json!("case charging"), json!(dual.case.charging)]);
            table.row([json!("lid"), json!(lid(dual.lid))]);
        }
        Parts::Single(single) => {
            table.row([json!("battery %"), json!(single.battery)]);
            table.row([json!("charging"), json!(single.charging)]);
        }
    }
    table
}

/// What the owner does, for people.
fn activity(activity: Activity) -> String {
    match activity {
        Activity::Disconnected => "no device is connected".to_owned(),
        Activity::Idle => "connected and silent".to_owned(),
        Activity::Music => "music plays".to_owned(),
        Activity::Call => "in a call".to_owned(),
        Activity::Ringing => "it rings".to_owned(),
        Activity::HangingUp => "a call ends".to_owned(),
        Activity::Other(code) => format!("unknown, code {code}"),
    }
}

/// The lid of the case, for people.
const fn lid(lid: Lid) -> &'static str {
    match lid {
        Lid::NotInCase => "unknown: no pod is in the case",
        Lid::Unknown => "unknown: only the pod outside speaks",
        Lid::Open => "open",
        Lid::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_any_tool_shows_it() {
        let frame = [0x07, 0x19, 0xab];
        for text in [
            "0719ab",
            "07 19 AB",
            "07:19:ab",
            "07-19-ab",
            "0x07, 0x19, 0xAB",
            "0x0719ab",
            "<0719ab>",
            "{07, 19, ab}",
            r"\x07\x19\xab",
            "4C 00 07 19 ab",
            "ff4c000719ab",
            "02011a 06ff4c000719ab",
        ] {
            let bytes = bytes(text).unwrap();
            assert_eq!(proximity(&bytes), frame, "{text}");
        }
        for text in ["", "071", "0x7", "zz", "07 1"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
