//! Short sounds with a meaning, computed the same on every machine.
//!
//! Rising is good, falling is bad, repetition is urgent; rhythm tells them apart for who hears
//! pitch badly, and all notes lie between 500 and 3000 Hz.

/// A sound by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Earcon {
    /// Two rising notes.
    Notice,
    /// Two falling notes.
    Warning,
    /// Four quick notes, high and low in turn.
    Critical,
    /// Three rising notes, the last one long.
    Goal,
}

/// Samples a second.
pub const SAMPLE_RATE: u32 = 44_100;
/// Rise and fall of each note: 10 ms.
const EDGE: u32 = SAMPLE_RATE / 100;
/// -3.1 dBFS: below the -1 dBFS that lossy codecs need.
const PEAK: f32 = 0.7;

/// Pitch in Hz and length in milliseconds.
type Note = (u32, u32);

impl Earcon {
    /// Every earcon.
    pub const ALL: [Self; 4] = [Self::Notice, Self::Warning, Self::Critical, Self::Goal];

    /// The word for it, e.g. for the name of a file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Goal => "goal",
        }
    }

    const fn notes(self) -> &'static [Note] {
        match self {
            Self::Notice => &[(880, 90), (1_175, 110)],
            Self::Warning => &[(1_319, 120), (880, 160)],
            Self::Critical => &[(1_568, 70), (1_047, 70), (1_568, 70), (1_047, 90)],
            Self::Goal => &[(784, 80), (988, 80), (1_319, 140)],
        }
    }

    /// The samples, 16-bit mono at [`SAMPLE_RATE`].
    pub fn samples(self) -> impl Iterator<Item = i16> {
        self.notes().iter().flat_map(|&(pitch, ms)| {
            let len = SAMPLE_RATE * ms / 1_000;
            // 2³² steps are one turn.
            let step = (u64::from(pitch) << 32) / u64::from(SAMPLE_RATE);
            (0..len).map(move |i| {
                let phase = (step * u64::from(i)) as u32;
                (sine(phase) * edge(i.min(len - 1 - i)) * PEAK * f32::from(i16::MAX)) as i16
            })
        })
    }

    /// Writes the sound as a WAV file.
    ///
    /// # Errors
    /// What the writer says.
    #[cfg(feature = "render")]
    pub fn write_wav<W: std::io::Write + std::io::Seek>(
        self,
        writer: W,
    ) -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::new(writer, spec)?;
        for sample in self.samples() {
            wav.write_sample(sample)?;
        }
        wav.finalize()
    }
}

/// Raised cosine over [`EDGE`] samples from the nearer end of a note, then 1.
fn edge(from_end: u32) -> f32 {
    if from_end >= EDGE {
        return 1.0;
    }
    // Half a turn over the edge; cosine is sine a quarter turn ahead.
    let phase = (u64::from(from_end) << 31) / u64::from(EDGE);
    0.5 - 0.5 * sine((phase as u32).wrapping_add(1 << 30))
}

/// Sine of a turn of 2³², by its series: `core` has none, and libraries differ in the last bit.
fn sine(phase: u32) -> f32 {
    // Fold into a quarter turn around zero, where six terms are exact to f32.
    let turn = phase as i32;
    let quarter = 1 << 30;
    let folded = if (-quarter..=quarter).contains(&turn) {
        turn
    } else {
        // sin(π - x) = sin(x), and half a turn is `i32::MIN`.
        i32::MIN.wrapping_sub(turn)
    };
    let x = folded as f32 * (core::f32::consts::PI / 2_147_483_648.0);
    let y = x * x;
    x * (1.0 - y / 6.0 * (1.0 - y / 20.0 * (1.0 - y / 42.0 * (1.0 - y / 72.0 * (1.0 - y / 110.0)))))
}
