//! What the programs print.
//!
//! Names of files, reasons of servers and fields of records come from strangers. A control character
//! in them can clear a screen, hide a line or type into the shell; a bidirectional one shows a name
//! other than it is. So programs print through [`Terminal`], which lets no such character through,
//! and put foreign text into a line of their own with [`escaped`], which keeps it on that line.
//!
//! Whoever reads may stop reading (`| head -1`), and a disk may be full. Then a program goes on with
//! what else it has to do, and its exit status says that not everything was printed:
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

mod escape;
mod layout;
mod output;

pub use escape::{Escaped, escaped};
pub use layout::{COLUMNS, columns, fit, spark, wrap};
pub use output::{OUTPUT_LOST, Terminal};
