//! Which product a frame comes from.

use core::fmt;

/// How many parts a product has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wear {
    /// Two pods and a case.
    Dual,
    /// One piece; worn when status bit 5 is set.
    Single,
    /// One piece; worn when status bit 1 or 3 is set.
    SingleByEars,
}

macro_rules! models {
    ($($(#[$doc:meta])* $name:ident $pid:literal $text:literal $wear:ident),+ $(,)?) => {
        /// A product, by its Bluetooth product id. Bytes on air are the id in little-endian order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Model {
            $($(#[$doc])* $name,)+
            /// A product this release does not know; decoded as two pods and a case.
            Unknown(u16),
        }

        impl Model {
            /// Every known model.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The model with this product id.
            pub const fn from_pid(pid: u16) -> Self {
                match pid {
                    $($pid => Self::$name,)+
                    pid => Self::Unknown(pid),
                }
            }

            /// The Bluetooth product id.
            pub const fn pid(self) -> u16 {
                match self {
                    $(Self::$name => $pid,)+
                    Self::Unknown(pid) => pid,
                }
            }

            pub(crate) const fn wear(self) -> Wear {
                match self {
                    $(Self::$name => Wear::$wear,)+
                    Self::Unknown(_) => Wear::Dual,
                }
            }
        }

        impl fmt::Display for Model {
            /// The name in shops; an unknown one by its product id.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($text),)+
                    Self::Unknown(pid) => write!(f, "model 0x{pid:04X}"),
                }
            }
        }
    };
}

models! {
    /// A1523, A1722.
    AirPods1 0x2002 "AirPods 1" Dual,
    /// A2031, A2032.
    AirPods2 0x200F "AirPods 2" Dual,
    /// A2564, A2565.
    AirPods3 0x2013 "AirPods 3" Dual,
    /// A3050, A3053, A3054.
    AirPods4 0x2019 "AirPods 4" Dual,
    /// A3055 to A3057.
    AirPods4Anc 0x201B "AirPods 4 (ANC)" Dual,
    /// A2083, A2084.
    AirPodsPro 0x200E "AirPods Pro" Dual,
    /// A2698, A2699, A2931.
    AirPodsPro2Lightning 0x2014 "AirPods Pro 2 (Lightning)" Dual,
    /// A3047 to A3049.
    AirPodsPro2UsbC 0x2024 "AirPods Pro 2 (USB-C)" Dual,
    /// A3063 to A3065.
    AirPodsPro3 0x2027 "AirPods Pro 3" Dual,
    /// A2096.
    AirPodsMax 0x200A "AirPods Max" Single,
    /// A3184.
    AirPodsMaxUsbC 0x201F "AirPods Max (USB-C)" Single,
    /// A3454.
    AirPodsMax2 0x202D "AirPods Max 2" SingleByEars,
    /// A1747.
    Powerbeats3 0x2003 "Powerbeats 3" Single,
    /// A1763.
    BeatsX 0x2005 "Beats X" Single,
    /// A1796.
    BeatsSolo3 0x2006 "Beats Solo 3" Single,
    /// A1914.
    BeatsStudio3 0x2009 "Beats Studio 3" Single,
    /// A2047, A2048.
    PowerbeatsPro 0x200B "Powerbeats Pro" Dual,
    /// A3157, A3158.
    PowerbeatsPro2 0x201D "Powerbeats Pro 2" Dual,
    /// A1881.
    BeatsSoloPro 0x200C "Beats Solo Pro" Single,
    /// A2015.
    Powerbeats4 0x200D "Powerbeats 4" Single,
    /// A2295.
    BeatsFlex 0x2010 "Beats Flex" Single,
    /// A2512.
    BeatsStudioBuds 0x2011 "Beats Studio Buds" Dual,
    /// A2576.
    BeatsFitPro 0x2012 "Beats Fit Pro" Dual,
    /// A2871.
    BeatsStudioBudsPlus 0x2016 "Beats Studio Buds+" Dual,
    /// A3150.
    BeatsSoloBuds 0x2026 "Beats Solo Buds" Dual,
    /// A2924.
    BeatsStudioPro 0x2017 "Beats Studio Pro" Single,
    /// A3140.
    BeatsSolo4 0x2025 "Beats Solo 4" Single,
}
