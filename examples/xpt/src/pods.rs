//! `xpt pods`: frames that AirPods advertise.

use clap::Subcommand;
use serde_json::json;
use telemetry_airpods::proximity::{Frame, Parts, Pod, decode};

use crate::answer::{Answer, Failure, Table};

/// What to do with frames.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what a proximity frame means.
    Decode {
        /// The manufacturer data after Apple's company number, in hex: 0719….
        hex: String,
    },
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        let Self::Decode { hex } = self;
        let bytes = bytes(&hex).ok_or("a frame is an even number of hex digits, e.g. 0719…")?;
        let frame = decode(&bytes).map_err(|e| e.to_string())?;
        Ok(table(&frame).fine())
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let hex: String = hex.chars().filter(|c| !c.is_whitespace()).collect();
    if !hex.len().is_multiple_of(2) || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok())
        .collect()
}

fn table(frame: &Frame) -> Table {
    let mut table = Table::new(["what", "value"]);
    table.row([json!("model"), json!(format!("{:?}", frame.model))]);
    table.row([json!("worn"), json!(frame.is_worn())]);
    table.row([json!("activity"), json!(format!("{:?}", frame.activity))]);
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
            table.row([json!("lid"), json!(format!("{:?}", dual.lid))]);
        }
        Parts::Single(single) => {
            table.row([json!("battery %"), json!(single.battery)]);
            table.row([json!("charging"), json!(single.charging)]);
        }
    }
    table
}
