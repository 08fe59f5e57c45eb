//! Standard output and standard error, as a program that has more to do uses them.

use std::fmt::{Display, Write as _};
use std::io::{self, Stderr, Stdout, Write};
use std::process::ExitCode;

use crate::closed;
use crate::escape::Escaping;

/// Exit status of a program that did everything but print it: standard output was closed or full.
pub const OUTPUT_LOST: u8 = 4;

/// Standard output and standard error.
///
/// Neither ever panics or ends the program. What is printed after standard output has failed goes
/// nowhere, and [`Terminal::exit`] says so.
#[derive(Debug)]
pub struct Terminal<O = Stdout, E = Stderr> {
    out: O,
    errors: E,
    /// There is no standard output to print on.
    closed: bool,
    lost: Option<io::ErrorKind>,
}

impl Terminal {
    /// The process's own.
    pub fn new() -> Self {
        Self {
            closed: closed::at_start(),
            ..Self::with(io::stdout(), io::stderr())
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl<O: Write, E: Write> Terminal<O, E> {
    /// Others, for tests.
    pub const fn with(out: O, errors: E) -> Self {
        Self {
            out,
            errors,
            closed: false,
            lost: None,
        }
    }

    /// Prints lines on standard output: what the program is for. Line feeds are kept, any other
    /// character that steers a terminal is escaped.
    pub fn say(&mut self, text: impl Display) {
        if self.lost.is_some() {
            return;
        }
        if self.closed {
            self.lost = Some(io::ErrorKind::NotConnected);
            self.warn("standard output is closed");
            return;
        }
        let text = lines(text);
        let written = self.out.write_all(text.as_bytes());
        if let Err(error) = written.and_then(|()| self.out.flush()) {
            self.lost = Some(error.kind());
            // A reader that has gone knows it. A full disk is news.
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.warn(format_args!("standard output: {error}"));
            }
        }
    }

    /// Prints lines on standard error: what the person should know. If nobody reads it, the program
    /// goes on.
    pub fn warn(&mut self, text: impl Display) {
        let written = self.errors.write_all(lines(text).as_bytes());
        let _ = written.and_then(|()| self.errors.flush());
    }

    /// Whether something was not printed.
    pub const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// The exit status: `code`, or [`OUTPUT_LOST`] if that is 0 and something was not printed.
    pub fn exit(self, code: u8) -> ExitCode {
        ExitCode::from(self.status(code))
    }

    const fn status(&self, code: u8) -> u8 {
        if code == 0 && self.is_lost() {
            OUTPUT_LOST
        } else {
            code
        }
    }

    /// Answers words that clap did not understand, or that asked for help: 2, or 0.
    pub fn words(mut self, error: &clap::Error) -> ExitCode {
        let text = error.render();
        let text = text.to_string();
        let text = text.trim_end();
        if error.use_stderr() {
            self.warn(text);
        } else {
            self.say(text);
        }
        let code = u8::try_from(error.exit_code()).unwrap_or(2);
        self.exit(code)
    }
}

/// The text with a line feed at its end, and nothing in it that steers a terminal.
fn lines(text: impl Display) -> String {
    let mut out = String::new();
    let mut escaping = Escaping {
        out: &mut out,
        lines: true,
    };
    // Writing to a string fails only where the text's own formatting does; then its beginning is
    // printed.
    let _ = write!(escaping, "{text}");
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and then fails.
    struct Full(usize, io::ErrorKind);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(self.1.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn output_that_is_closed_or_full_ends_nothing_and_is_told() {
        for (kind, told) in [
            (io::ErrorKind::BrokenPipe, false),
            (io::ErrorKind::StorageFull, true),
        ] {
            let mut errors = Vec::new();
            let mut terminal = Terminal::with(Full(8, kind), &mut errors);
            terminal.say("fits");
            assert!(!terminal.is_lost());
            terminal.say("does not fit");
            terminal.say("nor this");
            assert!(terminal.is_lost());
            assert_eq!((terminal.status(0), terminal.status(3)), (OUTPUT_LOST, 3));
            let errors = String::from_utf8(errors).unwrap();
            assert_eq!(errors.matches("standard output").count(), usize::from(told));
        }
    }

    #[test]
    fn a_closed_standard_error_ends_nothing() {
        let mut terminal = Terminal::with(Vec::new(), Full(0, io::ErrorKind::BrokenPipe));
        terminal.warn("nobody hears this");
        terminal.say("and this is printed");
        assert_eq!(terminal.out, b"and this is printed\n");
        assert_eq!(terminal.status(0), 0);
    }

    #[test]
    fn lines_are_kept_and_nothing_else_that_steers() {
        let mut terminal = Terminal::with(Vec::new(), Vec::new());
        terminal.say("one\ntwo \u{1b}[31m\u{202e}");
        assert_eq!(
            String::from_utf8(terminal.out).unwrap(),
            "one\ntwo \\u{1b}[31m\\u{202e}\n"
        );
    }

    #[test]
    fn a_wrong_word_is_shown_without_what_it_does_to_a_terminal() {
        let command = clap::Command::new("it").arg(clap::Arg::new("n").long("n").num_args(1));
        let error = command
            .try_get_matches_from(["it", "--\u{1b}[31m\u{202e}"])
            .unwrap_err();
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let _ = Terminal::with(&mut out, &mut errors).words(&error);
        assert!(out.is_empty());
        assert!(!errors.contains(&0x1b));
        assert!(String::from_utf8(errors).unwrap().contains(r"\u{202e}"));
    }
}
