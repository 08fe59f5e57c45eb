//! Arrays and maps that stay where they are and are read when they are walked.

use core::fmt;
use core::marker::PhantomData;

use super::def::Type;
use super::scalar::other;
use super::{AvroType, Decode, DecodeError, Encode};
use crate::plan::Op;
use crate::wire::{Out, VARINT_LEN_MAX};
use crate::{Cursor, Datum, OpId};

/// How to read what a view holds.
#[derive(Clone)]
enum From<'a> {
    /// As it was written.
    Same(Datum<'a>),
    /// By the operation of an item or a value, whose array or map has that least size.
    Plan(Cursor<'a, 'a>, OpId, usize),
}

impl<'a> From<'a> {
    fn datum(&mut self) -> &mut Datum<'a> {
        match self {
            Self::Same(datum) | Self::Plan(Cursor { datum, .. }, ..) => datum,
        }
    }

    /// The next block's count, 0 at the end.
    fn block(&mut self, min: usize) -> Result<usize, DecodeError> {
        let min = match self {
            Self::Same(_) => min,
            Self::Plan(.., min) => *min,
        };
        let block = self.datum().block(min)?;
        Ok(block.map_or(0, |block| block.count))
    }

    fn value<T: Decode<'a>>(&mut self) -> Result<T, DecodeError> {
        match self {
            Self::Same(datum) => T::read(datum),
            Self::Plan(cursor, op, _) => cursor.take(*op),
        }
    }
}

/// An `array` that is read when it is walked: borrowed, checked, without an allocation.
///
/// ```
/// # #[cfg(feature = "derive")] {
/// use telemetry_avro::{AvroRecord, Items, wire::Reader};
///
/// #[derive(AvroRecord)]
/// struct Burst {
///     samples: Vec<f64>,
/// }
///
/// #[derive(AvroRecord)]
/// #[avro(name = "Burst")]
/// struct BurstView<'a> {
///     samples: Items<'a, f64>,
/// }
///
/// let message = Burst { samples: vec![1.5, 2.5] }.to_message();
/// let view = BurstView::read_datum(&mut Reader::new(&message[10..]))?;
/// assert_eq!(view.samples.iter().sum::<f64>(), 4.0);
/// # }
/// # Ok::<(), telemetry_avro::DecodeError>(())
/// ```
pub struct Items<'a, T> {
    from: From<'a>,
    len: usize,
    items: PhantomData<fn() -> T>,
}

/// A `map` that is read when it is walked, as [`Items`] is.
///
/// Pairs come as they were written: a key may be there twice.
pub struct Entries<'a, V> {
    from: From<'a>,
    len: usize,
    values: PhantomData<fn() -> V>,
}

macro_rules! view {
    ($view:ident, $iter:ident, $type:ident, $item:ty, $what:literal) => {
        impl<'a, T: Decode<'a>> $view<'a, T> {
            /// How many there are.
            pub const fn len(&self) -> usize {
                self.len
            }

            /// Whether there are none.
            pub const fn is_empty(&self) -> bool {
                self.len == 0
            }

            /// Reads them one after the other.
            pub fn iter(&self) -> $iter<'a, T> {
                $iter {
                    from: self.from.clone(),
                    left: 0,
                    values: PhantomData,
                }
            }
        }

        impl<T> Clone for $view<'_, T> {
            fn clone(&self) -> Self {
                Self {
                    from: self.from.clone(),
                    ..*self
                }
            }
        }

        impl<'a, T: Decode<'a> + fmt::Debug> fmt::Debug for $view<'a, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }

        impl<'a, T: Decode<'a> + PartialEq> PartialEq for $view<'a, T> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl<'a, T: Decode<'a>> IntoIterator for &$view<'a, T> {
            type Item = $item;
            type IntoIter = $iter<'a, T>;

            fn into_iter(self) -> $iter<'a, T> {
                self.iter()
            }
        }

        impl<T: AvroType> AvroType for $view<'_, T> {
            const TYPE: &'static Type = &Type::$type(T::TYPE);
            const REFERENCE: &'static Type = &Type::$type(T::REFERENCE);
            const MIN_LEN: usize = 1;
        }

        #[doc = concat!("Walks ", $what, ". All was checked when the view was read.")]
        pub struct $iter<'a, T> {
            from: From<'a>,
            /// What is left of the block.
            left: usize,
            values: PhantomData<fn() -> T>,
        }

        impl<T> fmt::Debug for $iter<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($iter)).finish_non_exhaustive()
            }
        }
    };
}

view!(Items, ItemsIter, Array, T, "the items of an array");
view!(
    Entries,
    EntriesIter,
    Map,
    (&'a str, T),
    "the pairs of a map"
);

impl<'a, T: Decode<'a>> Iterator for ItemsIter<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        while self.left == 0 {
            self.left = match self.from.block(T::MIN_LEN) {
                Ok(0) | Err(_) => return None,
                Ok(count) => count,
            };
        }
        self.left -= 1;
        self.from.value().ok()
    }
}

impl<'a, V: Decode<'a>> Iterator for EntriesIter<'a, V> {
    type Item = (&'a str, V);

    #[inline]
    fn next(&mut self) -> Option<(&'a str, V)> {
        while self.left == 0 {
            self.left = match self.from.block(1 + V::MIN_LEN) {
                Ok(0) | Err(_) => return None,
                Ok(count) => count,
            };
        }
        self.left -= 1;
        let key = self.from.datum().input.string().ok()?;
        Some((key, self.from.value().ok()?))
    }
}

impl<'a, T: Decode<'a> + Encode> Encode for Items<'a, T> {
    fn bound(&self) -> usize {
        VARINT_LEN_MAX + 1 + self.iter().map(|item| item.bound()).sum::<usize>()
    }

    fn put(&self, out: &mut Out<'_>) {
        if !self.is_empty() {
            out.long(self.len as i64);
            self.iter().for_each(|item| item.put(out));
        }
        out.byte(0);
    }
}

impl<'a, V: Decode<'a> + Encode> Encode for Entries<'a, V> {
    fn bound(&self) -> usize {
        let pairs = self.iter().map(|(key, value)| key.bound() + value.bound());
        VARINT_LEN_MAX + 1 + pairs.sum::<usize>()
    }

    fn put(&self, out: &mut Out<'_>) {
        if !self.is_empty() {
            out.long(self.len as i64);
            for (key, value) in self {
                key.put(out);
                value.put(out);
            }
        }
        out.byte(0);
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Items<'a, T> {
    #[inline]
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError> {
        datum.enter()?;
        let from = From::Same(datum.clone());
        let mut len = 0;
        while let Some(block) = datum.block(T::MIN_LEN)? {
            T::pass_items(datum, block.count)?;
            datum.close(&block)?;
            len += block.count;
        }
        datum.leave();
        Ok(Self {
            from,
            len,
            items: PhantomData,
        })
    }

    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError> {
        let Op::Array { item, min } = cursor.settle(op)? else {
            return Err(other("array"));
        };
        cursor.datum.enter()?;
        let from = From::Plan(cursor.clone(), *item, *min as usize);
        let mut len = 0;
        while let Some(block) = cursor.datum.block(*min as usize)? {
            for _ in 0..block.count {
                cursor.take::<T>(*item)?;
            }
            cursor.datum.close(&block)?;
            len += block.count;
        }
        cursor.datum.leave();
        Ok(Self {
            from,
            len,
            items: PhantomData,
        })
    }
}

impl<'a, V: Decode<'a>> Decode<'a> for Entries<'a, V> {
    #[inline]
    fn read(datum: &mut Datum<'a>) -> Result<Self, DecodeError> {
        datum.enter()?;
        let from = From::Same(datum.clone());
        let mut len = 0;
        while let Some(block) = datum.block(1 + V::MIN_LEN)? {
            for _ in 0..block.count {
                datum.input.string()?;
                V::read(datum)?;
            }
            datum.close(&block)?;
            len += block.count;
        }
        datum.leave();
        Ok(Self {
            from,
            len,
            values: PhantomData,
        })
    }

    fn resolve(cursor: &mut Cursor<'a, 'a>, op: OpId) -> Result<Self, DecodeError> {
        let Op::Map { value, min } = cursor.settle(op)? else {
            return Err(other("map"));
        };
        cursor.datum.enter()?;
        let from = From::Plan(cursor.clone(), *value, *min as usize);
        let mut len = 0;
        while let Some(block) = cursor.datum.block(*min as usize)? {
            for _ in 0..block.count {
                cursor.datum.input.string()?;
                cursor.take::<V>(*value)?;
            }
            cursor.datum.close(&block)?;
            len += block.count;
        }
        cursor.datum.leave();
        Ok(Self {
            from,
            len,
            values: PhantomData,
        })
    }
}
