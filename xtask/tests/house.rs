//! Rules of the house that only a crate that sees every layer can check.

#![allow(clippy::unwrap_used, reason = "a failed check of a test panics")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use {
    telemetry_airpods as airpods, telemetry_core as core, telemetry_itil as itil,
    telemetry_storage as storage, telemetry_transport as transport, xp_wayland_shim as shim,
};

/// A layer, the folders of its code, its range of numbers, and the numbers of each of its errors.
struct Layer {
    name: &'static str,
    sources: &'static [&'static str],
    range: Range<u16>,
    errors: &'static [&'static [(&'static str, u16)]],
}

/// Every error that has numbers: one line each.
const LAYERS: &[Layer] = &[
    Layer {
        name: "core",
        sources: &["telemetry-core/src", "telemetry-core/avro/src"],
        range: 1000..2000,
        errors: &[
            core::IdError::CODES,
            core::wire::WireError::CODES,
            core::single_object::HeaderError::CODES,
            core::prefix::PrefixError::CODES,
            core::FingerprintError::CODES,
            core::SchemaError::CODES,
            core::PlanError::CODES,
            core::Incompatible::CODES,
            core::DecodeError::CODES,
            core::MessageError::CODES,
            core::BatchError::CODES,
            core::EnvelopeError::CODES,
            core::CompatibilityError::CODES,
            core::RegistryFull::CODES,
            core::FileRegistryError::CODES,
            core::ocf::OcfError::CODES,
            core::ConfluentError::CODES,
            core::ValueError::CODES,
            core::arrow::ArrowError::CODES,
            core::codegen::CodegenError::CODES,
        ],
    },
    Layer {
        name: "shim",
        sources: &["xp-wayland-shim/src"],
        range: 2000..3000,
        errors: &[
            shim::InputError::CODES,
            shim::ClientError::CODES,
            shim::PoolError::CODES,
            shim::DisplayError::CODES,
            shim::ComposeError::CODES,
            shim::unix::HostError::CODES,
        ],
    },
    Layer {
        name: "transport",
        sources: &["transport/src"],
        range: 3000..4000,
        errors: &[
            transport::journal::FrameError::CODES,
            transport::StorageError::CODES,
            transport::OpenError::CODES,
            transport::AppendError::CODES,
            transport::CommitError::CODES,
            transport::ConfirmError::CODES,
            transport::ConsumeError::CODES,
            transport::SenderError::CODES,
            transport::SendError::CODES,
            transport::amqp::ConfigError::CODES,
            transport::amqp::OfferError::CODES,
            transport::amqp::ReceiveError::CODES,
            transport::amqp::DeadLetterError::CODES,
            transport::amqp::DeclareError::CODES,
            transport::ProducerError::CODES,
            transport::shared::SharedError::CODES,
            transport::shared::PublishError::CODES,
        ],
    },
    Layer {
        name: "storage",
        sources: &["storage/src"],
        range: 4000..5000,
        errors: &[
            storage::Refusal::CODES,
            storage::StoreError::CODES,
            storage::ReadError::CODES,
            storage::OpenError::CODES,
            storage::evolve::RowError::CODES,
        ],
    },
    Layer {
        name: "itil",
        sources: &["itil/src"],
        range: 5000..6000,
        errors: &[
            itil::MatrixError::CODES,
            itil::ConfigError::CODES,
            itil::ChainError::CODES,
            itil::InputError::CODES,
            itil::ReplayError::CODES,
            itil::FileLogError::CODES,
        ],
    },
    Layer {
        name: "airpods",
        sources: &["airpods/src"],
        range: 6000..7000,
        errors: &[
            airpods::proximity::DecodeError::CODES,
            airpods::InputError::CODES,
        ],
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> io::Result<String> {
    io::read_to_string(File::open(path)?.take(1 << 20))
}

/// `bindings/vectors/errors.json` is what the code says; `BLESS=1` writes it anew.
#[test]
fn the_generated_error_numbers_are_those_of_the_code() {
    let mut numbers = BTreeMap::new();
    for layer in LAYERS {
        for &(name, number) in layer.errors.iter().copied().flatten() {
            let Layer {
                name: layer, range, ..
            } = layer;
            assert!(
                range.contains(&number),
                "{name} of {layer} has {number}, outside {range:?}"
            );
            if let Some((other, of)) = numbers.insert(number, (name, layer)) {
                panic!("{number} is {other} of {of} and {name} of {layer}");
            }
        }
    }
    let mut text = String::from("[\n");
    for (i, (number, (name, layer))) in numbers.iter().enumerate() {
        let comma = if i + 1 < numbers.len() { "," } else { "" };
        writeln!(
            text,
            r#"  {{ "number": {number}, "layer": "{layer}", "name": "{name}" }}{comma}"#
        )
        .unwrap();
    }
    text.push_str("]\n");

    let path = root().join("bindings/vectors/errors.json");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = read(&path).unwrap_or_default();
    assert!(
        committed == text,
        "bindings/vectors/errors.json is not what the code says: `cargo xtask gen`, then look at \
         the difference: a number that was released keeps its meaning for ever"
    );
}

/// No error with numbers is left out of [`LAYERS`].
#[test]
fn every_numbered_error_is_listed() {
    for layer in LAYERS {
        let mut found = Vec::new();
        for source in layer.sources {
            gather(&root().join(source), &mut found);
        }
        let mut listed: Vec<_> = layer
            .errors
            .iter()
            .filter_map(|codes| codes.first()?.0.split("::").next())
            .map(str::to_owned)
            .collect();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(
            found, listed,
            "errors of {}, in the code and listed here",
            layer.name
        );
    }
}

/// Names of the errors that get numbers in the files of a folder.
fn gather(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = read(&path).unwrap();
            let calls = text.lines().filter_map(|line| {
                let path = ["crate::", "telemetry_core::"];
                let line = path.iter().find_map(|p| line.strip_prefix(p))?;
                line.strip_prefix("error_codes!(")?.split(' ').next()
            });
            names.extend(calls.map(str::to_owned));
        }
    }
}

/// The papers at the root name files that are there.
#[test]
fn papers_name_files_that_exist() {
    let mut missing = Vec::new();
    for paper in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ] {
        let text = read(&root().join(paper)).unwrap();
        let code = text.split('`').skip(1).step_by(2);
        let paths = code.filter(|code| {
            let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let first = code.split_once('/').map(|(first, _)| first);
            code.chars().all(is_path) && first.is_some_and(|first| root().join(first).is_dir())
        });
        missing.extend(
            paths
                .filter(|path| !root().join(path).exists())
                .map(|path| format!("{paper}: {path}")),
        );
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
