//! Who may read what is kept, and what is never shown.

use std::fs;

use telemetry_transport::amqp::{
    AmqpConfig, DeadLetters, Publisher, SubscribeConfig, Subscription,
};
use telemetry_transport::{Directory, FileId, Storage as _};

/// Every public type that holds a URL, or something made of one.
#[test]
fn no_password_and_no_address_is_in_a_debug_text() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(look());
}

async fn look() {
    let urls = ["amqp://wearer-7:hunter2@127.0.0.1:1/gym"];
    let config = AmqpConfig {
        routing_key: Some("xpt.raw.wearer-7".to_owned()),
        ..AmqpConfig::new(urls)
    };
    let publisher = Publisher::start(config.clone()).unwrap();
    let subscription = Subscription::start(config.clone(), SubscribeConfig::default()).unwrap();
    let letters = DeadLetters::new(config.clone()).unwrap();
    let refusal = AmqpConfig::new(["amqp://wearer-7:hunter2@example.org"]);
    let refusal = DeadLetters::new(refusal).unwrap_err();
    // No link comes up. An error may name the host, to whoever asked for it.
    let offline = format!("{:?}", letters.read(1).await);
    assert!(!offline.contains("hunter2"), "{offline}");
    for text in [
        format!("{config:?} {config:#?} {:?}", config.endpoint),
        format!("{publisher:?} {publisher:#?}"),
        format!("{subscription:?}"),
        format!("{letters:?}"),
        format!("{refusal} {refusal:?}"),
    ] {
        for secret in ["hunter2", "wearer-7", "127.0.0.1", "example.org", "gym"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_journal_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("device/spool");
    let mut directory = Directory::open(&path).unwrap();
    directory.create(FileId::segment(1), 4096).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("device")), 0o700);
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.file_name());
    }
}
