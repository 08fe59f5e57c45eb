//! The proximity pairing frame (type 0x07) in Apple's manufacturer data.
//!
//! The data is a chain of `type, length, value`; the status frame has 25 bytes of value, the last
//! 16 encrypted. Layout from public captures; Apple documents none of it, and nothing in it is
//! authenticated: never grant access by it.

use core::fmt;

use crate::model::{Model, Wear};

const TYPE_PROXIMITY: u8 = 0x07;
const LENGTH: u8 = 25;

/// One status frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The product, by the number that it advertises.
    pub model: Model,
    /// The status byte as sent.
    pub status: u8,
    /// The colour byte: 0 white, 1 black, 2 red, 3 blue, 4 pink, 5 gray, …
    pub color: u8,
    /// What the owner does with them. On single devices other codes than listed are common.
    pub activity: Activity,
    /// Batteries and wearing.
    pub parts: Parts,
    /// 16 bytes under the pair's key: exact batteries for who holds it.
    pub encrypted: [u8; 16],
}

impl fmt::Debug for Frame {
    /// Leaves the encrypted tail out: it can identify a pair.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("model", &self.model)
            .field("status", &self.status)
            .field("color", &self.color)
            .field("activity", &self.activity)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Frame {
    /// Whether somebody wears at least one piece.
    pub const fn is_worn(&self) -> bool {
        match self.parts {
            Parts::Dual(d) => d.left.in_ear || d.right.in_ear,
            Parts::Single(s) => s.worn,
        }
    }
}

/// The pieces of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Two pods and a case.
    Dual(Dual),
    /// One piece.
    Single(Single),
}

/// Two pods and a case, as the sending pod sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    /// Which pod leads.
    pub primary: Side,
    /// The left pod.
    pub left: Pod,
    /// The right pod.
    pub right: Pod,
    /// State of the charging case.
    pub case: Case,
    /// The sending pod lies in the case.
    pub this_pod_in_case: bool,
    /// At least one pod lies in the case.
    pub one_pod_in_case: bool,
    /// Both pods lie in the case.
    pub both_pods_in_case: bool,
    /// The lid; may lag a real opening by one burst.
    pub lid: Lid,
    /// Counts lid movements, 0 to 7, then again from 0.
    pub lid_counter: u8,
}

/// One piece over or in both ears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single {
    /// Charge in percent in steps of 10, `None` if unknown.
    pub battery: Option<u8>,
    /// It is charging.
    pub charging: bool,
    /// Somebody wears it.
    pub worn: bool,
}

/// Left or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// One of two pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Charge in percent in steps of 10 (0 means below 10), `None` if unknown.
    pub battery: Option<u8>,
    /// It is charging.
    pub charging: bool,
    /// It is in an ear.
    pub in_ear: bool,
}

/// The charging case: battery, whether it charges, its lid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Charge in percent in steps of 10, `None` while both pods are out.
    pub battery: Option<u8>,
    /// It is charging.
    pub charging: bool,
}

/// The lid of the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lid {
    /// No pod is in the case: it cannot tell.
    NotInCase,
    /// Only the pod outside speaks: what it says of the lid is stale.
    Unknown,
    /// Open.
    Open,
    /// Closed.
    Closed,
}

/// What the owner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// No device is connected.
    Disconnected,
    /// Connected, silent.
    Idle,
    /// Music plays.
    Music,
    /// A call.
    Call,
    /// It rings.
    Ringing,
    /// A call ends.
    HangingUp,
    /// A code without known meaning.
    Other(u8),
}

/// Decodes the manufacturer data of company 0x004C, without the company id.
///
/// # Errors
/// In this order: the chain is cut, has no proximity record, the record is of another kind, has
/// another length. Every frame that is not a plain status frame is refused.
pub const fn decode(data: &[u8]) -> Result<Frame, DecodeError> {
    let mut rest = data;
    loop {
        match rest {
            [] => return Err(DecodeError::NoProximityMessage),
            [kind, length, tail @ ..] => {
                let Some((value, after)) = tail.split_at_checked(*length as usize) else {
                    return Err(DecodeError::TruncatedTlv {
                        at: data.len() - rest.len(),
                    });
                };
                if *kind == TYPE_PROXIMITY {
                    return status(value, *length);
                }
                rest = after;
            }
            [_] => {
                return Err(DecodeError::TruncatedTlv {
                    at: data.len() - rest.len(),
                });
            }
        }
    }
}

const fn status(value: &[u8], len: u8) -> Result<Frame, DecodeError> {
    match value.first() {
        None | Some(1) => {}
        Some(0) => return Err(DecodeError::PairingMode),
        Some(prefix) => return Err(DecodeError::UnsupportedPrefix { prefix: *prefix }),
    }
    let [
        _,
        pid0,
        pid1,
        status,
        batteries,
        flags,
        lid,
        color,
        activity,
        encrypted @ ..,
    ] = value
    else {
        return Err(DecodeError::BadLength { len });
    };
    let Some((encrypted, [])) = encrypted.split_first_chunk::<16>() else {
        return Err(DecodeError::BadLength { len });
    };
    let (status, model) = (*status, Model::from_pid(u16::from_le_bytes([*pid0, *pid1])));
    let parts = match model.wear() {
        Wear::Dual => Parts::Dual(dual(status, *batteries, *flags, *lid)),
        wear => Parts::Single(Single {
            battery: percent(*batteries),
            charging: *flags & 0x10 != 0,
            worn: match wear {
                Wear::SingleByEars => status & 0b1010 != 0,
                _ => status & 0x20 != 0,
            },
        }),
    };
    Ok(Frame {
        model,
        status,
        color: *color,
        activity: match *activity {
            0 => Activity::Disconnected,
            4 => Activity::Idle,
            5 => Activity::Music,
            6 => Activity::Call,
            7 => Activity::Ringing,
            9 => Activity::HangingUp,
            code => Activity::Other(code),
        },
        parts,
        encrypted: *encrypted,
    })
}

const _: () = assert!(LENGTH as usize == 9 + 16);

const fn dual(status: u8, batteries: u8, flags: u8, lid: u8) -> Dual {
    let primary_left = status & 0x20 != 0;
    let (this, one, both) = (status & 0x40 != 0, status & 0x10 != 0, status & 0x04 != 0);
    // Ear bits are "mine" and "other's", and change meaning when the sender lies in the case.
    let swap = !primary_left ^ this;
    let (left_ear, right_ear) = if swap { (0x08, 0x02) } else { (0x02, 0x08) };
    let primary = (percent(batteries), flags & 0x10 != 0);
    let secondary = (percent(batteries >> 4), flags & 0x20 != 0);
    let (left, right) = if primary_left {
        (primary, secondary)
    } else {
        (secondary, primary)
    };
    Dual {
        primary: if primary_left {
            Side::Left
        } else {
            Side::Right
        },
        left: Pod {
            battery: left.0,
            charging: left.1,
            in_ear: status & left_ear != 0,
        },
        right: Pod {
            battery: right.0,
            charging: right.1,
            in_ear: status & right_ear != 0,
        },
        case: Case {
            battery: percent(flags),
            charging: flags & 0x40 != 0,
        },
        this_pod_in_case: this,
        one_pod_in_case: one,
        both_pods_in_case: both,
        lid: match (this || both, one) {
            (false, false) => Lid::NotInCase,
            (false, true) => Lid::Unknown,
            (true, _) if lid & 0x08 != 0 => Lid::Closed,
            (true, _) => Lid::Open,
        },
        lid_counter: lid & 0x07,
    }
}

/// The low nibble as percent; 11 to 15 have no meaning.
const fn percent(nibble: u8) -> Option<u8> {
    match nibble & 0x0F {
        n @ 0..=10 => Some(n * 10),
        _ => None,
    }
}

/// Signal strength in dBm as radios report it; 127 and 0 stand for "not measured".
pub const fn rssi(raw: i16) -> Option<i16> {
    match raw {
        0 | 127 => None,
        dbm => Some(dbm),
    }
}

/// Whether an address, most significant byte first, is a resolvable private one, which pods use
/// and change about every 15 minutes (Bluetooth Core, Vol 6 Part B, 1.3.2.2: top bits 01).
pub const fn is_resolvable(address: [u8; 6]) -> bool {
    address[0] >> 6 == 0b01
}

/// Why manufacturer data is no status frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A record is longer than the data: drop it, the next advertisement comes soon.
    #[error("record at byte {at} is cut")]
    TruncatedTlv {
        /// Where the cut record begins.
        at: usize,
    },
    /// Another Apple message: not from pods.
    #[error("no proximity record")]
    NoProximityMessage,
    /// The pods are being paired; such a frame holds an address.
    #[error("pairing mode")]
    PairingMode,
    /// Another kind of frame, mostly encrypted.
    #[error("prefix 0x{prefix:02X} is no status frame")]
    UnsupportedPrefix {
        /// The first byte of the record.
        prefix: u8,
    },
    /// Not 25 bytes: a clone, or a format to come.
    #[error("a status frame has 25 bytes, this one {len}")]
    BadLength {
        /// Length that the message says it has.
        len: u8,
    },
}

telemetry_core::error_codes!(DecodeError {
    TruncatedTlv { .. } => 6001,
    NoProximityMessage => 6002,
    PairingMode => 6003,
    UnsupportedPrefix { .. } => 6004,
    BadLength { .. } => 6005,
});
