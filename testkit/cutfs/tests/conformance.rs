//! What each model promises of data and names, seen through real system calls. Needs root.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed test panics")]
#![expect(
    clippy::disallowed_methods,
    reason = "the files are the test's own and small"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cutfs::{Cut, CutFs, Fault, FaultKind, Model, Operation};
use tempfile::TempDir;

const MODELS: [Model; 2] = [Model::Posix, Model::Ext4];

struct Rig {
    disk: CutFs,
    // After the mount.
    _at: TempDir,
}

impl Rig {
    fn new(model: Model) -> Self {
        cutfs::own_mounts().unwrap();
        let at = tempfile::tempdir().unwrap();
        Self {
            disk: CutFs::mount(at.path(), model).unwrap(),
            _at: at,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    fn cut(&mut self, cut: Cut, seed: u64) {
        self.disk.cut_power(cut, seed);
        self.disk.restart().unwrap();
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.at(name)).ok()
    }

    /// Makes a file, durable with its name.
    fn keep(&self, name: &str, bytes: &[u8]) {
        fs::write(self.at(name), bytes).unwrap();
        sync(&self.at(name));
        sync(self.disk.path());
    }
}

fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

#[test]
fn data_survives_when_it_was_synced_and_else_not() {
    for model in MODELS {
        let mut rig = Rig::new(model);
        rig.keep("a", b"old");
        fs::write(rig.at("a"), b"newer").unwrap();
        assert_eq!(rig.read("a").unwrap(), b"newer");
        rig.cut(Cut::Dropped, 1);
        assert_eq!(rig.read("a").unwrap(), b"old");
        let file = OpenOptions::new().write(true).open(rig.at("a")).unwrap();
        file.write_all_at(b"new", 0).unwrap();
        file.sync_data().unwrap();
        file.set_len(1).unwrap();
        rig.cut(Cut::Dropped, 1);
        assert_eq!(rig.read("a").unwrap(), b"new");
    }
}

#[test]
fn a_new_name_needs_a_sync_of_its_directory_and_with_ext4_any_sync() {
    for (model, survives) in [(Model::Posix, false), (Model::Ext4, true)] {
        let mut rig = Rig::new(model);
        fs::write(rig.at("a"), b"beat").unwrap();
        sync(&rig.at("a"));
        rig.cut(Cut::Dropped, 1);
        let found = rig.read("a");
        assert_eq!(
            found.as_deref() == Some(b"beat"),
            survives,
            "{model:?} {found:?}"
        );
        // The directory alone keeps the name and not the bytes.
        fs::write(rig.at("b"), b"beat").unwrap();
        sync(rig.disk.path());
        rig.cut(Cut::Dropped, 1);
        assert_eq!(rig.read("b").unwrap(), b"");
    }
}

#[test]
fn a_directory_without_a_durable_name_takes_everything_in_it_along() {
    let mut rig = Rig::new(Model::Posix);
    fs::create_dir(rig.at("d")).unwrap();
    fs::write(rig.at("d/a"), b"beat").unwrap();
    sync(&rig.at("d/a"));
    sync(&rig.at("d"));
    rig.cut(Cut::Dropped, 1);
    assert!(!rig.at("d").exists());
}

#[test]
fn a_removed_name_comes_back_until_its_directory_is_synced() {
    let mut rig = Rig::new(Model::Posix);
    rig.keep("a", b"beat");
    fs::remove_file(rig.at("a")).unwrap();
    rig.cut(Cut::Dropped, 1);
    assert_eq!(rig.read("a").unwrap(), b"beat");
    fs::remove_file(rig.at("a")).unwrap();
    sync(rig.disk.path());
    rig.cut(Cut::Dropped, 1);
    assert_eq!(rig.read("a"), None);
}

#[test]
fn a_rename_is_whole_and_ext4_takes_the_data_along() {
    for (model, after) in [(Model::Posix, &b""[..]), (Model::Ext4, b"new")] {
        let mut rig = Rig::new(model);
        rig.keep("a", b"old");
        fs::write(rig.at("a.new"), b"new").unwrap();
        fs::rename(rig.at("a.new"), rig.at("a")).unwrap();
        rig.cut(Cut::Dropped, 1);
        assert_eq!(rig.read("a").unwrap(), b"old", "{model:?}");
        fs::write(rig.at("a.new"), b"new").unwrap();
        fs::rename(rig.at("a.new"), rig.at("a")).unwrap();
        sync(rig.disk.path());
        rig.cut(Cut::Dropped, 1);
        // Renamed without a sync of the file: the name is new, and only ext4 has the bytes.
        assert_eq!(rig.read("a").unwrap(), after, "{model:?}");
        assert!(!rig.at("a.new").exists());
    }
}

#[test]
fn sectors_survive_each_for_itself_and_the_same_seed_chooses_the_same() {
    let outcome = |seed| {
        let mut rig = Rig::new(Model::Posix);
        rig.keep("a", &[1; 8 * 512]);
        let file = OpenOptions::new().write(true).open(rig.at("a")).unwrap();
        file.write_all_at(&[2; 8 * 512], 0).unwrap();
        rig.cut(Cut::Sectors(512), seed);
        let bytes = rig.read("a").unwrap();
        let sectors = bytes.chunks(512).map(|sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]));
            sector[0]
        });
        sectors.collect::<Vec<_>>()
    };
    let outcomes: Vec<_> = (0..20).map(outcome).collect();
    assert!(
        outcomes
            .iter()
            .any(|found| found.contains(&1) && found.contains(&2))
    );
    assert_eq!(outcome(7), outcomes[7]);
}

#[test]
fn names_survive_in_the_order_of_the_journal() {
    for seed in 0..20 {
        let mut rig = Rig::new(Model::Ext4);
        for name in ["a", "b", "c"] {
            fs::write(rig.at(name), b"").unwrap();
        }
        rig.cut(Cut::Sectors(512), seed);
        let there = ["a", "b", "c"].map(|name| rig.at(name).exists());
        assert!(there.is_sorted_by(|a, b| a >= b), "{there:?}");
    }
}

#[test]
fn what_is_old_enough_was_written_back() {
    let (now, never) = (Duration::ZERO, Duration::from_secs(1 << 20));
    for (names, data, found) in [
        (now, now, Some(&b"beat"[..])),
        (now, never, Some(b"")),
        (never, now, None),
    ] {
        let mut rig = Rig::new(Model::Posix);
        fs::write(rig.at("a"), b"beat").unwrap();
        rig.cut(Cut::Aged { names, data }, 1);
        assert_eq!(rig.read("a").as_deref(), found);
    }
}

#[test]
fn kept_loses_nothing_and_a_sync_that_is_ignored_promises_nothing() {
    let mut rig = Rig::new(Model::Posix);
    fs::write(rig.at("a"), b"beat").unwrap();
    rig.cut(Cut::Kept, 1);
    assert_eq!(rig.read("a").unwrap(), b"beat");
    rig.disk.ignore_syncs(true);
    rig.keep("b", b"beat");
    rig.cut(Cut::Dropped, 1);
    assert_eq!(rig.read("b"), None);
}

#[test]
fn a_write_with_o_dsync_is_durable() {
    let mut rig = Rig::new(Model::Posix);
    rig.keep("a", b"");
    let mut options = OpenOptions::new();
    let file = options.write(true).custom_flags(libc::O_DSYNC);
    file.open(rig.at("a")).unwrap().write_all(b"beat").unwrap();
    rig.cut(Cut::Dropped, 1);
    assert_eq!(rig.read("a").unwrap(), b"beat");
}

#[test]
fn nothing_of_before_the_cut_reaches_the_disk_after_it() {
    let mut rig = Rig::new(Model::Ext4);
    rig.keep("a", b"old");
    let file = OpenOptions::new().write(true).open(rig.at("a")).unwrap();
    rig.disk.cut_power(Cut::Dropped, 1);
    assert_eq!(
        file.write_all_at(b"new", 0).unwrap_err().raw_os_error(),
        Some(libc::EIO)
    );
    assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(libc::EIO));
    rig.disk.restart().unwrap();
    assert_eq!(rig.read("a").unwrap(), b"old");
}

#[test]
fn each_moment_of_a_program_can_be_the_last() {
    for (after, found) in [(0, None), (1, Some(&b""[..])), (5, Some(b"beat"))] {
        let mut rig = Rig::new(Model::Ext4);
        // Made, written, cut to its length, synced, renamed, synced.
        rig.disk.cut_power_after(after, Cut::Kept, 1, || ());
        let _ = everything(&rig);
        assert!(rig.disk.wait_for_cut(1, Duration::ZERO), "{after}");
        rig.disk.restart().unwrap();
        let name = if after < 5 { "new" } else { "renamed" };
        let bytes = rig.read(name);
        let bytes = bytes.as_deref().map(|bytes| &bytes[..bytes.len().min(2)]);
        assert_eq!(
            bytes,
            found.map(|found| &found[..found.len().min(2)]),
            "{after}"
        );
    }
}

#[test]
fn what_processes_leave_is_seen_and_no_more_durable_than_before() {
    let mut rig = Rig::new(Model::Posix);
    rig.keep("a", b"old");
    fs::write(rig.at("a"), b"new").unwrap();
    rig.cut(Cut::Killed, 1);
    assert_eq!(rig.read("a").unwrap(), b"new");
    rig.cut(Cut::Dropped, 1);
    assert_eq!(rig.read("a").unwrap(), b"old");
}

/// Does every operation once; the first that fails ends it.
fn everything(rig: &Rig) -> io::Result<()> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    let file = options.open(rig.at("new"))?;
    file.write_all_at(b"beat", 0)?;
    file.set_len(2)?;
    file.sync_all()?;
    fs::rename(rig.at("new"), rig.at("renamed"))?;
    File::open(rig.disk.path())?.sync_all()?;
    fs::read(rig.at("renamed"))?;
    for entry in fs::read_dir(rig.disk.path())? {
        entry?;
    }
    fs::remove_file(rig.at("renamed"))
}

#[test]
fn every_operation_fails_on_demand_and_only_so_often() {
    for operation in Operation::ALL {
        for (kind, number) in [
            (FaultKind::Broken, libc::EIO),
            (FaultKind::Full, libc::ENOSPC),
        ] {
            let rig = Rig::new(Model::Posix);
            everything(&rig).unwrap();
            rig.disk.fail(Fault {
                operation,
                kind,
                after: 0,
                times: 1,
            });
            let failed = everything(&rig).unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(number), "{operation:?}");
            assert_eq!(rig.disk.stats().faults, 1);
            for name in ["new", "renamed"] {
                let _ = fs::remove_file(rig.at(name));
            }
            everything(&rig).unwrap();
        }
    }
}

#[test]
fn a_sync_that_failed_is_not_made_up_for_by_the_next() {
    let mut rig = Rig::new(Model::Posix);
    rig.keep("a", b"old");
    let file = OpenOptions::new().write(true).open(rig.at("a")).unwrap();
    file.write_all_at(b"new", 0).unwrap();
    rig.disk.fail(Fault {
        operation: Operation::Sync,
        kind: FaultKind::Broken,
        after: 0,
        times: 1,
    });
    file.sync_all().unwrap_err();
    file.sync_all().unwrap();
    assert_eq!(rig.read("a").unwrap(), b"new");
    drop(file);
    rig.cut(Cut::Dropped, 1);
    assert_eq!(rig.read("a").unwrap(), b"old");
}

#[test]
fn a_mount_that_is_impossible_says_where_and_why() {
    cutfs::own_mounts().unwrap();
    let failed = CutFs::mount("/nowhere/at/all", Model::Posix).unwrap_err();
    let said = failed.to_string();
    assert!(
        said.contains("/nowhere/at/all") && said.contains("root"),
        "{said}"
    );
}
