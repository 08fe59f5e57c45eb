//! This crate prints the text of the programs safely.
//!
//! Names of files, messages of servers and fields of records are untrusted. A control character in them
//! can clear a screen, hide a line or type into the shell. A bidirectional character can make a name look
//! like another name. So programs print through [`Terminal`], which prints no such character, and insert
//! untrusted text into their own lines with [`escaped`], so that it cannot begin another line.
//!
//! The reader of the output may stop reading (`| head -1`), and a disk may be full. Then a program
//! continues with its other work, and its exit status says that not everything was printed:
//! [`OUTPUT_LOST`].
//!
//! ```
//! use terminal::{Terminal, escaped};
//!
//! let mut terminal = Terminal::new();
//! terminal.say(format_args!("{}: no FIT header", escaped("ride\u{1b}[2J.fit")));
//! terminal.warn("nothing was read");
//! let _status = terminal.exit(1);
//! ```

mod closed;
mod escape;
mod layout;
mod output;

pub use escape::{Escaped, escaped};
pub use layout::{COLUMNS, columns, counted, fit, spark, wrap};
pub use output::{OUTPUT_LOST, Terminal};
