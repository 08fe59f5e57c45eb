//! Faults for as long as one likes, against a real broker or one that fails by script.

use crate::Failure;
use crate::run::{cargo, run};

/// What to do, and how long.
#[derive(Default, clap::Args)]
pub(crate) struct Chaos {
    /// Minutes of a random mix of faults.
    #[arg(long, default_value_t = 0)]
    pub(crate) minutes: u64,
    /// Names the mix: the same faults in the same order, with the same lengths.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Processes to kill at named points.
    #[arg(long, default_value_t = 0)]
    pub(crate) kills: u64,
    /// Power cuts on a copied disk.
    #[arg(long, default_value_t = 0)]
    pub(crate) cuts: u64,
    /// Scripts for a broker that is a mock, from the seed on.
    #[arg(long, default_value_t = 0)]
    pub(crate) scripts: u64,
}

pub(crate) fn chaos(chaos: &Chaos) -> Result<(), Failure> {
    let (seconds, seed) = (chaos.minutes * 60, chaos.seed);
    let parts = [
        (seconds, "rabbitmq", "chaos::", "XPT_CHAOS_SECONDS"),
        (chaos.kills, "rabbitmq", "kills::", "XPT_KILLS"),
        (chaos.cuts, "rabbitmq", "power::a_power_cut", "XPT_CUTS"),
        (
            chaos.scripts,
            "integration",
            "scripted::the_adapter",
            "XPT_SCRIPTED_SEEDS",
        ),
    ];
    if parts.iter().all(|(count, ..)| *count == 0) {
        let what = "nothing to do: give --minutes, --kills, --cuts or --scripts";
        return Err(Failure::Said(what.to_owned()));
    }
    for (count, binary, test, variable) in parts.into_iter().filter(|(count, ..)| *count > 0) {
        let mut command = cargo(&["test", "--locked", "-p", "telemetry-transport"]);
        command.args(["--all-features", "--test", binary, "--", "--nocapture"]);
        command.arg(test).env(variable, count.to_string());
        run(test, command.env("XPT_CHAOS_SEED", seed.to_string()))?;
    }
    Ok(())
}
