//! What the parts of a run have in common: the ids in them derive from the run's.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use telemetry_core::DeviceId;
use uuid::Uuid;

use crate::folder::{Fault, device_folder};

/// Which run it is: everything that carries an id in its parts has it from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunId(pub(crate) Uuid);

impl RunId {
    /// Identity of the device at this position.
    pub(crate) fn device(self, index: usize) -> DeviceId {
        DeviceId::from_u128(self.keyed(&format!("device {index}")))
    }

    /// The wearer's name in data: it leads back to nobody without the run's key.
    pub(crate) fn pseudonym(self, index: usize) -> String {
        let bits = self.keyed(&format!("wearer {index}")) >> 64;
        format!("w-{bits:016x}")
    }

    /// Who writes the incident log: the upper half says for which run, the lower half is another
    /// number in each process.
    pub(crate) fn writer(self, random: u64) -> u128 {
        self.writers() | u128::from(random)
    }

    /// Whether this writer of an incident log wrote for this run.
    pub(crate) fn wrote(self, writer: u128) -> bool {
        writer >> 64 == self.writers() >> 64
    }

    fn writers(self) -> u128 {
        self.keyed("incidents") >> 64 << 64
    }

    fn keyed(self, name: &str) -> u128 {
        let mut hasher = Sha256::new();
        hasher.update(self.0.as_bytes());
        hasher.update(name.as_bytes());
        let hash = hasher.finalize();
        let mut out = [0; 16];
        out.copy_from_slice(&hash[..16]);
        u128::from_be_bytes(out)
    }
}

/// The devices of a run by their position: its trackers, and after them the gateway.
#[derive(Debug)]
pub(crate) struct Devices(BTreeMap<DeviceId, usize>);

impl Devices {
    pub(crate) fn new(run: RunId, trackers: usize) -> Self {
        Self(
            (0..=trackers)
                .map(|index| (run.device(index), index))
                .collect(),
        )
    }

    /// The position of a device of this run, if it is one.
    pub(crate) fn position(&self, device: DeviceId) -> Option<usize> {
        self.0.get(&device).copied()
    }

    /// The name of the folder of the device at a position.
    pub(crate) fn folder(&self, position: usize) -> String {
        device_folder(position, self.0.len() - 1)
    }

    /// Whether something that these devices wrote says that it is of this run: one that nobody wrote
    /// says nothing.
    pub(crate) fn wrote(&self, devices: impl IntoIterator<Item = DeviceId>) -> Result<bool, Fault> {
        let mut some = false;
        for device in devices {
            self.position(device).ok_or(Fault::OtherRun)?;
            some = true;
        }
        Ok(some)
    }
}
