//! Stable numbers for errors, so that every language names the same failure alike.

/// Gives an error its stable numbers: `code()` for a value, `CODES` for the table.
///
/// Ranges: core 1000+, shim 2000+, transport 3000+, storage 4000+, itil 5000+, airpods 6000+,
/// bindings 9000+. A number is never used again for something else. Forgetting a variant does
/// not compile.
///
/// ```
/// #[derive(Debug)]
/// enum ReadError { Truncated { at: usize }, TooLong }
/// telemetry_base::error_codes!(ReadError { Truncated { .. } => 1901, TooLong => 1902 });
/// assert_eq!(ReadError::Truncated { at: 7 }.code(), 1901);
/// assert_eq!(ReadError::CODES[1], ("ReadError::TooLong", 1902));
///
/// /// A failure that comes in one form.
/// struct Torn;
/// telemetry_base::error_codes!(Torn => 1903);
/// assert_eq!(Torn.code(), 1903);
/// ```
#[macro_export]
macro_rules! error_codes {
    ($error:ident => $code:literal) => {
        impl $error {
            /// The error with its stable number.
            pub const CODES: &'static [(&'static str, u16)] = &[(stringify!($error), $code)];

            /// The stable number of this error, the same in every language.
            pub const fn code(&self) -> u16 {
                $code
            }
        }
    };
    ($error:ident { $($variant:ident $({ $($fields:tt)* })? $(( $($items:tt)* ))? => $code:literal),+ $(,)? }) => {
        impl $error {
            /// Every variant with its stable number.
            pub const CODES: &'static [(&'static str, u16)] =
                &[$((concat!(stringify!($error), "::", stringify!($variant)), $code)),+];

            /// The stable number of this error, the same in every language.
            pub const fn code(&self) -> u16 {
                match self {
                    $(Self::$variant $({ $($fields)* })? $(( $($items)* ))? => $code),+
                }
            }
        }
    };
}
