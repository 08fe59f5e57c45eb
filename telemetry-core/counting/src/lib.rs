//! An allocator that counts what a piece of code allocates, on the thread that runs it.
//!
//! ```
//! use counting::{Counting, measure};
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//!
//! let (list, usage) = measure(|| vec![0u8; 1000]);
//! assert_eq!(usage.allocations, 1);
//! assert_eq!(usage.peak_bytes, 1000);
//! assert_eq!(list.len(), 1000);
//! ```

#![expect(unsafe_code, reason = "an allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted. A program sets it with `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

/// What some code allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls that got memory, moves of what had to grow among them.
    pub allocations: u64,
    /// Most bytes that were in use at once, beyond what was in use before.
    pub peak_bytes: usize,
}

#[derive(Clone, Copy)]
struct Counts {
    allocations: u64,
    live: isize,
    peak: isize,
}

thread_local! {
    // Without a destructor, so an allocator may use it at any time.
    static COUNTS: Cell<Counts> = const {
        Cell::new(Counts {
            allocations: 0,
            live: 0,
            peak: 0,
        })
    };
}

/// Runs `code` and says what it allocated on this thread. Nothing is counted unless [`Counting`] is
/// the program's allocator.
pub fn measure<T>(code: impl FnOnce() -> T) -> (T, Usage) {
    let before = COUNTS.get();
    COUNTS.set(Counts {
        peak: before.live,
        ..before
    });
    let result = code();
    let after = COUNTS.get();
    let usage = Usage {
        allocations: after.allocations - before.allocations,
        peak_bytes: usize::try_from(after.peak - before.live).unwrap_or(0),
    };
    COUNTS.set(Counts {
        peak: after.peak.max(before.peak),
        ..after
    });
    (result, usage)
}

/// Notes bytes gained or given back.
fn count(grown: usize, freed: usize) {
    let mut counts = COUNTS.get();
    if grown > 0 {
        counts.allocations += 1;
        counts.live = counts.live.saturating_add_unsigned(grown);
        counts.peak = counts.peak.max(counts.live);
    }
    counts.live = counts.live.saturating_sub_unsigned(freed);
    COUNTS.set(counts);
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    /// What grows is one allocation, before and after.
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(0, layout.size());
        count(size, 0);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }
}
