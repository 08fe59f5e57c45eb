//! What a broker refuses: batches without a queue, full queues, batches that nobody can take,
//! consumers that take too long, other queues, wrong passwords and certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use telemetry_core::{
    Batch, ClockMark, DeviceId, Envelope, Epoch, Fingerprint, Seq, StreamName, Timestamp,
    single_object,
};
use telemetry_transport::amqp::{
    DeadLetters, Endpoint, LinkFailure, LinkState, OfferError, Publisher, SubscribeConfig,
    Subscription,
};
use telemetry_transport::shared::{SharedError, SharedLimits};
use telemetry_transport::{AppendError, BatchId, BatchLimits, SendError, SpooledBatch};
use testkit::rabbitmq::{Cluster, Options};
use testkit::tls::Certificates;
use tokio::sync::watch;

use crate::rig::{Counter, Device, config, runtime, spool, within};

const BATCH: usize = 2_000;

async fn channel(cluster: &Cluster) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&cluster.url(1), properties)
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

#[test]
fn refusals() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::start(Options {
        config: vec!["consumer_timeout = 1000".to_owned()],
        ..Options::default()
    })
    .unwrap();
    // How often a channel looks for consumers that take too long.
    let often = "application:set_env(rabbit, channel_tick_interval, 500).";
    cluster.eval(1, often).unwrap();
    runtime.block_on(async {
        unroutable(&cluster).await;
        queue_full(&cluster).await;
        poison(&cluster).await;
        dead_letters_full(&cluster).await;
        consumer_timeout(&cluster).await;
        configuration(&cluster).await;
    });
}

/// Row 24: the queue is deleted; it is declared again, and nothing is lost.
async fn unroutable(cluster: &Cluster) {
    let mut config = config(&[cluster.url(1)], "unroutable");
    config.topology.queues = 1;
    let mut device = Device::start(config.clone(), 7);
    device
        .wait_link("a link", |state| *state == LinkState::Up)
        .await;
    let (_connection, channel) = channel(cluster).await;
    let delete = QueueDeleteOptions::default();
    let queue = config.topology.queue(0);
    channel
        .queue_delete(queue.as_str().into(), delete)
        .await
        .unwrap();
    device.append(300, 200);
    device.drain(BATCH).await;
    Counter::start(config).expect(&[&device]).await;
    println!("24 unroutable: {} durable, 0 lost", device.durable.len());
}

/// Row 25: the queue is full until somebody takes something.
async fn queue_full(cluster: &Cluster) {
    let mut config = config(&[cluster.url(1)], "full");
    config.topology.queues = 1;
    config.topology.queue_bytes = 20_000;
    let mut device = Device::start(config.clone(), 7);
    device.append(500, 200);
    device.publish(BATCH).await;
    // What fits is confirmed, the rest is not.
    let mut confirmed = device.publisher.confirmed();
    within("a first confirmation", confirmed.wait_for(Option::is_some))
        .await
        .unwrap();
    let mut counter = Counter::start(config);
    device.drain(BATCH).await;
    counter.expect(&[&device]).await;
    println!("25 queue full: {} durable, 0 lost", device.durable.len());
}

/// Row 23: a batch that fails again and again goes to the dead letters; the others flow on. A
/// message that is no batch goes there at once.
async fn poison(cluster: &Cluster) {
    let mut config = config(&[cluster.url(1)], "poison");
    config.topology.queues = 1;
    config.topology.deliveries = 3;
    let mut device = Device::start(config.clone(), 7);
    device.append(5, 200);
    device.drain(1).await;
    let (_connection, channel) = channel(cluster).await;
    let strange = channel.basic_publish(
        "".into(),
        config.topology.queue(0).as_str().into(),
        Default::default(),
        b"strange",
        Default::default(),
    );
    strange.await.unwrap().await.unwrap();
    let mut subscription = Subscription::start(config.clone(), SubscribeConfig::default()).unwrap();
    let (mut failures, mut taken) = (0, 0);
    // The third batch fails 4 times.
    while failures < 4 || taken < 4 {
        let delivery = within("a delivery", subscription.next()).await.unwrap();
        if delivery.batch.envelope.first_seq.get() == 3 {
            assert_eq!(delivery.failures, failures);
            failures += 1;
            subscription.retry(&delivery, Duration::ZERO).await.unwrap();
        } else {
            taken += 1;
            subscription.ack(&delivery).await.unwrap();
        }
    }
    let dead = DeadLetters::new(config.clone()).unwrap();
    let letters = within("dead letters", async {
        loop {
            let letters = dead.read(10).await.unwrap();
            if letters.len() == 2 {
                return letters;
            }
        }
    })
    .await;
    let mut reasons: Vec<_> = letters
        .iter()
        .map(|letter| letter.reason.as_str())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons[0], "delivery_limit");
    assert!(reasons[1].starts_with("no envelope: "), "{}", reasons[1]);
    let poisoned = letters.iter().find_map(|letter| letter.batch.as_ref().ok());
    assert_eq!(poisoned.unwrap().envelope.first_seq.get(), 3);
    println!("23 poison: put aside after 4 deliveries, 4 others flowed on");
}

/// The queue of dead letters is full: what is rejected holds its place, and the alarm says why.
async fn dead_letters_full(cluster: &Cluster) {
    let mut config = config(&[cluster.url(1)], "letters");
    config.topology.queues = 1;
    config.topology.dead_letter_bytes = 1_000;
    let mut device = Device::start(config.clone(), 7);
    device.append(500, 500);
    device.drain(1).await;
    let mut subscription = Subscription::start(config.clone(), SubscribeConfig::default()).unwrap();
    let mut link = subscription.link();
    let rejecting = async {
        loop {
            let delivery = subscription.next().await.unwrap();
            subscription.reject(&delivery, "test").await.unwrap();
        }
    };
    let reason = tokio::select! {
        () = rejecting => unreachable!(),
        reason = alarm(&mut link) => reason,
    };
    assert_eq!(reason.error, SendError::DeadLettersFull);
    let dead = DeadLetters::new(config).unwrap();
    let kept = dead.read(500).await.unwrap().len();
    // A quorum queue takes what was on the way when it became full.
    assert!((1..500).contains(&kept), "{kept} of 500");
    println!("dead letters full: {kept} kept, the others hold their places, an alarm");
}

/// Row 26: the broker closes the channel of a consumer that takes too long; it comes back.
async fn consumer_timeout(cluster: &Cluster) {
    let mut config = config(&[cluster.url(1)], "slow");
    config.topology.queues = 1;
    let mut device = Device::start(config.clone(), 7);
    device.append(1, 200);
    device.drain(BATCH).await;
    let mut subscription = Subscription::start(config, SubscribeConfig::default()).unwrap();
    let slow = within("a delivery", subscription.next()).await.unwrap();
    assert!(!slow.redelivered);
    // Not acknowledged in time: it comes again, on another link.
    let again = within("another delivery", subscription.next())
        .await
        .unwrap();
    assert_eq!(again.batch, slow.batch);
    assert!(again.redelivered);
    // An acknowledgement of the old delivery settles nothing.
    subscription.ack(&slow).await.unwrap();
    subscription.ack(&again).await.unwrap();
    println!("26 consumer timeout: delivered again");
}

/// What an alarm says, and the broker's own words.
async fn alarm(link: &mut watch::Receiver<LinkState>) -> LinkFailure {
    let alarm = link.wait_for(|state| matches!(state, LinkState::Alarm { .. }));
    let state = within("an alarm", alarm).await.unwrap().clone();
    match state {
        LinkState::Alarm { reason } => reason,
        _ => unreachable!(),
    }
}

/// Nobody calls anything: the link comes back by itself.
async fn up_again(link: &mut watch::Receiver<LinkState>) {
    let up = link.wait_for(|state| *state == LinkState::Up);
    within("a link that nobody helped", up).await.unwrap();
}

/// Row 27, and a queue of another kind: an alarm with the broker's words, and attempts go on until
/// the broker takes the device again.
async fn configuration(cluster: &Cluster) {
    let ctl = |args: &[&str]| cluster.ctl(1, args).map(drop).unwrap();
    let other = config(&[cluster.url(1)], "other");
    let publisher = Publisher::start(other.clone()).unwrap();
    let subscription = Subscription::start(other.clone(), SubscribeConfig::default()).unwrap();
    let mut links = [publisher.link(), subscription.link()];
    for link in &mut links {
        up_again(link).await;
    }
    let none = r#"{"max-connections": 0}"#;
    let refusals: [(SendError, &str, &[&str], &[&str]); 4] = [
        (
            SendError::Credentials,
            "Login was refused",
            &["change_password", "guest", "other"],
            &["change_password", "guest", "guest"],
        ),
        (
            SendError::ConnectionLimit,
            "limit",
            &["set_vhost_limits", none],
            &["clear_vhost_limits"],
        ),
        (
            SendError::ConnectionLimit,
            "limit",
            &["set_user_limits", "guest", none],
            &["clear_user_limits", "guest", "max-connections"],
        ),
        (
            SendError::NotAllowed,
            "refused for user 'guest'",
            &["clear_permissions", "guest"],
            &["set_permissions", "guest", ".*", ".*", ".*"],
        ),
    ];
    for (error, says, refuse, allow) in refusals {
        ctl(refuse);
        ctl(&["close_all_connections", "test"]);
        for link in &mut links {
            let reason = alarm(link).await;
            assert_eq!(reason.error, error, "{}", reason.text);
            assert!(reason.text.contains(says), "{}", reason.text);
        }
        ctl(allow);
        for link in &mut links {
            up_again(link).await;
        }
    }

    let (_connection, channel) = channel(cluster).await;
    let mut classic = FieldTable::default();
    classic.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("classic".into()),
    );
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let another = config(&[cluster.url(1)], "another");
    let queue = another.topology.queue(0);
    let declared = channel.queue_declare(queue.as_str().into(), durable, classic);
    declared.await.unwrap();
    let publisher = Publisher::start(another).unwrap();
    let mut link = publisher.link();
    let reason = alarm(&mut link).await;
    assert_eq!(reason.error, SendError::TopologyMismatch);
    assert!(reason.text.contains("inequivalent arg"), "{}", reason.text);
    let delete = QueueDeleteOptions::default();
    channel
        .queue_delete(queue.as_str().into(), delete)
        .await
        .unwrap();
    up_again(&mut link).await;
    let mut fewer = config(&[cluster.url(1)], "another");
    fewer.topology.queues = 1;
    let subscription = Subscription::start(fewer, SubscribeConfig::default()).unwrap();
    let reason = alarm(&mut subscription.link()).await;
    assert_eq!(reason.error, SendError::TopologyMismatch);
    assert!(
        reason.text.contains("another.raw.queues.1"),
        "{}",
        reason.text
    );
    println!("27 password, limits, permissions, other queues: an alarm until it is corrected");
}

/// Not alarms: such links come back by themselves, and each failure has its own name.
#[test]
fn a_broker_that_is_not_there_says_why() {
    let runtime = runtime();
    runtime.block_on(async {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        for (url, error) in [
            (format!("amqp://{address}"), SendError::ConnectionRefused),
            ("amqp://broker.invalid".to_owned(), SendError::HostUnknown),
        ] {
            let mut config = config(&[url], "nowhere");
            config.allow_plain = true;
            let publisher = Publisher::start(config).unwrap();
            let mut link = publisher.link();
            let down = |state: &LinkState| matches!(state, LinkState::Down { reason: Some(_) });
            let state = within("a failure", link.wait_for(down))
                .await
                .unwrap()
                .clone();
            let LinkState::Down {
                reason: Some(reason),
            } = state
            else {
                unreachable!()
            };
            assert_eq!(reason.error, error, "{}", reason.text);
        }
    });
}

/// A device's user may publish under its own routing key and no other, and declare nothing. What it
/// forges is refused by the broker, with an alarm; what it says of itself arrives.
#[test]
fn a_forged_routing_key_is_refused() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::single().unwrap();
    let ctl = |args: &[&str]| cluster.ctl(1, args).map(drop).unwrap();
    runtime.block_on(async {
        let config = config(&[cluster.url(1)], "enrolled");
        let mut counter = Counter::start(config.clone());
        let operator = Publisher::start(config.clone()).unwrap();
        up_again(&mut operator.link()).await;
        ctl(&["add_user", "d7", "secret"]);
        ctl(&["set_permissions", "d7", "^$", "^enrolled\\.raw$", "^$"]);
        let own = r"^xpt\.(raw|status)\.d7$";
        ctl(&["set_topic_permissions", "d7", "enrolled.raw", own, "^$"]);
        let mut device = config;
        let url = cluster.url(1).replace("guest:guest", "d7:secret");
        device.endpoint = Endpoint::Urls(vec![url]);
        device.declare = false;
        let mut forged = device.clone();
        forged.routing_key = Some("xpt.raw.d8".to_owned());
        let mut forger = Device::start(forged, 8);
        forger.append(10, 200);
        forger.publish(BATCH).await;
        let reason = alarm(&mut forger.publisher.link()).await;
        assert_eq!(reason.error, SendError::NotAllowed, "{}", reason.text);
        assert!(reason.text.contains("xpt.raw.d8"), "{}", reason.text);
        let mut device = Device::start(device, 7);
        device.append(300, 200);
        device.drain(BATCH).await;
        // Of all that was published, these and no others arrived.
        counter.expect(&[&device]).await;
        let arrived = counter.sink.lock().unwrap().effects.len();
        assert_eq!(arrived, 300);
        println!("a forged routing key: refused by the broker; the own one: 300 durable, 0 lost");
    });
}

/// Batches of several records are larger than this broker takes: they come again in smaller ones, and
/// a record that can never be sent is refused from then on.
#[test]
fn a_batch_of_several_records_is_split() {
    const LIMIT: usize = 20_000;
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::start(Options {
        config: vec![format!("max_message_size = {LIMIT}")],
        ..Options::default()
    })
    .unwrap();
    runtime.block_on(async {
        let config = config(&[cluster.url(1)], "split");
        let dir = tempfile::tempdir().unwrap();
        let mut spool = spool(dir.path(), 7, 7);
        let name = StreamName::new("test.Sample").unwrap();
        let stream = spool.stream(&name).unwrap();
        let record = |bytes| {
            let mut record = single_object::header(Fingerprint(1)).to_vec();
            record.resize(bytes, 7);
            record
        };
        // Of 64 KiB each.
        for _ in 0..40 {
            spool.append(stream, &record(5_000), None).unwrap();
        }
        spool.commit().unwrap();
        let (appender, batches) = spool.share(SharedLimits::default()).unwrap();
        let publisher = Publisher::start(config.clone()).unwrap();
        let encode =
            |batch: &mut SpooledBatch| batch.to_batch(Fingerprint(2), Timestamp::default());
        let publishing = batches.publish(&publisher, encode, |batch, _| {
            panic!("{} records were set aside", batch.count());
        });
        let appending = async {
            let mut stats = appender.watch_stats();
            let all = stats.wait_for(|stats| stats.spool.confirmed == 40);
            all.await.unwrap();
            let refused = appender.append(stream, record(LIMIT), None).await;
            let Err(SharedError::Append(AppendError::TooLarge { max, .. })) = refused else {
                panic!("{refused:?}");
            };
            let largest = record(usize::try_from(max).unwrap());
            appender.append(stream, largest, None).await.unwrap();
            let deadline = tokio::time::sleep(Duration::from_secs(60));
            appender.drain(deadline).await.unwrap()
        };
        let both = async { tokio::join!(publishing, appending) };
        let (published, drained) = within("everything", both).await;
        published.unwrap();
        assert_eq!(drained.left, 0);
        let mut subscription = Subscription::start(config, SubscribeConfig::default()).unwrap();
        let mut taken = 0;
        while taken < 41 {
            let delivery = within("a delivery", subscription.next()).await.unwrap();
            taken += delivery.batch.envelope.count;
            subscription.ack(&delivery).await.unwrap();
        }
        let connects = publisher.stats().connects;
        println!("split: 41 of 41 records taken, {connects} connections");
        assert!(connects <= 2, "{connects}");
    });
}

/// One record is larger than this broker takes: it is kept elsewhere, with the reason, and what comes
/// after it arrives.
#[test]
fn a_batch_that_is_too_large_is_set_aside() {
    const LIMIT: usize = 20_000;
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::start(Options {
        config: vec![format!("max_message_size = {LIMIT}")],
        ..Options::default()
    })
    .unwrap();
    runtime.block_on(async {
        let config = config(&[cluster.url(1)], "large");
        let dir = tempfile::tempdir().unwrap();
        let mut spool = spool(dir.path(), 7, 7);
        let name = StreamName::new("test.Sample").unwrap();
        let stream = spool.stream(&name).unwrap();
        for number in 0..20 {
            let mut record = single_object::header(Fingerprint(1)).to_vec();
            // Two of them: what was learned from the first is known for the second.
            let is_large = number == 5 || number == 15;
            record.resize(if is_large { LIMIT + 5_000 } else { 200 }, 7);
            spool.append(stream, &record, None).unwrap();
        }
        spool.commit().unwrap();
        let limits = SharedLimits {
            batch: BatchLimits {
                bytes: 1_000,
                ..BatchLimits::default()
            },
            ..SharedLimits::default()
        };
        let (appender, batches) = spool.share(limits).unwrap();
        let publisher = Publisher::start(config.clone()).unwrap();
        let mut kept = Vec::new();
        let encode =
            |batch: &mut SpooledBatch| batch.to_batch(Fingerprint(2), Timestamp::default());
        let publishing = batches.publish(&publisher, encode, |batch, refused| {
            assert_eq!((refused.id, refused.limit), (batch.id, LIMIT));
            kept.push(batch.first_seq.get());
            Ok(())
        });
        let drained = async {
            let deadline = tokio::time::sleep(Duration::from_secs(60));
            appender.drain(deadline).await.unwrap().stats
        };
        let (published, stats) =
            within("everything", async { tokio::join!(publishing, drained) }).await;
        published.unwrap();
        assert_eq!(stats.spool.depth_records, 0);
        // The second one may be refused at its offer, before the first one's answer is read.
        kept.sort_unstable();
        assert_eq!(kept, [6, 16]);
        let mut subscription = Subscription::start(config, SubscribeConfig::default()).unwrap();
        let mut taken = 0;
        while taken < 18 {
            let delivery = within("a delivery", subscription.next()).await.unwrap();
            taken += delivery.batch.envelope.count;
            subscription.ack(&delivery).await.unwrap();
        }
        let connects = publisher.stats().connects;
        println!("too large: 2 of 20 set aside, 18 taken, {connects} connections");
        assert!(connects <= 2, "{connects}");
        // Whoever publishes without a spool is told.
        let batch = |bytes: usize| Batch {
            body: vec![7; bytes].into(),
            envelope: Envelope {
                content_type: "text/plain".to_owned(),
                ..envelope()
            },
        };
        let fresh = Publisher::start(crate::rig::config(&[cluster.url(1)], "large")).unwrap();
        let id = |number| BatchId::new(Epoch::default(), number);
        fresh.offer(id(1), &batch(LIMIT + 1)).await.unwrap();
        fresh.offer(id(2), &batch(LIMIT)).await.unwrap();
        let (bytes, limit) = (LIMIT + 1, LIMIT);
        let refused = OfferError::TooLarge { bytes, limit };
        let waited = within("a refusal", fresh.wait_confirmed(id(2))).await;
        assert_eq!(waited, Err(refused));
        assert_eq!(fresh.offer(id(3), &batch(bytes)).await, Err(refused));
        fresh.set_aside(id(1)).await.unwrap();
        within("the other one", fresh.wait_confirmed(id(2)))
            .await
            .unwrap();
    });
}

pub(crate) fn envelope() -> Envelope {
    Envelope {
        device: DeviceId::from_u128(9),
        epoch: Epoch::new(1).unwrap(),
        subject: StreamName::new("test.Sample").unwrap(),
        first_seq: Seq::FIRST,
        count: 1,
        published: Timestamp::default(),
        clock: ClockMark::default(),
        schema: None,
        content_type: String::new(),
        traceparent: None,
    }
}

/// A clock that is some days off, until it is set.
#[derive(Clone, Debug)]
struct Clock(Arc<AtomicI64>);

impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let off = self.0.load(Ordering::Relaxed) * 86_400;
        let now = UnixTime::now().as_secs().saturating_add_signed(off);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}

/// Trusts an authority, by a clock that is some days off.
fn client(authority: &str, days: i64) -> (Arc<rustls::ClientConfig>, Clock) {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clock = Clock(Arc::new(AtomicI64::new(days)));
    let builder = rustls::ClientConfig::builder_with_details(provider, Arc::new(clock.clone()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    (Arc::new(config), clock)
}

/// Row 27: certificates.
#[test]
fn certificates() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let cluster = Cluster::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    let authority = &cluster.certificates().unwrap().authority;
    let url = format!("amqps://guest:guest@{}/%2f", cluster.tls_address(1));
    runtime.block_on(async {
        let mut secure = config(&[url], "tls");
        secure.tls = Some(client(authority, 0).0);
        let mut device = Device::start(secure.clone(), 7);
        let mut counter = Counter::start(secure.clone());
        device.append(300, 200);
        device.drain(BATCH).await;
        counter.expect(&[&device]).await;

        let stranger = Certificates::new(&[cluster.tls_address(1).ip()]).unwrap();
        secure.tls = Some(client(&stranger.authority, 0).0);
        let publisher = Publisher::start(secure.clone()).unwrap();
        let reason = alarm(&mut publisher.link()).await;
        assert_eq!(reason.error, SendError::Certificate, "{}", reason.text);
        // Expired, or not valid yet by a clock that nobody has set so far.
        for (days, says) in [(31, "expired"), (-31, "not valid yet")] {
            let (tls, clock) = client(authority, days);
            secure.tls = Some(tls);
            let publisher = Publisher::start(secure.clone()).unwrap();
            let mut link = publisher.link();
            let reason = alarm(&mut link).await;
            assert_eq!(reason.error, SendError::Certificate, "{}", reason.text);
            assert!(reason.text.contains(says), "{}", reason.text);
            clock.0.store(0, Ordering::Relaxed);
            up_again(&mut link).await;
        }
        println!("27 another authority, a wrong clock: an alarm until it is corrected");
    });
}
