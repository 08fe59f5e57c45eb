//! Takes batches from RabbitMQ; each record takes effect once.
//!
//! `cargo run -p telemetry-transport --features amqp --example consumer URL RECORDS`

use std::env;
use std::error::Error;

use telemetry_transport::amqp::{AmqpConfig, SubscribeConfig, Subscription};
use telemetry_transport::{Dedup, Fresh};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it did")]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: URL RECORDS";
    let url = env::args().nth(1).ok_or(usage)?;
    let records = env::args().nth(2).ok_or(usage)?.parse()?;
    run(AmqpConfig::new([url]), records).await?;
    println!("{records} records took effect");
    Ok(())
}

/// Ends when so many records took effect.
pub async fn run(config: AmqpConfig, records: u64) -> Result<(), Box<dyn Error>> {
    let mut subscription = Subscription::start(config, SubscribeConfig::default())?;
    let mut dedup = Dedup::default(); // `restore` what the sink has
    let mut effects = 0;
    while effects < records {
        let delivery = subscription.next().await?;
        let envelope = &delivery.batch.envelope;
        effects += match dedup.fresh(envelope) {
            Fresh::All => u64::from(envelope.count),
            Fresh::Nothing => 0,
            Fresh::Ranges(ranges) => ranges.iter().map(|r| r.end() - r.start() + 1).sum(),
        };
        // A sink writes the records and these ranges in one transaction.
        dedup.take(envelope);
        subscription.ack(&delivery).await?;
    }
    Ok(())
}
