//! How much goes into one batch.

/// Bounds of a batch: the one place where its size is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes of datums; default 64 KiB, the knee of a quorum queue's throughput. One record may have
    /// more.
    pub bytes: usize,
    /// Records; default 1,000.
    pub records: u32,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            bytes: 64 << 10,
            records: 1_000,
        }
    }
}
