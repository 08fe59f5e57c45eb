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
    /// The first part of the names of the exchanges to which devices publish by AMQP.
    #[arg(long, default_value = "telemetry")]
    family: String,
    /// The program that administers the broker; it has to run where that is.
    #[arg(long, default_value = "rabbitmqctl")]
    ctl: PathBuf,
}

impl Enrol {
    /// Sets the permissions; those that the user had before are over.
    pub(crate) fn run(&self) -> Result<Answer, Failure> {
        let (vhost, user) = (self.vhost.as_str(), self.user.as_str());
        let exchange = |flow: &str| format!("{}.{flow}", self.family);
        let rows: [(String, &[&str]); 3] = [
            (exchange("raw"), &["raw"]),
            (exchange("status"), &["status"]),
            (MQTT.to_owned(), &["raw", "status"]),
        ];
        // First what the user may say, then that it may speak: it never has more than in the end.
        for (exchange, flows) in &rows {
            let keys = format!("^xpt\\.({})\\.{}$", flows.join("|"), escaped(user));
            let said = [user, exchange, keys.as_str(), "^$"];
            self.ctl(&[&["set_topic_permissions", "-p", vhost], &said[..]].concat())?;
        }
        let exchanges: Vec<_> = rows.iter().map(|(name, _)| escaped(name)).collect();
        let write = format!("^({})$", exchanges.join("|"));
        let may = [user, "^$", write.as_str(), "^$"];
        self.ctl(&[&["set_permissions", "-p", vhost], &may[..]].concat())?;
        let mut table = Table::new(["user", "may publish to", "under"]);
        for (exchange, flows) in &rows {
            let keys: Vec<_> = flows.iter().map(|f| format!("xpt.{f}.{user}")).collect();
            table.row([json!(user), json!(exchange), json!(keys.join(", "))]);
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
