//! Runs a program, cuts the power, and compares what was promised with what is there.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cutfs::{Cut, CutFs, Model};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;
use crate::programs::Program;

/// Things that one start of a program may write: each start has numbers of its own.
pub(crate) const NUMBERS: u64 = 1_000_000;

/// Starts of a program on one disk, at most.
pub(crate) const STARTS_MAX: u64 = 8;

/// Cuts on one disk, the first of which may come before anything is promised.
const CUTS_OF_A_DISK: u64 = 4;

/// SplitMix64, so that a seed names an experiment for ever.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    const fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// What a cut leaves.
    const fn cut(&mut self) -> Cut {
        match self.below(8) {
            0..4 => Cut::Dropped,
            4 | 5 => Cut::Sectors(512),
            6 => Cut::Sectors(4096),
            _ => Cut::Aged {
                names: Duration::from_millis(2),
                data: Duration::from_millis(10),
            },
        }
    }
}

/// Things by their names, with the sums of their bytes.
type Things = BTreeMap<String, String>;

/// What became of a program.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cuts: u64,
    promised: u64,
    lost: u64,
    /// There, and with other bytes.
    wrong: u64,
    /// Cuts after which the program did not read what was there.
    refused: u64,
}

impl Tally {
    const fn is_clean(&self) -> bool {
        self.lost == 0 && self.wrong == 0 && self.refused == 0
    }
}

struct Rig {
    program: Program,
    disk: CutFs,
    promised: Things,
    starts: u64,
}

/// A process of a program, with those that it started; they end with the value.
struct Running(Child);

impl Running {
    fn group(&self) -> Pid {
        Pid::from_child(&self.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // They may have ended already.
        let _ = kill_process_group(self.group(), Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Rig {
    fn new(program: Program, at: &Path, model: Model) -> Result<Self> {
        Ok(Self {
            program,
            disk: CutFs::mount(at, model)?,
            promised: Things::new(),
            starts: 0,
        })
    }

    /// Starts half of the program, hears it to its end, and returns the error that it ended with.
    ///
    /// `started` gets the number of its process group.
    fn hear(
        &self,
        verb: &str,
        more: &[String],
        things: &mut Things,
        started: impl FnOnce(Pid),
    ) -> Result<Option<String>> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([verb, self.program.name])
            .arg(self.disk.path());
        command.args(more).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Running(command.process_group(0).spawn()?);
        started(running.group());
        let out = running.0.stdout.take().ok_or("no standard output")?;
        let mut error = None;
        for line in BufReader::new(out).lines() {
            let line = line?;
            match line.strip_prefix("error: ") {
                Some(said) => error = Some(said.to_owned()),
                // Of a line that was cut nothing counts.
                None => {
                    if let Some((thing, sum)) = line.rsplit_once(' ')
                        && sum.len() == 8
                    {
                        things.insert(thing.to_owned(), sum.to_owned());
                    }
                }
            }
        }
        let ended = running.0.wait()?;
        if !ended.success() && error.is_none() {
            error = Some(ended.to_string());
        }
        Ok(error)
    }

    /// Lets the program write until the power is cut instead of an operation.
    fn write_until(&mut self, operations: u64, cut: Cut, seed: u64) -> Result<()> {
        let cuts = self.disk.stats().cuts + 1;
        let first = (self.starts % STARTS_MAX) * NUMBERS + 1;
        self.starts += 1;
        let mut promised = std::mem::take(&mut self.promised);
        let error = self.hear("write", &[first.to_string()], &mut promised, |group| {
            // All processes end at that moment, so that nothing is promised without power.
            let end = move || {
                let _ = kill_process_group(group, Signal::KILL);
            };
            self.disk.cut_power_after(operations, cut, seed, end);
        })?;
        self.promised = promised;
        if !self.disk.wait_for_cut(cuts, Duration::ZERO) {
            let error = error.unwrap_or_default();
            return Err(format!("{} ended by itself: {error}", self.program.name).into());
        }
        Ok(self.disk.restart()?)
    }

    /// Reads what is there, and counts what was promised and is not.
    fn compare(&mut self, tally: &mut Tally) -> Result<Vec<String>> {
        let mut found = Things::new();
        let mut said = Vec::new();
        tally.cuts += 1;
        tally.promised += self.promised.len() as u64;
        if let Some(error) = self.hear("read", &[], &mut found, |_| ())? {
            // Where nothing was promised, there may be nothing to read.
            if !self.promised.is_empty() {
                tally.refused += 1;
                said.push(format!("refused: {error}"));
            }
        }
        for (thing, sum) in &self.promised {
            match found.get(thing) {
                Some(found) if found == sum => {}
                Some(_) => {
                    tally.wrong += 1;
                    said.push(format!("wrong: {thing}"));
                }
                None => {
                    tally.lost += 1;
                    said.push(format!("lost: {thing}"));
                }
            }
        }
        // What is lost is lost once; what was found is promised from now on.
        self.promised = found;
        Ok(said)
    }
}

/// The life of a disk, with so many cuts.
fn live(
    program: Program,
    at: &Path,
    model: Model,
    cuts: u64,
    random: &mut Random,
) -> Result<Tally> {
    let mut rig = Rig::new(program, at, model)?;
    let mut tally = Tally::default();
    for number in 0..cuts {
        let mut operations = random.below(program.operations);
        if random.below(3) == 0 {
            rig.write_until(operations, Cut::Killed, 0)?;
            // What the next start finds may not be durable yet: soon, while it has synced little.
            operations = random.below(program.operations) >> (random.below(2) * 5);
        }
        let (cut, seed) = (random.cut(), random.next());
        rig.write_until(operations, cut, seed)?;
        let said = rig.compare(&mut tally)?;
        for line in said.iter().take(3) {
            println!(
                "{}, {model:?}, cut {number} of its disk, {cut:?}, after {operations} operations: {line}",
                program.name
            );
        }
        if tally.refused > 0 {
            // The program cannot go on on this disk.
            break;
        }
    }
    Ok(tally)
}

/// The controls of an experiment: without a loss nothing is lost, and where syncs do nothing, the
/// experiment sees it.
fn control(program: Program, at: &Path) -> Result<()> {
    let (mut kept, mut ignored) = (Tally::default(), Tally::default());
    let mut rig = Rig::new(program, at, Model::Posix)?;
    for _ in 0..2 {
        rig.write_until(program.operations, Cut::Kept, 0)?;
        rig.compare(&mut kept)?;
    }
    drop(rig);
    if !kept.is_clean() || kept.promised == 0 {
        return Err(format!("{}: nothing was dropped, and {kept:?}", program.name).into());
    }
    let mut rig = Rig::new(program, at, Model::Ext4)?;
    rig.disk.ignore_syncs(true);
    rig.write_until(program.operations, Cut::Dropped, 0)?;
    rig.compare(&mut ignored)?;
    match ignored.is_clean() {
        true => Err(format!(
            "{}: no sync had an effect, and nothing was lost",
            program.name
        )
        .into()),
        false => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the table says how long it took")]
fn now() -> Instant {
    Instant::now()
}

/// Runs programs. What peers lose is a finding; what the family loses is a fault.
pub(crate) fn run(
    all: &[Program],
    findings_are_faults: bool,
    (cuts, seed): (u64, u64),
    only: &[String],
) -> Result<()> {
    cutfs::own_mounts()?;
    let start = now();
    let chosen = |program: &Program| only.is_empty() || only.iter().any(|n| n == program.name);
    let programs: Vec<Program> = all.iter().copied().filter(chosen).collect();
    let home = tempfile::tempdir()?;
    let at = home.path().join("disk");
    std::fs::create_dir(&at)?;
    let mut random = Random(seed);
    let mut tallies = BTreeMap::new();
    let mut left = cuts;
    for program in &programs {
        control(*program, &at)?;
    }
    while left > 0 && !programs.is_empty() {
        for (index, program) in programs.iter().enumerate() {
            for model in [Model::Posix, Model::Ext4] {
                let now = left.min(CUTS_OF_A_DISK);
                let tally = live(*program, &at, model, now, &mut random)?;
                left -= tally.cuts.min(left);
                let sum: &mut Tally = tallies.entry((index, model == Model::Ext4)).or_default();
                sum.cuts += tally.cuts;
                sum.promised += tally.promised;
                sum.lost += tally.lost;
                sum.wrong += tally.wrong;
                sum.refused += tally.refused;
            }
        }
    }
    println!("| program | model | cuts | promised | lost | wrong | does not open |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    for ((index, is_ext4), tally) in &tallies {
        let model = if *is_ext4 { "ext4" } else { "posix" };
        let Tally {
            cuts,
            promised,
            lost,
            wrong,
            refused,
        } = tally;
        println!(
            "| {} | {model} | {cuts} | {promised} | {lost} | {wrong} | {refused} |",
            programs[*index].name
        );
    }
    println!("{cuts} cuts with seed {seed} in {:.0?}", start.elapsed());
    match findings_are_faults && !tallies.values().all(Tally::is_clean) {
        true => Err("something that was promised is not there".into()),
        false => Ok(()),
    }
}
