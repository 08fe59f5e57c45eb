//! `xpt queue enrol`: what a device's user may do on a broker.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::answer::{Answer, Failure, Table};

/// Where devices by MQTT publish.
const MQTT: &str = "amq.topic";

/// A user that publishes as itself and as nobody else.
#[derive(clap::Args)]
pub(crate) struct Enrol {
    /// The user of a device; the broker has to know it already. It may publish under xpt.raw.USER and
    /// xpt.status.USER, and do nothing else.
    user: String,
    /// The virtual host.
    #[arg(long, default_value = "/")]
    vhost: String,
    /// The exchange to which devices publish by AMQP.
    #[arg(long, default_value = "telemetry.raw")]
    exchange: String,
    /// The program that administers the broker; it has to run where that is.
    #[arg(long, default_value = "rabbitmqctl")]
    ctl: PathBuf,
}

impl Enrol {
    /// Sets the permissions; those that the user had before are over.
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let (vhost, user) = (self.vhost.as_str(), self.user.as_str());
        let exchanges = [self.exchange.as_str(), MQTT];
        let keys = format!("^xpt\\.(raw|status)\\.{}$", escaped(user));
        // First what the user may say, then that it may speak: it never has more than in the end.
        for exchange in exchanges {
            let said = [user, exchange, keys.as_str(), "^$"];
            self.ctl(&[&["set_topic_permissions", "-p", vhost], &said[..]].concat())?;
        }
        let write = format!("^({})$", exchanges.map(escaped).join("|"));
        let may = [user, "^$", write.as_str(), "^$"];
        self.ctl(&[&["set_permissions", "-p", vhost], &may[..]].concat())?;
        let mut table = Table::new(["user", "may publish to", "under"]);
        for exchange in exchanges {
            let keys = format!("xpt.raw.{user}, xpt.status.{user}");
            table.row([json!(user), json!(exchange), json!(keys)]);
        }
        Ok(table.fine())
    }

    fn ctl(&self, arguments: &[&str]) -> Result<(), Failure> {
        let ctl = self.ctl.display();
        let output = Command::new(&self.ctl).arg("-q").args(arguments).output();
        let output = output.map_err(|error| format!("{ctl}: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "{ctl} {}: {}",
                arguments.first().copied().unwrap_or_default(),
                String::from_utf8_lossy(&output.stderr).trim()
            )),
        }
    }
}

/// Text as a pattern that matches it and nothing else.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if !c.is_alphanumeric() && c != '_' && c != '-' {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_pattern() {
        assert_eq!(escaped("d-7_a"), "d-7_a");
        assert_eq!(escaped("d.*|x"), r"d\.\*\|x");
    }
}
