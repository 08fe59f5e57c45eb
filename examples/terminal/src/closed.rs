//! Whether standard output was closed when the program was started.
//!
//! Rust's runtime opens `/dev/null` in place of a standard stream that is closed (`>&-`), before `main`:
//! without that, the next file that the program opens would become its standard output. After it, nobody
//! can tell that output goes nowhere, so it is looked up before the runtime begins: the loader calls the
//! functions of `.init_array` first.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether it was; `false` where nobody looked.
pub(crate) fn at_start() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod before_main {
    use std::os::fd::BorrowedFd;
    use std::sync::atomic::Ordering;

    #[used]
    #[expect(
        unsafe_code,
        reason = "a function that runs before the runtime has no safe form"
    )]
    // SAFETY: the section has pointers to functions, and this is one. The function reads a number and
    // sets another one: it needs nothing of a runtime that has not begun.
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        #[expect(unsafe_code, reason = "whether the descriptor is open is the question")]
        // SAFETY: the number is only asked about, and nothing is done to what it may stand for.
        let out = unsafe { BorrowedFd::borrow_raw(1) };
        super::CLOSED.store(rustix::io::fcntl_getfd(out).is_err(), Ordering::Relaxed);
    }
}
