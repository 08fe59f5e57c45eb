//! The target: 32-bit x86 of 1993, floats in integers, no standard library.
//!
//! Made from what the compiler in use says of its own Windows 7 target, so that it follows the
//! compiler's schema. `i686-pc-windows-gnu` would make SSE2 part of its calling convention.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Failure;
use crate::run::output;

use super::Compiler;

/// Its name, and with `.json` its file's.
pub(super) const NAME: &str = "i586-xpsoft-windows-gnu";

const BASE: &str = "i686-win7-windows-gnu";

/// Writes the target's file into `folder`.
pub(super) fn write(compiler: &Compiler, folder: &Path) -> Result<PathBuf, Failure> {
    let text = output(
        "asking the compiler for its Windows target",
        compiler.rustc().args([
            "-Zunstable-options",
            "--print",
            "target-spec-json",
            "--target",
            BASE,
        ]),
    )?;
    let base: Value = serde_json::from_str(&text)
        .map_err(|e| Failure::Said(format!("the compiler's target is no JSON: {e}")))?;
    let path = folder.join(format!("{NAME}.json"));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, format!("{:#}", soft(base))))
        .map_err(|error| Failure::Io {
            what: format!("writing {}", path.display()),
            error,
        })?;
    Ok(path)
}

fn soft(mut target: Value) -> Value {
    target["cpu"] = json!("pentium");
    // Without SSE, LLVM copies integers through the x87, which changes signalling NaNs: all floats
    // are computed with integers instead.
    target["rustc-abi"] = json!("x86-softfloat");
    target["features"] = json!("-x87,-mmx,-sse,-sse2,+soft-float");
    // Windows moves an image by its relocations. Without position-independent code, jump tables
    // have them too, which tells the gate where code ends.
    target["relocation-model"] = json!("static");
    target["vendor"] = json!("xp");
    target["panic-strategy"] = json!("abort");
    target["requires-uwtable"] = json!(false);
    target["default-uwtable"] = json!(false);
    target["metadata"] = json!({
        "description": "32-bit MinGW, Windows XP SP3, soft floats, no standard library",
        "tier": 3, "host_tools": false, "std": false,
    });
    target
}
