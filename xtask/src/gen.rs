//! Generated files. They are committed; their tests compare, and write anew when `BLESS` is set.

use crate::Failure;
use crate::run::{cargo, run};

pub(crate) fn generate() -> Result<(), Failure> {
    run(
        "generating",
        cargo(&[
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--all-features",
        ])
        .args(["--filterset", "test(/generated_/)"])
        .env("BLESS", "1"),
    )
}
