//! Which type without parts is read as which: the one list of promotions.
//!
//! Source: Avro 1.12 specification, "Schema Resolution".

use super::{DecodeError, Scalar, exec};
use crate::Primitive;
use crate::wire::{Reader, WireError};

/// Takes a value of the reader's type. What takes only one type says so in `takes`, and what it never
/// gets costs no code.
pub(crate) trait Target<'a>: Sized {
    /// What is made of the value.
    type Out;

    /// Whether it takes values of this type.
    #[inline(always)]
    fn takes(_: Primitive) -> bool {
        true
    }

    /// The error where it does not.
    fn other() -> DecodeError;

    fn null(self) -> Result<Self::Out, DecodeError> {
        Err(Self::other())
    }

    fn boolean(self, _: bool) -> Result<Self::Out, DecodeError> {
        Err(Self::other())
    }

    fn int(self, _: i32) -> Result<Self::Out, DecodeError> {
        Err(Self::other())
    }

    fn long(self, _: i64) -> Result<Self::Out, DecodeError> {
        Err(Self::other())
    }

    fn float(self, _: f32) -> Result<Self::Out, DecodeError> {
        Err(Self::other())
    }

    fn double(self, _: f64) -> Result<Self::Out, DecodeError> {
        Err(Self::other())
    }

    /// The datum has the bytes from `offset` on, their length first.
    fn bytes(self, _: &'a [u8], _offset: usize) -> Result<Self::Out, DecodeError> {
        Err(Self::other())
    }

    /// The datum has the text from `offset` on, its length first.
    fn string(self, _: &'a str, _offset: usize) -> Result<Self::Out, DecodeError> {
        Err(Self::other())
    }
}

macro_rules! promotions {
    (
        of $($of:ident)*;
        $($name:ident: $wire:ident => $to:ident, |$input:ident, $target:ident| $read:expr;)*
    ) => {
        /// How a value without parts that was written becomes one of the reader's type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Promotion {
            $($name,)*
        }

        impl Promotion {
            /// `None` if no promotion leads there.
            pub(crate) const fn of(wire: Primitive, to: Primitive) -> Option<Self> {
                match (wire, to) {
                    $((Primitive::$wire, Primitive::$to) => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// A value as it was written.
            pub(crate) const fn same(of: Primitive) -> Self {
                match of {
                    $(Primitive::$of => Self::$of,)*
                }
            }

            /// What was written.
            #[inline(always)]
            pub(crate) const fn wire(self) -> Primitive {
                match self {
                    $(Self::$name => Primitive::$wire,)*
                }
            }

            /// Reads past what was written.
            #[inline(always)]
            pub(crate) fn skip(self, input: &mut Reader<'_>) -> Result<(), WireError> {
                match self {
                    $(Self::$name => exec::skip(input, Primitive::$wire),)*
                }
            }

            /// Reads what was written and gives it as the reader's type.
            #[inline(always)]
            pub(crate) fn read<'a, T: Target<'a>>(
                self,
                input: &mut Reader<'a>,
                target: T,
            ) -> Result<T::Out, DecodeError> {
                match self {
                    $(Self::$name => {
                        if !T::takes(Primitive::$to) {
                            return Err(T::other());
                        }
                        let ($input, $target) = (input, target);
                        $read
                    })*
                }
            }
        }
    };
}

promotions! {
    of Null Boolean Int Long Float Double Bytes String;
    Null: Null => Null, |_input, target| target.null();
    Boolean: Boolean => Boolean, |input, target| target.boolean(input.boolean()?);
    Int: Int => Int, |input, target| target.int(input.int()?);
    IntToLong: Int => Long, |input, target| target.long(i64::from(input.int()?));
    IntToFloat: Int => Float, |input, target| target.float(input.int()? as f32);
    IntToDouble: Int => Double, |input, target| target.double(f64::from(input.int()?));
    Long: Long => Long, |input, target| target.long(input.long()?);
    LongToFloat: Long => Float, |input, target| target.float(input.long()? as f32);
    LongToDouble: Long => Double, |input, target| target.double(input.long()? as f64);
    Float: Float => Float, |input, target| target.float(input.float()?);
    FloatToDouble: Float => Double, |input, target| target.double(f64::from(input.float()?));
    Double: Double => Double, |input, target| target.double(input.double()?);
    Bytes: Bytes => Bytes, |input, target| {
        let offset = input.offset();
        target.bytes(input.bytes()?, offset)
    };
    StringToBytes: String => Bytes, |input, target| {
        let offset = input.offset();
        target.bytes(input.bytes()?, offset)
    };
    String: String => String, |input, target| {
        let offset = input.offset();
        target.string(input.string()?, offset)
    };
    BytesToString: Bytes => String, |input, target| {
        let offset = input.offset();
        target.string(input.string()?, offset)
    };
}

/// Makes a [`Scalar`].
pub(crate) struct AsScalar;

impl<'a> Target<'a> for AsScalar {
    type Out = Scalar<'a>;

    fn other() -> DecodeError {
        DecodeError::NotFlat
    }

    #[inline(always)]
    fn null(self) -> Result<Scalar<'a>, DecodeError> {
        Ok(Scalar::Null)
    }

    #[inline(always)]
    fn boolean(self, v: bool) -> Result<Scalar<'a>, DecodeError> {
        Ok(Scalar::Boolean(v))
    }

    #[inline(always)]
    fn int(self, v: i32) -> Result<Scalar<'a>, DecodeError> {
        Ok(Scalar::Int(v))
    }

    #[inline(always)]
    fn long(self, v: i64) -> Result<Scalar<'a>, DecodeError> {
        Ok(Scalar::Long(v))
    }

    #[inline(always)]
    fn float(self, v: f32) -> Result<Scalar<'a>, DecodeError> {
        Ok(Scalar::Float(v))
    }

    #[inline(always)]
    fn double(self, v: f64) -> Result<Scalar<'a>, DecodeError> {
        Ok(Scalar::Double(v))
    }

    #[inline(always)]
    fn bytes(self, v: &'a [u8], _: usize) -> Result<Scalar<'a>, DecodeError> {
        Ok(Scalar::Bytes(v))
    }

    #[inline(always)]
    fn string(self, v: &'a str, _: usize) -> Result<Scalar<'a>, DecodeError> {
        Ok(Scalar::String(v))
    }
}
