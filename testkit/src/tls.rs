//! Certificates for one test, made by OpenSSL.

use std::fs::{self, File};
use std::net::IpAddr;
use std::process::Command;

use crate::setup::{Failure, host_packages, io, run};

/// An authority and a certificate for loopback that it signed, as PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub authority: String,
    /// The server's certificate, for the host that was named.
    pub certificate: String,
    /// The server's key.
    pub key: String,
}

impl Certificates {
    /// New certificates for addresses, valid from now for 30 days.
    pub fn new(addresses: &[IpAddr]) -> Result<Self, Failure> {
        host_packages(&["openssl"])?;
        let dir = tempfile::tempdir().map_err(io("making a folder for certificates"))?;
        let openssl = |line: &str| {
            let mut command = Command::new("openssl");
            run(command.current_dir(&dir).args(line.split(' ')))
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=Test \
             -addext basicConstraints=critical,CA:TRUE"
        ))?;
        openssl(&format!(
            "req {key} -keyout key.pem -out server.csr -subj /CN=broker"
        ))?;
        let names: Vec<_> = addresses.iter().map(|ip| format!("IP:{ip}")).collect();
        fs::write(
            dir.path().join("extensions"),
            format!("subjectAltName={}\n", names.join(",")),
        )
        .map_err(io("writing the certificate's extensions"))?;
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem \
             -days 30 -extfile extensions",
        )?;
        let read = |name: &str| {
            let file = File::open(dir.path().join(name));
            file.and_then(std::io::read_to_string)
                .map_err(io("reading a certificate"))
        };
        Ok(Self {
            authority: read("ca.pem")?,
            certificate: read("cert.pem")?,
            key: read("key.pem")?,
        })
    }
}
