//! Characters that steer a terminal, written so that they are seen.

use std::fmt::{self, Display, Write};

/// Foreign text as part of a line: no character of it steers the terminal or begins another line.
///
/// Line feed and tab become `\n` and `\t`, others `\u{1b}`.
pub const fn escaped<T: Display>(text: T) -> Escaped<T> {
    Escaped(text)
}

/// See [`escaped`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            Escaping {
                out: f,
                lines: false
            },
            "{}",
            self.0
        )
    }
}

/// Escapes what is written through it.
pub(crate) struct Escaping<W> {
    pub(crate) out: W,
    /// Whether line feeds pass: the text has lines of its own.
    pub(crate) lines: bool,
}

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c| steers(c) && !(self.lines && c == '\n')) {
            let (plain, from) = rest.split_at(at);
            self.out.write_str(plain)?;
            let mut characters = from.chars();
            match characters.next() {
                Some(c @ ('\n' | '\r' | '\t')) => write!(self.out, "{}", c.escape_default())?,
                Some(c) => write!(self.out, "{}", c.escape_unicode())?,
                None => {}
            }
            rest = characters.as_str();
        }
        self.out.write_str(rest)
    }
}

/// Control characters; what sets the direction of text or breaks lines unseen; and characters that
/// are never seen themselves.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_passes() {
        for (text, seen) in [
            ("Morgenlauf 7 – Grüße 🏃", "Morgenlauf 7 – Grüße 🏃"),
            ("a\u{1b}]0;title\u{7}b", r"a\u{1b}]0;title\u{7}b"),
            ("two\nlines\r\tand", r"two\nlines\r\tand"),
            ("\u{9b}31m red", r"\u{9b}31m red"),
            ("gpj.\u{202e}tif", r"gpj.\u{202e}tif"),
            ("\u{2066}a\u{2069}\u{200f}", r"\u{2066}a\u{2069}\u{200f}"),
            ("\u{e0041}\u{feff}", r"\u{e0041}\u{feff}"),
            ("\u{7f}", r"\u{7f}"),
        ] {
            assert_eq!(escaped(text).to_string(), seen);
        }
        for c in (0..=0x2fff).filter_map(char::from_u32) {
            let text = escaped(c).to_string();
            assert!(!text.chars().any(char::is_control), "{c:?}");
        }
    }
}
