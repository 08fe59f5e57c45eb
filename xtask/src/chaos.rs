//! Faults for as long as one likes, against a real broker or one that fails by script.

use crate::Failure;
use crate::run::{cargo, run};

/// What to do, and how long.
#[derive(Default, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Chaos {
    #[command(subcommand)]
    pub(crate) what: Option<What>,
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
    /// Random workloads of a spool of which every state is tried that a power cut can leave.
    #[arg(long, default_value_t = 0)]
    pub(crate) crashes: u64,
}

/// Faults of another kind.
#[derive(clap::Subcommand)]
pub(crate) enum What {
    /// Cut the power under every program of the family that writes files. Needs root and /dev/fuse.
    Power {
        /// How often, over all programs.
        #[arg(long, default_value_t = 10_000)]
        cuts: u64,
        /// Names the moments of the cuts, and what survives.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Under other programs that promise to keep something, and print what they lost.
        #[arg(long)]
        peers: bool,
    },
}

fn power(cuts: u64, seed: u64, peers: bool) -> Result<(), Failure> {
    let mut command = cargo(&["run", "--locked", "-p", "power", "--", "run"]);
    command.args(["--cuts", &cuts.to_string(), "--seed", &seed.to_string()]);
    if peers {
        command.arg("--peers");
    }
    run("cutting the power", &mut command)
}

pub(crate) fn chaos(chaos: &Chaos) -> Result<(), Failure> {
    if let Some(What::Power { cuts, seed, peers }) = chaos.what {
        return power(cuts, seed, peers);
    }
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
        (
            chaos.crashes,
            "integration",
            "crash_states",
            "XPT_CRASH_WORKLOADS",
        ),
    ];
    if parts.iter().all(|(count, ..)| *count == 0) {
        let what =
            "nothing to do: give --minutes, --kills, --cuts, --scripts or --crashes, or power";
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
