//! RabbitMQ, one node or three, as plain processes that die with the test.

#![expect(
    clippy::disallowed_methods,
    reason = "a real server starts in real time"
)]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::firewall::Firewall;
use crate::setup::{self, Failure, RABBITMQ, free_port, io, say};
use crate::tls::Certificates;

/// Where the package keeps its programs; those of `/usr/sbin` change the user first.
const BIN: &str = "/usr/lib/rabbitmq/bin";

/// Longest time for a node to answer.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A process that is killed when it is dropped.
#[derive(Debug)]
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a cluster is made of.
#[derive(Debug, Default)]
pub struct Options {
    /// Nodes, at most 7; 0 and 1 both mean one.
    pub nodes: u8,
    /// Lines added to every `rabbitmq.conf`.
    pub config: Vec<String>,
    /// Listen for TLS, too.
    pub tls: bool,
}

/// A cluster of brokers with an address, ports and folders of its own.
///
/// Every node has a loopback address of its own, so that packets between two nodes can be told
/// apart. Nodes count from 1.
#[derive(Debug)]
pub struct Cluster {
    // Before the folder: processes end first.
    nodes: Vec<Option<Guarded>>,
    _epmd: Guarded,
    epmd_port: u16,
    dist_ports: Vec<u16>,
    first: Ipv4Addr,
    certificates: Option<Certificates>,
    options: Options,
    dir: TempDir,
}

impl Cluster {
    fn ip(&self, node: u8) -> Ipv4Addr {
        let [a, b, c, d] = self.first.octets();
        Ipv4Addr::new(a, b, c, d + node)
    }

    fn name(&self, node: u8) -> String {
        format!("mq{node}@{}", self.ip(node))
    }

    /// Starts a single node.
    pub fn single() -> Result<Self, Failure> {
        Self::start(Options::default())
    }

    /// Starts a cluster and waits until every node takes connections.
    pub fn start(mut options: Options) -> Result<Self, Failure> {
        RABBITMQ.install(say)?;
        options.nodes = options.nodes.clamp(1, 7);
        let dir = tempfile::Builder::new().prefix("xpt-rabbitmq-").tempdir();
        let dir = dir.map_err(io("making a folder for the broker"))?;
        let cookie = dir.path().join(".erlang.cookie");
        fs::write(&cookie, "LOOPBACK").map_err(io("writing the cookie"))?;
        setup::run(Command::new("chmod").arg("400").arg(&cookie))?;
        let epmd_port = free_port()?;
        let dist_ports = (0..options.nodes).map(|_| free_port());
        let dist_ports = dist_ports.collect::<Result<_, _>>()?;
        let first = first_address();
        let [a, b, c, d] = first.octets();
        let addresses: Vec<IpAddr> = (1..=options.nodes)
            .map(|node| Ipv4Addr::new(a, b, c, d + node).into())
            .collect();
        let certificates = match options.tls {
            true => Some(Certificates::new(&addresses)?),
            false => None,
        };
        let addresses: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
        let mut epmd = RABBITMQ.command(dir.path(), "epmd");
        epmd.args(["-port", &epmd_port.to_string()]);
        epmd.args(["-address", &addresses.join(",")]);
        epmd.stdin(Stdio::null()).stdout(Stdio::null());
        let epmd = Guarded(epmd.spawn().map_err(io("starting epmd"))?);
        let mut cluster = Self {
            nodes: (0..options.nodes).map(|_| None).collect(),
            _epmd: epmd,
            epmd_port,
            dist_ports,
            first,
            certificates,
            options,
            dir,
        };
        for n in 1..=cluster.options.nodes {
            cluster.configure(n)?;
            cluster.spawn(n)?;
        }
        for n in 1..=cluster.options.nodes {
            cluster.wait_ready(n)?;
        }
        Ok(cluster)
    }

    /// Where a node takes AMQP.
    pub fn address(&self, node: u8) -> SocketAddr {
        SocketAddr::from((self.ip(node), 5672))
    }

    /// Where a node takes AMQP over TLS.
    pub fn tls_address(&self, node: u8) -> SocketAddr {
        SocketAddr::from((self.ip(node), 5671))
    }

    /// What its nodes show over TLS; `None` where they do not listen for it.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// A node's URL with the broker's first user.
    pub fn url(&self, node: u8) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address(node))
    }

    /// Ends a node as a power failure would: SIGKILL to the broker itself.
    pub fn kill(&mut self, node: u8) -> Result<(), Failure> {
        self.end(node, Signal::KILL)
    }

    /// Ends a node cleanly.
    pub fn stop(&mut self, node: u8) -> Result<(), Failure> {
        self.end(node, Signal::TERM)
    }

    /// Starts a node that ended, with the data it had, and waits until it answers.
    pub fn restart(&mut self, node: u8) -> Result<(), Failure> {
        self.spawn(node)?;
        self.wait_ready(node)
    }

    /// Starts a node that ended; a member of a cluster may wait for others.
    pub fn spawn(&mut self, node: u8) -> Result<(), Failure> {
        let log = File::create(self.node_dir(node).join("out.log"));
        let log = log.map_err(io("making the broker's log"))?;
        let errors = log.try_clone().map_err(io("making the broker's log"))?;
        let mut command = self.command(node, "rabbitmq-server");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().map_err(io("starting the broker"))?;
        self.nodes[usize::from(node) - 1] = Some(Guarded(child));
        Ok(())
    }

    /// Runs `rabbitmqctl` on a node: seconds of processor time, so not in loops.
    pub fn ctl(&self, node: u8, arguments: &[&str]) -> Result<String, Failure> {
        setup::run(self.command(node, "rabbitmqctl").args(arguments))
    }

    /// A program that runs `rabbitmqctl` on a node with the arguments that it gets, for what is tested
    /// as a user runs it.
    pub fn ctl_program(&self, node: u8) -> Result<PathBuf, Failure> {
        use std::os::unix::fs::PermissionsExt as _;

        let command = self.command(node, "rabbitmqctl");
        let quoted = |text: &std::ffi::OsStr| {
            let text = text.to_string_lossy().replace('\'', r"'\''");
            format!("'{text}'")
        };
        let mut script = String::from("#!/bin/sh\n");
        for (name, value) in command.get_envs() {
            let (name, value) = (name.to_string_lossy(), quoted(value.unwrap_or_default()));
            // Writing to a string cannot fail.
            let _ = writeln!(script, "export {name}={value}");
        }
        let program = std::iter::once(command.get_program()).chain(command.get_args());
        let program: Vec<_> = program.map(quoted).collect();
        let _ = writeln!(script, "exec {} \"$@\"", program.join(" "));
        let path = self.node_dir(node).join("rabbitmqctl");
        let failed = || io("writing a program that administers the broker");
        fs::write(&path, script).map_err(failed())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed())?;
        Ok(path)
    }

    /// Runs Erlang in a node and returns what it evaluates to.
    pub fn eval(&self, node: u8, code: &str) -> Result<String, Failure> {
        self.ctl(node, &["-q", "eval", code])
    }

    /// Cuts the packets between a node and the others; clients still reach it.
    pub fn isolate(&self, node: u8) -> Result<Firewall, Failure> {
        let cut = self.ip(node);
        let others = (1..=self.options.nodes)
            .filter(|n| *n != node)
            .map(|n| self.ip(n));
        let rules = others.flat_map(|other| {
            [
                format!("ip saddr {cut} ip daddr {other} drop"),
                format!("ip saddr {other} ip daddr {cut} drop"),
            ]
        });
        Firewall::new(&rules.collect::<Vec<_>>())
    }

    /// The end of a node's own log, for a failure's text.
    pub fn log(&self, node: u8) -> String {
        let read = |name: &str| {
            let file = File::open(self.node_dir(node).join(name));
            file.and_then(std::io::read_to_string).unwrap_or_default()
        };
        let text = read("out.log") + &read("log/broker.log");
        let lines: Vec<&str> = text.lines().rev().take(40).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn node_dir(&self, node: u8) -> PathBuf {
        self.dir.path().join(format!("n{node}"))
    }

    fn end(&mut self, node: u8, signal: Signal) -> Result<(), Failure> {
        let Some(mut child) = self.nodes[usize::from(node) - 1].take() else {
            return Ok(());
        };
        if let Some(pid) = Pid::from_raw(child.0.id().cast_signed()) {
            kill_process(pid, signal)
                .map_err(|e| io("signalling the broker")(std::io::Error::from(e)))?;
        }
        child.0.wait().map_err(io("waiting for the broker's end"))?;
        Ok(())
    }

    fn configure(&self, node: u8) -> Result<(), Failure> {
        let dir = self.node_dir(node);
        let mut config = String::from(
            "loopback_users = none\n\
             vm_memory_high_watermark.absolute = 2GB\n\
             disk_free_limit.absolute = 100MB\n",
        );
        if self.options.nodes > 1 {
            config += "cluster_formation.peer_discovery_backend = classic_config\n\
                       cluster_partition_handling = pause_minority\n\
                       net_ticktime = 10\n";
            for n in 1..=self.options.nodes {
                let peer = self.name(n);
                // Writing to a string cannot fail.
                let _ = writeln!(
                    config,
                    "cluster_formation.classic_config.nodes.{n} = {peer}"
                );
            }
        }
        if let Some(tls) = &self.certificates {
            let dir = self.dir.path();
            for (name, text) in [
                ("ca.pem", &tls.authority),
                ("cert.pem", &tls.certificate),
                ("key.pem", &tls.key),
            ] {
                fs::write(dir.join(name), text).map_err(io("writing a certificate"))?;
            }
            let dir = dir.display();
            let _ = write!(
                config,
                "listeners.ssl.1 = {}\n\
                 ssl_options.cacertfile = {dir}/ca.pem\n\
                 ssl_options.certfile = {dir}/cert.pem\n\
                 ssl_options.keyfile = {dir}/key.pem\n\
                 ssl_options.verify = verify_none\n",
                self.tls_address(node)
            );
        }
        for line in &self.options.config {
            let _ = writeln!(config, "{line}");
        }
        let write = |name: &str, text: &str| {
            fs::write(dir.join(name), text).map_err(io("writing the broker's configuration"))
        };
        for folder in ["mnesia", "log"] {
            fs::create_dir_all(dir.join(folder)).map_err(io("making the broker's folders"))?;
        }
        write("rabbitmq.conf", &config)?;
        write("env.conf", "")?;
        write("enabled_plugins", "[rabbitmq_consistent_hash_exchange].\n")
    }

    /// A program of the broker's package, told which node it is about.
    fn command(&self, node: u8, program: &str) -> Command {
        let dir = self.node_dir(node);
        let address = self.ip(node);
        let tuple = address.to_string().replace('.', ",");
        let mut command = RABBITMQ.command(self.dir.path(), &format!("{BIN}/{program}"));
        let at = |name: &str| -> PathBuf { dir.join(name) };
        let dist_port = self.dist_ports[usize::from(node) - 1];
        command
            .env("HOME", self.dir.path())
            .env("LC_ALL", "C.UTF-8")
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("RABBITMQ_USE_LONGNAME", "true")
            .env("RABBITMQ_NODENAME", self.name(node))
            .env("RABBITMQ_NODE_IP_ADDRESS", address.to_string())
            .env("RABBITMQ_NODE_PORT", "5672")
            .env("RABBITMQ_DIST_PORT", dist_port.to_string())
            // Packets carry their node's address, so that a partition can be made.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!(
                    "-kernel inet_dist_use_interface {{{tuple}}} \
                     -kernel inet_dist_connect_options [{{ip,{{{tuple}}}}}]"
                ),
            )
            // Without a shell that waits: the process that is started is the broker itself.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("RABBITMQ_SERVER_START_ARGS", "-noinput")
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_LOGS", at("log/broker.log"))
            .env("RABBITMQ_PID_FILE", at("pid"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", at("env.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", at("feature_flags"));
        command
    }

    /// Waits until a node takes connections.
    pub fn wait_ready(&mut self, node: u8) -> Result<(), Failure> {
        let since = Instant::now();
        while !answers(self.address(node)) {
            let slot = self.nodes[usize::from(node) - 1].as_mut();
            let ended = slot.is_none_or(|child| !matches!(child.0.try_wait(), Ok(None)));
            if ended || since.elapsed() > READY_WITHIN {
                return Err(Failure::Said(format!(
                    "broker {node} {} after {:?}; the end of its log:\n{}",
                    if ended { "ended" } else { "is not ready" },
                    since.elapsed(),
                    self.log(node)
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// Whether an AMQP 0-9-1 server answers a protocol header.
fn answers(address: SocketAddr) -> bool {
    let probe = || -> std::io::Result<u8> {
        let within = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, within)?;
        stream.set_read_timeout(Some(within))?;
        stream.write_all(b"AMQP\0\0\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    // A method frame: connection.start.
    probe().is_ok_and(|first| first == 1)
}

/// First of a cluster's addresses: of this process alone, and of one cluster in it.
fn first_address() -> Ipv4Addr {
    static CLUSTERS: AtomicU8 = AtomicU8::new(0);
    let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed);
    let [a, b, ..] = std::process::id().to_le_bytes();
    // 127.0 belongs to everybody.
    Ipv4Addr::new(127, 64 | (b & 63), a, cluster % 32 * 8)
}
