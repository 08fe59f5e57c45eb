//! Measurements that print a table.

use clap::ValueEnum;

use crate::run::{cargo, run};
use crate::{Failure, setup};

/// What to type.
pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask bench fleet       a minute; 400,000 records through every layer
  cargo xtask bench avro        some minutes; needs valgrind for its count of instructions
  cargo xtask bench transport   some minutes; installs and starts RabbitMQ

To compare two commits, run both in turn, several times, and compare the medians.";

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum What {
    /// Avro beside the field's other libraries: encoding, decoding, resolving, in one run.
    Avro,
    /// The main job: records per second and processor time per record, stage by stage.
    Fleet,
    /// The spool beside other stores, and RabbitMQ beside other clients, in one run.
    Transport,
}

pub(crate) fn bench(what: What) -> Result<(), Failure> {
    match what {
        What::Avro => run(
            "the bench beside other Avro libraries",
            &mut cargo(&[
                "run",
                "--release",
                "--locked",
                "--manifest-path",
                "telemetry-core/avro/benches/peers/Cargo.toml",
                "--target-dir",
                "target/peers",
                "--",
                "--instructions",
            ]),
        ),
        What::Fleet => run(
            "the bench of the main job",
            &mut cargo(&["run", "--release", "--locked", "-p", "fleet", "--", "bench"]),
        ),
        // A workspace of its own: its peers are built for it alone.
        What::Transport => setup::servers().and_then(|()| {
            run(
                "the bench of transport",
                &mut cargo(&[
                    "run",
                    "--release",
                    "--locked",
                    "--manifest-path",
                    "benches/transport/Cargo.toml",
                ]),
            )
        }),
    }
}
