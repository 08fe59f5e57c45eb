//! The gate: an archive that Windows XP on the oldest processor can take, or a list of findings.
//!
//! It reads the archive itself, so that no tool's plug-in or version can hide a symbol, and knows
//! each instruction by the processor feature it needs: what is not on the list fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use iced_x86::{CpuidFeature, Decoder, DecoderOptions, Mnemonic};
use object::read::archive::ArchiveFile;
use object::{Architecture, Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};

/// What a Pentium of 1993 has. CMPXCHG8B is among it, and Windows XP itself needs that one.
/// The x87 is not: floats are computed with integers.
const FEATURES: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL8086_ONLY,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL386_ONLY,
    CpuidFeature::INTEL486,
    CpuidFeature::CPUID,
    CpuidFeature::CX8,
    CpuidFeature::TSC,
];

/// What looks newer and is not.
const OLD: &[Mnemonic] = &[
    // `core` sets the rounding of the x87 where it parses a float, also on a soft-float target.
    Mnemonic::Fnstcw,
    Mnemonic::Fldcw,
    // TZCNT is BSF with a prefix that older processors ignore. They differ for zero alone, and
    // without the feature LLVM writes the prefix only where a zero cannot come.
    Mnemonic::Tzcnt,
];

/// Findings that are shown of each kind: the first ones tell what is wrong.
const SHOWN_MAX: usize = 8;

/// What was looked at, and what stands against it.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) objects: usize,
    pub(super) symbols: usize,
    pub(super) instructions: usize,
    pub(super) findings: Vec<Finding>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// A member that is no object for this target.
    Member { member: String, reason: String },
    /// A symbol that nobody in the archive has: the firmware would have to bring it.
    Undefined { symbol: String },
    /// A section for thread-local data, which XP does not set up in a library loaded at run time
    /// (Microsoft KB118816).
    ThreadLocal { member: String },
    /// An instruction that the oldest processor does not have.
    Instruction {
        function: String,
        instruction: String,
        count: usize,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { member, reason } => write!(f, "{member}: {reason}"),
            Self::Undefined { symbol } => write!(
                f,
                "{symbol} is defined nowhere: a core imports nothing, and its compiler brings \
                 mem* and the float functions"
            ),
            Self::ThreadLocal { member } => write!(
                f,
                "{member} has a .tls section: XP gives none to a library loaded at run time"
            ),
            Self::Instruction {
                function,
                instruction,
                count,
            } => write!(
                f,
                "{function}: {instruction} and {count} in all that a Pentium does not have"
            ),
        }
    }
}

impl Report {
    /// Prints what was looked at and the first findings.
    pub(super) fn print(&self, name: &str) {
        println!(
            "{name}: {} objects, {} symbols, {} instructions, {} findings",
            self.objects,
            self.symbols,
            self.instructions,
            self.findings.len()
        );
        for finding in self.findings.iter().take(SHOWN_MAX) {
            println!("  {finding}");
        }
        if self.findings.len() > SHOWN_MAX {
            println!("  … and {} more", self.findings.len() - SHOWN_MAX);
        }
    }
}

/// Looks at a COFF archive.
pub(super) fn archive(bytes: &[u8]) -> Result<Report, object::Error> {
    let mut report = Report::default();
    let (mut defined, mut undefined) = (BTreeSet::new(), BTreeSet::new());
    for member in ArchiveFile::parse(bytes)?.members() {
        let member = member?;
        let name = String::from_utf8_lossy(member.name()).into_owned();
        let file = match object::File::parse(member.data(bytes)?) {
            Ok(file) if file.architecture() == Architecture::I386 => file,
            other => {
                let reason = other.map_or_else(
                    |error| error.to_string(),
                    |file| format!("made for {:?}, not for 32-bit x86", file.architecture()),
                );
                report.findings.push(Finding::Member {
                    member: name,
                    reason,
                });
                continue;
            }
        };
        report.objects += 1;
        for symbol in file.symbols() {
            let Ok(text) = symbol.name() else { continue };
            if symbol.is_undefined() && !symbol.is_weak() {
                undefined.insert(text.to_owned());
            } else if symbol.is_definition() || symbol.is_weak() {
                defined.insert(text.to_owned());
            }
        }
        for section in file.sections() {
            let title = section.name().unwrap_or_default();
            if title.starts_with(".tls") {
                report.findings.push(Finding::ThreadLocal {
                    member: name.clone(),
                });
            }
            if section.kind() == SectionKind::Text {
                let function = file
                    .symbols()
                    .filter(|s| s.section_index() == Some(section.index()))
                    .filter_map(|s| s.name().ok())
                    .find(|s| !s.starts_with('.'))
                    .unwrap_or(title);
                let relocated = section.relocations().map(|(offset, _)| offset);
                for range in between_tables(section.size(), relocated) {
                    code(&section.data()?[range], function, &mut report);
                }
            }
        }
    }
    report.symbols = defined.union(&undefined).count();
    let missing = undefined.difference(&defined).cloned();
    report
        .findings
        .extend(missing.map(|symbol| Finding::Undefined { symbol }));
    Ok(report)
}

/// The parts of a section that are code, not jump tables.
///
/// A table's entries are addresses that the linker fills in, one directly behind the other. An
/// instruction has two of them at most.
fn between_tables(size: u64, relocated: impl Iterator<Item = u64>) -> Vec<Range<usize>> {
    let offsets: BTreeSet<u64> = relocated.collect();
    let mut parts = Vec::new();
    let mut start = 0;
    for &first in &offsets {
        let entries = (0..)
            .take_while(|i| offsets.contains(&(first + 4 * i)))
            .count() as u64;
        let end = first + 4 * entries;
        if entries > 2 && first >= start && end <= size {
            parts.push(start as usize..first as usize);
            start = end;
        }
    }
    parts.push(start as usize..size as usize);
    parts
}

/// Looks at the instructions of one part of a section, one after another.
fn code(bytes: &[u8], function: &str, report: &mut Report) {
    let mut beyond: BTreeMap<String, usize> = BTreeMap::new();
    for instruction in &mut Decoder::new(32, bytes, DecoderOptions::NONE) {
        report.instructions += 1;
        let mnemonic = instruction.mnemonic();
        let known = instruction
            .cpuid_features()
            .iter()
            .all(|feature| FEATURES.contains(feature));
        if instruction.is_invalid() || !(known || OLD.contains(&mnemonic)) {
            *beyond.entry(format!("{mnemonic:?}")).or_default() += 1;
        }
    }
    let count = beyond.values().sum();
    if let Some((instruction, _)) = beyond.into_iter().next() {
        report.findings.push(Finding::Instruction {
            function: function.to_owned(),
            instruction,
            count,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object, Symbol, SymbolSection};
    use object::{BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

    fn findings(bytes: &[u8]) -> Vec<Finding> {
        let mut report = Report::default();
        code(bytes, "f", &mut report);
        report.findings
    }

    #[test]
    fn takes_what_a_pentium_has() {
        let lock_cmpxchg8b = [0xf0, 0x0f, 0xc7, 0x0f];
        let bswap = [0x0f, 0xc8];
        let fnstcw_fldcw = [0xd9, 0x7d, 0xfe, 0xd9, 0x6d, 0xfc];
        let rep_bsf = [0xf3, 0x0f, 0xbc, 0xc1];
        for good in [
            &rep_bsf[..],
            &lock_cmpxchg8b,
            &bswap,
            &fnstcw_fldcw,
            &[0x90, 0xc3],
        ] {
            assert_eq!(findings(good), []);
        }
    }

    #[test]
    fn refuses_what_came_later() {
        let movsd = [0xf2, 0x0f, 0x10, 0x45, 0xb8];
        let cmov = [0x0f, 0x44, 0xc1];
        let fadd = [0xdc, 0xc1];
        let long_nop = [0x0f, 0x1f, 0x00];
        let lzcnt = [0xf3, 0x0f, 0xbd, 0xc1];
        let no_instruction = [0x0f, 0x0a];
        for bad in [&movsd[..], &cmov, &fadd, &long_nop, &lzcnt, &no_instruction] {
            assert!(
                matches!(findings(bad)[..], [Finding::Instruction { .. }]),
                "{bad:02x?}"
            );
        }
    }

    /// An archive of one member, in the common format.
    fn archive_of(member: &[u8]) -> Vec<u8> {
        let header = format!(
            "{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            "a.o/",
            0,
            0,
            0,
            644,
            member.len()
        );
        [b"!<arch>\n", header.as_bytes(), member].concat()
    }

    fn object(architecture: Architecture, section: &str, calls: &str) -> Vec<u8> {
        let mut object = Object::new(BinaryFormat::Coff, architecture, Endianness::Little);
        let text = object.add_section(Vec::new(), section.into(), SectionKind::Text);
        object.append_section_data(text, &[0xc3], 1);
        let symbol = |name: &str, section| Symbol {
            name: name.into(),
            value: 0,
            size: 0,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section,
            flags: SymbolFlags::None,
        };
        object.add_symbol(symbol("own", SymbolSection::Section(text)));
        object.add_symbol(symbol(calls, SymbolSection::Undefined));
        object.write().unwrap()
    }

    #[test]
    fn a_jump_table_is_no_code() {
        let of = |offsets: &[u64]| {
            let parts = between_tables(100, offsets.iter().copied()).into_iter();
            parts.map(|part| (part.start, part.end)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), [(0, 100)]);
        // Address and value of one instruction.
        assert_eq!(of(&[10, 14]), [(0, 100)]);
        assert_eq!(of(&[7, 40, 44, 48, 60]), [(0, 40), (52, 100)]);
    }

    #[test]
    fn names_what_an_archive_lacks() {
        let look = |object: &[u8]| archive(&archive_of(object)).unwrap();
        let clean = look(&object(Architecture::I386, ".text", "own"));
        assert_eq!((clean.objects, clean.findings.len()), (1, 0));

        let import = look(&object(Architecture::I386, ".text", "_Sleep@4"));
        assert!(
            matches!(&import.findings[..], [Finding::Undefined { symbol }] if symbol.contains("Sleep@4")),
            "{:?}",
            import.findings
        );

        let tls = look(&object(Architecture::I386, ".tls$", "own"));
        assert!(matches!(tls.findings[..], [Finding::ThreadLocal { .. }]));

        let other = look(&object(Architecture::X86_64, ".text", "own"));
        assert!(matches!(other.findings[..], [Finding::Member { .. }]));
        assert_eq!(other.objects, 0);
    }
}
