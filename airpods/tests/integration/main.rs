//! Recorded frames, sounds, and the router as its users meet it.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod router;
mod sound;
mod vectors;
