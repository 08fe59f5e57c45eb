//! 200 cuts of the power, spread over all programs; `cargo xtask chaos power` makes 10,000. Needs root.
#![cfg(target_os = "linux")]

use std::process::Command;

#[test]
fn nothing_that_was_promised_is_lost_when_the_power_is_cut() {
    let power = Command::new(env!("CARGO_BIN_EXE_power"))
        .args(["run", "--cuts", "200"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&power.stdout);
    println!("{said}");
    assert!(power.status.success(), "{said}");
}
