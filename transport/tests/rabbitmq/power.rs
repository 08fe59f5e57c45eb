//! Rows 15 and 17: the disk fills up, and the power is cut, on real file systems.
//!
//! A disk image on a file system with reflinks is copied in one step while a process writes to the
//! file system in it: the copy holds what the device was given, and nothing of the page cache.
//! Needs root, loop devices, XFS. `cargo xtask chaos --cuts N` cuts as often as one likes.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use telemetry_core::{Fingerprint, StreamName, single_object};
use telemetry_transport::AppendError;

use crate::rig::spool;

/// Set in a process that has mounts of its own.
const INSIDE: &str = "TELEMETRY_TRANSPORT_OWN_MOUNTS";

/// Cuts in all; default 5.
const CUTS: &str = "XPT_CUTS";

/// Runs a test in a process whose mounts end with it; `true` in that process.
fn with_own_mounts(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    testkit::setup::host_packages(&["xfsprogs"]).unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success());
    false
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

struct Rig {
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rig = Self { dir };
        for name in ["outer", "inner", "after"] {
            std::fs::create_dir(rig.at(name)).unwrap();
        }
        let (outer, inner) = (rig.at("outer.img"), rig.at("outer/inner.img"));
        run("truncate", &["-s", "1500M", text(&outer)]);
        run("mkfs.xfs", &["-q", "-m", "reflink=1", text(&outer)]);
        run(
            "mount",
            &["-o", "loop", text(&outer), text(&rig.at("outer"))],
        );
        run("truncate", &["-s", "300M", text(&inner)]);
        run("mkfs.ext4", &["-q", text(&inner)]);
        run(
            "mount",
            &["-o", "loop", text(&inner), text(&rig.at("inner"))],
        );
        rig
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What is on the disk after a cut of the power at this moment.
    fn cut<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        let (inner, copy) = (self.at("outer/inner.img"), self.at("outer/copy.img"));
        run("cp", &["--reflink=always", text(&inner), text(&copy)]);
        let after = self.at("after");
        run("mount", &["-o", "loop", text(&copy), text(&after)]);
        let found = look(&after);
        run("umount", &[text(&after)]);
        std::fs::remove_file(copy).unwrap();
        found
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for name in ["inner", "outer"] {
            // Lazily: the test may have failed with files open.
            let at = self.at(name);
            let _ = Command::new("umount").args(["-l", text(&at)]).status();
        }
    }
}

/// Appends numbers from 1 until told to end; `durable` is the last one with a receipt.
fn write(dir: &Path, durable: &AtomicU64, end: &AtomicBool) {
    let mut spool = spool(dir, 7, 1);
    let stream = spool
        .stream(&StreamName::new("test.Sample").unwrap())
        .unwrap();
    let mut number = 0_u64;
    while !end.load(Ordering::SeqCst) {
        for _ in 0..3 {
            number += 1;
            let mut record = single_object::header(Fingerprint(1)).to_vec();
            record.extend(number.to_le_bytes());
            record.resize(300, 7);
            spool.append(stream, &record, None).unwrap();
        }
        spool.commit().unwrap();
        durable.store(number, Ordering::SeqCst);
    }
}

/// Largest number in a spool; all below are there, too.
fn recover(dir: &Path) -> u64 {
    let mut spool = spool(dir, 7, 2);
    let mut last = 0;
    while let Some(batch) = spool.next_batch(64 << 10, 1_000).unwrap() {
        for datum in batch.datums() {
            let number = u64::from_le_bytes(datum[..8].try_into().unwrap());
            assert_eq!(number, last + 1, "a gap");
            last = number;
        }
    }
    last
}

#[test]
fn a_power_cut_loses_nothing_durable() {
    if !with_own_mounts("power::a_power_cut_loses_nothing_durable") {
        return;
    }
    let cuts: u32 = env::var(CUTS).map_or(5, |cuts| cuts.parse().unwrap());
    let rig = Rig::new();
    let (mut promised, mut found) = (0, 0);
    for cut in 0..cuts {
        let dir = rig.at("inner").join(format!("spool-{cut}"));
        std::fs::create_dir(&dir).unwrap();
        // The directory is the installation's; its entry is on the disk before anything else.
        std::fs::File::open(rig.at("inner"))
            .unwrap()
            .sync_all()
            .unwrap();
        let (durable, end) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| write(&dir, &durable, &end));
            // Each cut a little later in the life of the spool.
            let until = 30 + u64::from(cut % 50) * 40;
            while durable.load(Ordering::SeqCst) < until && !writer.is_finished() {
                std::thread::yield_now();
            }
            let before = durable.load(Ordering::SeqCst);
            let after = rig.cut(|root| recover(&root.join(format!("spool-{cut}"))));
            end.store(true, Ordering::SeqCst);
            assert!(after >= before, "{before} were durable, {after} are there");
            promised += before;
            found += after;
        });
        std::fs::remove_dir_all(&dir).unwrap();
    }
    println!("17 {cuts} power cuts: {promised} durable, {found} recovered, 0 lost");
}

#[test]
fn a_full_disk_takes_nothing_and_goes_on() {
    if !with_own_mounts("power::a_full_disk_takes_nothing_and_goes_on") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    run(
        "mount",
        &["-t", "tmpfs", "-o", "size=3500k", "tmpfs", text(dir.path())],
    );
    let at = dir.path().join("spool");
    let mut spool = spool(&at, 7, 1);
    let stream = spool
        .stream(&StreamName::new("test.Sample").unwrap())
        .unwrap();
    let mut record = single_object::header(Fingerprint(1)).to_vec();
    record.resize(10_000, 7);
    let mut taken = 0;
    let error = loop {
        match spool.append(stream, &record, None) {
            Ok(_) => {
                spool.commit().unwrap();
                taken += 1;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Io(_)), "{error}");
    assert!(taken > 100, "{taken}");
    let mut seen = 0;
    while let Some(batch) = spool.next_batch(64 << 10, 1_000).unwrap() {
        seen += batch.count();
        spool.confirm(&batch).unwrap();
    }
    assert_eq!(seen, taken);
    // There is space again.
    spool.append(stream, &record, None).unwrap();
    spool.commit().unwrap();
    println!("15 disk full: {taken} durable, 0 lost, goes on");
    drop(spool);
    run("umount", &[text(dir.path())]);
}
