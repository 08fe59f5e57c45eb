//! x
/// x
pub fn run(_records: u64) -> Result<String, String> {
    Err(String::new())
}
