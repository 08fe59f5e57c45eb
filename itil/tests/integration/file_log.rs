//! The log on a file: power cuts, tampering, two processes.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use telemetry_core::{Appended, LogGroup, LogHead, LogStore};
use telemetry_itil::{FileLog, FileLogError, Input, Itil, Notice, Output, State, hash_chain};

use crate::rig::{assign, at, command, config, exception, resolve};

/// A log of groups with entries that a line format could trip over.
fn groups() -> Vec<LogGroup> {
    let contents: [&[&[u8]]; 4] = [
        &[b"{\"v\":1}"],
        &[b"", b"two\nlines\n"],
        &[],
        &[b"group 5 0 0 0 0", &[0, 255, 10, 32]],
    ];
    let mut head = None;
    contents
        .iter()
        .map(|entries| {
            let group = hash_chain::seal(head, 42, entries.iter().map(|e| e.to_vec()).collect());
            head = Some(LogHead::from(&group));
            group
        })
        .collect()
}

fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = File::open(path).unwrap();
    file.take(1 << 20).read_to_end(&mut bytes).unwrap();
    bytes
}

fn write(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

fn filled(path: &Path) {
    let mut log = FileLog::open(path).unwrap();
    for group in groups() {
        assert_eq!(log.append_now(&group).unwrap(), Appended::Won);
    }
}

#[test]
fn reads_what_was_written_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("itil.log");
    filled(&path);
    let mut log = FileLog::open(&path).unwrap();
    assert_eq!(log.torn_tail(), None);
    assert_eq!(log.read_now(1, 2).unwrap(), groups()[..2]);
    assert_eq!(log.read_now(3, 9).unwrap(), groups()[2..]);
    assert_eq!(log.read_now(2, 1).unwrap(), groups()[1..2]);
    assert_eq!(log.read_now(5, 9).unwrap(), []);
    assert_eq!(log.head_now(), groups().last().map(LogHead::from));
}

#[test]
fn appends_only_where_expected_and_settles_the_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::open(dir.path().join("itil.log")).unwrap();
    let all = groups();
    assert_eq!(
        log.append_now(&all[1]).unwrap(),
        Appended::Lost { head: None }
    );
    for group in &all {
        assert_eq!(log.append_now(group).unwrap(), Appended::Won);
    }
    // Asking again after a lost answer.
    assert_eq!(log.append_now(&all[1]).unwrap(), Appended::Won);
    assert_eq!(log.append_now(&all[3]).unwrap(), Appended::Won);
    // Another writer at the same place.
    let other = hash_chain::seal(Some(LogHead::from(&all[2])), 43, vec![b"mine".to_vec()]);
    let head = all.last().map(LogHead::from);
    assert_eq!(log.append_now(&other).unwrap(), Appended::Lost { head });
    let mut unsealed = hash_chain::seal(head, 42, vec![b"x".to_vec()]);
    unsealed.entries[0] = b"y".to_vec();
    assert_eq!(log.append_now(&unsealed).unwrap_err().code(), 5075);
}

#[test]
fn a_cut_at_any_byte_keeps_every_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("itil.log");
    filled(&path);
    let whole = bytes(&path);
    let all = groups();
    for cut in 0..=whole.len() {
        write(&path, &whole[..cut]);
        let mut log = FileLog::open(&path).unwrap();
        let kept = log.read_now(1, 9).unwrap();
        assert_eq!(kept, all[..kept.len()], "cut at {cut}");
        assert_eq!(kept.len() == all.len(), cut == whole.len());
        for group in &all[kept.len()..] {
            assert_eq!(log.append_now(group).unwrap(), Appended::Won);
        }
        drop(log);
        assert_eq!(bytes(&path), whole, "cut at {cut}");
    }
}

#[test]
fn any_changed_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("itil.log");
    filled(&path);
    let whole = bytes(&path);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        write(&path, &changed);
        match FileLog::open(&path) {
            Err(FileLogError::Corrupt { offset, .. }) => assert!(offset <= at as u64),
            Err(FileLogError::Format { .. }) => assert!(at < 21),
            // The line end of the last head: like a cut there, and reported as one.
            Ok(log) => {
                assert!(log.torn_tail().is_some(), "byte {at} went unnoticed");
                assert_eq!(
                    log.head_now().map(|h| h.seq),
                    Some(3),
                    "byte {at} cost more"
                );
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

/// A power cut keeps sectors from being written while the file has grown already. That happens to the
/// last append alone: zeros anywhere else are damage, and nothing is thrown away.
#[test]
fn an_append_of_which_sectors_are_missing_is_cut_off_and_no_other_group_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("itil.log");
    let (mut ends, mut log) = (vec![21], FileLog::open(&path).unwrap());
    for number in 0..3 {
        let entries = vec![vec![b'a' + number; 2_000], b"{}".to_vec()];
        let group = hash_chain::seal(log.head_now(), 42, entries);
        assert_eq!(log.append_now(&group).unwrap(), Appended::Won);
        ends.push(bytes(&path).len());
    }
    drop(log);
    let whole = bytes(&path);
    for sector in 0..whole.len().div_ceil(512) {
        for group in 0..3 {
            let (from, to) = (ends[group], ends[group + 1]);
            let lost = from.max(sector * 512)..to.min((sector + 1) * 512);
            if lost.is_empty() {
                continue;
            }
            let mut left = whole.clone();
            left[lost].fill(0);
            write(&path, &left);
            match (FileLog::open(&path), group) {
                (Ok(log), 2) => {
                    assert_eq!(log.head_now().unwrap().seq, 2, "sector {sector}");
                    assert_eq!(log.torn_tail().unwrap().offset, ends[2] as u64);
                }
                (Err(FileLogError::Corrupt { offset, .. }), 0 | 1) => {
                    assert_eq!(offset, from as u64, "sector {sector}");
                    assert_eq!(bytes(&path), left, "nothing is thrown away");
                }
                (other, _) => panic!("sector {sector} of group {group}: {other:?}"),
            }
        }
    }
}

#[test]
fn one_process_at_a_time_and_no_foreign_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("itil.log");
    let first = FileLog::open(&path).unwrap();
    assert!(matches!(
        FileLog::open(&path),
        Err(FileLogError::InUse { .. })
    ));
    drop(first);
    let foreign = b"telemetry-itil log 2\nwho knows\n";
    write(&path, foreign);
    assert!(matches!(
        FileLog::open(&path),
        Err(FileLogError::Format { .. })
    ));
    assert_eq!(bytes(&path), foreign);
}

/// Any store can be used through the trait, without a runtime where it answers at once.
#[test]
fn serves_as_a_log_store() {
    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut cx) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => panic!("a file answers at once"),
        }
    }
    fn fill<S: LogStore>(log: &mut S) -> Result<Option<LogHead>, S::Error> {
        for group in groups() {
            assert_eq!(now(log.append(&group))?, Appended::Won);
        }
        assert_eq!(now(log.read(1, 9))?, groups());
        now(log.head())
    }
    let dir = tempfile::tempdir().unwrap();
    let mut log = FileLog::open(dir.path().join("itil.log")).unwrap();
    assert_eq!(fill(&mut log).unwrap(), groups().last().map(LogHead::from));
}

/// The machine on a file, killed after every output: each life replays and goes on, every decision
/// is kept, and each notice comes out at least once.
#[test]
fn a_machine_killed_anywhere_goes_on() {
    let script = [
        exception(1, "a"),
        command(1, assign()),
        exception(3, "b"),
        command(1, resolve()),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("itil.log");
    let mut told = Vec::new();
    let mut given = 0;
    for life in 1u32..=40 {
        let mut log = FileLog::open(&path).unwrap();
        let groups = log.read_now(1, usize::MAX).unwrap();
        let mut itil = Itil::replay(config(), &groups).unwrap();
        itil.take_over(at(10), u128::from(life));
        // Every life may do a little more than the one before, then it is killed.
        for _ in 0..life / 4 + 1 {
            let Some(output) = itil.poll_output() else {
                let Some(input) = script.get(given) else {
                    break;
                };
                itil.handle_input(at(10), input.clone()).unwrap();
                continue;
            };
            match output {
                Output::Append(group) => {
                    let decides = !group.entries.iter().all(|e| {
                        let text = String::from_utf8_lossy(e);
                        text.contains("took-over") || text.contains("effect-ended")
                    });
                    assert_eq!(log.append_now(&group).unwrap(), Appended::Won);
                    given += usize::from(decides);
                    let seq = group.seq;
                    itil.handle_input(at(10), Input::LogWon { seq }).unwrap();
                }
                Output::Effect(effect) => {
                    told.push(effect.notice);
                    let outcome = telemetry_itil::EffectOutcome::Delivered;
                    let id = effect.id;
                    itil.handle_input(at(10), Input::EffectEnded { id, outcome })
                        .unwrap();
                }
            }
        }
    }
    assert_eq!(given, script.len());
    let mut log = FileLog::open(&path).unwrap();
    let itil = Itil::replay(config(), &log.read_now(1, usize::MAX).unwrap()).unwrap();
    let incident = itil.incidents().next().unwrap();
    assert_eq!((incident.state, incident.events), (State::Resolved, 2));
    assert_eq!(itil.outbox().count(), 0);
    told.dedup();
    let joined = Notice::Joined { ci: "b".into() };
    assert_eq!(told, [Notice::Opened, joined, Notice::Resolved]);
}

#[cfg(unix)]
#[test]
fn a_log_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("incidents.log");
    let _log = FileLog::open(&path).unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
