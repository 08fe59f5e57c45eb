//! The report as one page that needs nothing else: styles, plots, pictures and sounds inside.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use telemetry_itil::Incident;

use super::markup::Markup;
use super::plot::{self, Line, Plot};
use super::{DeviceLine, Report, Series, story, who};
use services::ledger::StreamLine;

use crate::clock::hms;
use crate::cues::CueLine;
use crate::ring::Ring;
use crate::words;

/// Bytes of a picture or a sound that goes into the page.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of all sounds together; the rest stays in the run's folder.
const SOUND_BYTES_MAX: usize = 8 << 20;

/// Sections, and their names in the navigation.
const SECTIONS: [(&str, &str); 7] = [
    ("trackers", "Trackers"),
    ("pipeline", "Pipeline"),
    ("schemas", "Schemas"),
    ("incidents", "Incidents"),
    ("cues", "Cues"),
    ("ledger", "Loss ledger"),
    ("files", "Files"),
];

/// Writes the page of a report.
pub fn write(report: &Report, path: &Path) -> io::Result<()> {
    let page = page(report)?;
    let mut file = File::create(path)?;
    file.write_all(page.as_bytes())
}

fn page(report: &Report) -> io::Result<String> {
    let sounds = Sounds::gather(&report.cues)?;
    let mut m = Markup::default();
    m.own("<!doctype html>\n");
    let mut fault = Ok(());
    m.element("html", &[("lang", &"en")], |m| {
        m.element("head", &[], |m| {
            m.empty("meta", &[("charset", &"utf-8")]);
            let viewport = "width=device-width, initial-scale=1";
            m.empty("meta", &[("name", &"viewport"), ("content", &viewport)]);
            m.empty(
                "meta",
                &[("name", &"color-scheme"), ("content", &"light dark")],
            );
            m.line("title", &[], format!("Fleet run of {}", start(report)));
            m.element("style", &[], |m| {
                m.own(include_str!("../palette.css"));
                m.own(include_str!("page.css"));
            });
        });
        m.element("body", &[], |m| {
            m.line(
                "a",
                &[("class", &"skip"), ("href", &"#main")],
                "Skip to the report",
            );
            top(report, m);
            m.element("main", &[("id", &"main")], |m| {
                fault = section(m, 0, |m| trackers(report, m));
                section(m, 1, |m| pipeline(report, m));
                section(m, 2, |m| schemas(report, m));
                section(m, 3, |m| incidents(report, m));
                section(m, 4, |m| cues(report, &sounds, m));
                section(m, 5, |m| ledger(report, m));
                section(m, 6, |m| files(report, m));
            });
            m.element("script", &[], |m| m.own(include_str!("page.js")));
        });
    });
    fault?;
    Ok(m.finish())
}

fn section<T>(m: &mut Markup, index: usize, inside: impl FnOnce(&mut Markup) -> T) -> T {
    let (id, name) = SECTIONS[index];
    let mut out = None;
    let title = format!("{id}-title");
    m.element(
        "section",
        &[("id", &id), ("aria-labelledby", &title)],
        |m| {
            m.line("h2", &[("id", &title)], name);
            out = Some(inside(m));
        },
    );
    #[expect(clippy::expect_used, reason = "`element` calls its closure once")]
    out.expect("the inside was written")
}

fn top(report: &Report, m: &mut Markup) {
    m.element("header", &[], |m| {
        let tone = report.tone();
        m.line("p", &[("class", &"over")], "Fleet run");
        m.element("h1", &[("class", &tone.as_str())], |m| {
            m.line("span", &[("aria-hidden", &"true")], tone.mark());
            m.text(report.verdict());
        });
        let took = report.took.as_secs_f64();
        m.line(
            "p",
            &[],
            format!(
                "{} of virtual time from {}, in {took:.1} s of real time.",
                hms(report.length),
                start(report),
            ),
        );
        m.element("dl", &[("class", &"tiles")], |m| {
            let stored: u64 = report.streams.iter().map(|s| s.stored).sum();
            let missing: u64 = report.streams.iter().map(StreamLine::missing).sum();
            tile(m, "trackers", report.devices.len());
            tile(m, "records stored", grouped(stored));
            tile(m, "missing", grouped(missing));
            tile(m, "duplicates removed", grouped(report.duplicates));
            tile(m, "table changes", report.migrations.len());
            tile(m, "incidents", report.incidents.len());
            tile(m, "cues given", grouped(report.given()));
        });
        m.element("nav", &[("aria-label", &"Sections")], |m| {
            for (id, name) in SECTIONS {
                m.line("a", &[("href", &format!("#{id}"))], name);
            }
        });
    });
}

fn tile(m: &mut Markup, name: &str, value: impl Display) {
    m.element("div", &[], |m| {
        m.line("dt", &[], name);
        m.line("dd", &[], value);
    });
}

fn trackers(report: &Report, m: &mut Markup) -> io::Result<()> {
    m.line(
        "p",
        &[],
        "Each tracker's last screen, and what it measured, read back from the stored rows. \
         The shaded time is the outage.",
    );
    let mut fault = Ok(());
    m.element("div", &[("class", &"trackers")], |m| {
        for device in &report.devices {
            m.element("article", &[("class", &"card tracker")], |m| {
                let drawn = tracker(report, device, m);
                if drawn.is_err() {
                    fault = drawn;
                }
            });
        }
    });
    fault
}

fn tracker(report: &Report, device: &DeviceLine, m: &mut Markup) -> io::Result<()> {
    let name = format!("Tracker {}", device.index + 1);
    let picture = format!(
        "data:image/png;base64,{}",
        STANDARD.encode(read(&device.picture)?)
    );
    m.element("div", &[("class", &"screen")], |m| {
        m.line("h3", &[], &name);
        let alt = format!("Last screen of tracker {}", device.index + 1);
        m.empty(
            "img",
            &[("src", &picture), ("alt", &alt), ("loading", &"lazy")],
        );
        m.element("p", &[("class", &"note")], |m| {
            m.text(&device.source);
            m.empty("br", &[]);
            m.text(format!(
                "firmware {} · {} frames",
                device.firmware,
                grouped(device.frames)
            ));
            m.empty("br", &[]);
            let stored = report.stored_of(device);
            let (read, agent) = (grouped(device.read), grouped(device.agent));
            m.text(format!(
                "{read} read → {agent} at the agent → {} stored",
                grouped(stored)
            ));
        });
    });
    let outages = &report.outages;
    let curves = device.curves.with_values();
    if curves.is_empty() {
        m.line(
            "p",
            &[("class", &"note")],
            "It measured nothing that can be drawn.",
        );
    }
    // Some activities are over in a minute: each is shown in its own time.
    let spans = curves.iter().filter_map(|(_, series)| series.span());
    let span = spans.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
    let span = span.unwrap_or(Duration::ZERO..report.length);
    for (measure, series) in curves {
        let (title, unit, class) = (measure.name, measure.unit, measure.class);
        let summary = format!("{name}: {title}, {}", in_words(series, unit));
        over_time(
            (outages, span.clone()),
            (title, unit),
            summary,
            false,
            [(title, class, series.means())],
            m,
        );
    }
    Ok(())
}

type Drawn = (&'static str, &'static str, Vec<Option<(f64, f64)>>);

fn over_time<const N: usize>(
    (outages, span): (&[Range<Duration>], Range<Duration>),
    (title, unit): (&str, &str),
    summary: String,
    from_zero: bool,
    lines: [Drawn; N],
    m: &mut Markup,
) {
    let lines = lines.map(|(name, class, points)| Line {
        name,
        class,
        points,
    });
    let plot = Plot {
        title,
        unit,
        summary,
        span,
        outages,
        from_zero,
        lines: lines.into(),
    };
    plot.draw(m);
}

fn in_words(series: &Series, unit: &str) -> String {
    series.mean_and_max().map_or_else(
        || "no values".to_owned(),
        |(mean, max)| format!("{mean:.1} {unit} on average, {max:.1} {unit} at most"),
    )
}

fn pipeline(report: &Report, m: &mut Markup) {
    m.line(
        "p",
        &[],
        format!(
            "{}. Meanwhile trackers go on writing into their spools; what waited there follows \
             at once when the link is back.",
            report.outages()
        ),
    );
    let (pulse, outages) = (&report.pulse, &report.outages);
    let span = Duration::ZERO..report.length;
    m.element("div", &[("class", &"plots card")], |m| {
        let summary = format!(
            "Samples a second. Durable in the spools: {}. Stored as rows: {}.",
            in_words(&pulse.durable, "a second"),
            in_words(&pulse.stored, "a second")
        );
        let title = "Samples a second, mean";
        let lines = [
            ("confirmed", "published", pulse.published.means()),
            ("stored", "stored", pulse.stored.means()),
            ("durable", "durable", pulse.durable.means()),
        ];
        over_time(
            (outages, span.clone()),
            (title, "1/s"),
            summary,
            true,
            lines,
            m,
        );
        let summary = format!(
            "Samples that wait. In the spools: {}. In the log: {}.",
            in_words(&pulse.in_spools, "samples"),
            in_words(&pulse.in_log, "samples")
        );
        let lines = [
            ("in the spools", "durable", pulse.in_spools.peaks()),
            ("in the log", "published", pulse.in_log.peaks()),
        ];
        over_time(
            (outages, span.clone()),
            ("Samples that wait, most", "samples"),
            summary,
            true,
            lines,
            m,
        );
        let summary = format!("Lag of the stored rows: {}.", in_words(&pulse.lag, "s"));
        let lines = [("lag", "lag", pulse.lag.peaks())];
        over_time(
            (outages, span),
            ("Lag of the stored rows, highest", "s"),
            summary,
            true,
            lines,
            m,
        );
        latencies(report, m);
    });
    m.line("h3", &[], "The way of a record, on the real clock");
    let rows = report.way().map(|stage| {
        let quantile = |share| format!("{:.1?}", stage.times.quantile(share));
        vec![
            stage.name.to_owned(),
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            grouped(stage.rate() as u64),
        ]
    });
    table(
        m,
        &["stage", "p50", "p90", "p99", "records/s while busy"],
        rows,
    );
}

fn latencies(report: &Report, m: &mut Markup) {
    m.element("figure", &[], |m| {
        m.element("figcaption", &[], |m| {
            m.line("strong", &[], "Latencies on the real clock");
            let key = "bar p10 to p90, mark p50, line to p99";
            m.line("span", &[("class", &"unit")], key);
        });
        let stages = report.way().map(|stage| (stage.name, stage.times));
        plot::latencies(m, &stages.collect::<Vec<_>>());
    });
}

fn schemas(report: &Report, m: &mut Markup) {
    m.line("h3", &[], "What they changed, in order");
    m.element("ol", &[("class", &"line")], |m| {
        for change in &report.migrations {
            m.element("li", &[], |m| {
                m.line("time", &[], report.since_start(change.at));
                let (what, rest) = change
                    .statement
                    .split_once('(')
                    .unwrap_or((&change.statement, ""));
                let created = what.contains("CREATE");
                let class = if created { "chip" } else { "chip evolved" };
                let kind = if created { "new table" } else { "new column" };
                m.line("span", &[("class", &class)], kind);
                m.line("code", &[("title", &rest)], what.trim());
                let schema = format!("schema #{}", change.schema);
                m.line("span", &[("class", &"note")], schema);
            });
        }
    });
    m.line("h3", &[], "Schemas in use");
    let rows = report.versions.iter().map(|v| {
        let cells = [
            v.stream.to_string(),
            v.version.to_string(),
            format!("#{}", v.schema),
        ];
        cells.to_vec()
    });
    table(m, &["stream", "version", "fingerprint"], rows);
}

fn incidents(report: &Report, m: &mut Markup) {
    if report.incidents.is_empty() {
        m.line("p", &[], "None.");
    }
    for incident in &report.incidents {
        m.element("article", &[("class", &"card")], |m| {
            m.element("h3", &[], |m| {
                m.line(
                    "span",
                    &[("class", &"chip alarm")],
                    incident.priority.as_str(),
                );
                m.text(format!(
                    "{}, {}: {}",
                    incident.id,
                    incident.state.as_str(),
                    incident.signature
                ));
            });
            clocks(report, incident, m);
            m.element("ol", &[("class", &"line")], |m| {
                for (at, what) in story(incident) {
                    m.element("li", &[], |m| {
                        m.line("time", &[], report.since_start(at));
                        m.text(what);
                    });
                }
            });
            if let Some(closure) = &incident.closure {
                m.line("p", &[], words::closure(&closure.code));
            }
        });
    }
    if !report.told.is_empty() {
        m.line("h3", &[], "Who was told");
        m.element("ol", &[("class", &"line")], |m| {
            for told in &report.told {
                m.element("li", &[], |m| {
                    m.line("time", &[], report.since_start(told.at));
                    m.text(&told.text);
                });
            }
        });
    }
}

fn clocks(report: &Report, incident: &Incident, m: &mut Markup) {
    let now = report.start + report.length;
    for (name, clock) in [("respond", &incident.own), ("resolve", &incident.resolve)] {
        let (used, target) = (clock.consumed(now), clock.target());
        let text = format!("time to {name}: {} of {}", hms(used), hms(target));
        m.element("p", &[("class", &"clock")], |m| {
            let (used, target) = (used.as_secs_f64(), target.as_secs_f64().max(1.0));
            let high = target * 0.75;
            let meter: [(&str, &dyn Display); 5] = [
                ("min", &0),
                ("max", &target),
                ("high", &high),
                ("value", &used),
                ("aria-label", &text),
            ];
            m.line("meter", &meter, "");
            m.line("span", &[("aria-hidden", &"true")], &text);
        });
    }
}

/// Sounds of the cues, each once, by their file.
struct Sounds<'a> {
    data: BTreeMap<&'a Path, (usize, String)>,
    left_out: usize,
}

impl<'a> Sounds<'a> {
    fn gather(cues: &'a Ring<CueLine>) -> io::Result<Self> {
        let mut out = Self {
            data: BTreeMap::new(),
            left_out: 0,
        };
        let mut bytes = 0;
        for path in cues.iter().flat_map(|c| &c.sounds) {
            if out.data.contains_key(path.as_path()) {
                continue;
            }
            let sound = read(path)?;
            if bytes + sound.len() > SOUND_BYTES_MAX {
                out.left_out += 1;
                continue;
            }
            bytes += sound.len();
            let uri = format!("data:audio/wav;base64,{}", STANDARD.encode(sound));
            out.data.insert(path, (out.data.len(), uri));
        }
        Ok(out)
    }

    /// Ids of a cue's sounds, in the order they are played.
    fn ids(&self, paths: &[PathBuf]) -> String {
        let known = paths.iter().filter_map(|p| self.data.get(p.as_path()));
        let ids: Vec<String> = known.map(|(n, _)| format!("sound-{n}")).collect();
        ids.join(" ")
    }
}

fn cues(report: &Report, sounds: &Sounds<'_>, m: &mut Markup) {
    let (given, not) = (report.given(), report.not_given());
    m.line("p", &[], format!("{given} given, {not} not given."));
    haptics(report, m);
    players(sounds, m);
    let list: [(&str, &dyn Display); 3] = [
        ("class", &"line long"),
        ("tabindex", &0),
        ("aria-label", &"Every cue, in order"),
    ];
    m.element("ol", &list, |m| {
        for cue in &report.cues {
            m.element("li", &[], |m| {
                m.line("time", &[], report.since_start(cue.at));
                let ids = sounds.ids(&cue.sounds);
                if !ids.is_empty() {
                    let label = format!("Play: {}", cue.text);
                    let button: [(&str, &dyn Display); 4] = [
                        ("type", &"button"),
                        ("data-play", &ids),
                        ("aria-label", &label),
                        ("hidden", &""),
                    ];
                    m.line("button", &button, "▶");
                }
                m.line(
                    "span",
                    &[("class", &"chip")],
                    who(&report.devices, cue.device),
                );
                m.line("q", &[], &cue.text);
                let how = cue
                    .ending
                    .map_or_else(|| "undecided at the end".to_owned(), words::ending);
                m.line("span", &[("class", &"note")], how);
            });
        }
    });
    if report.cues.dropped() > 0 {
        m.line(
            "p",
            &[],
            format!("And {} before them.", report.cues.dropped()),
        );
    }
}

/// How each pattern of touch feels, once.
fn haptics(report: &Report, m: &mut Markup) {
    m.element("div", &[("class", &"plots")], |m| {
        let mut drawn = Vec::new();
        for cue in &report.cues {
            if drawn.contains(&cue.haptic) {
                continue;
            }
            drawn.push(cue.haptic);
            m.element("figure", &[("class", &"card")], |m| {
                m.element("figcaption", &[], |m| {
                    let what = format!("How {} feels", words::haptic(cue.haptic));
                    m.line("strong", &[], what);
                });
                plot::haptic(m, cue.haptic);
            });
        }
    });
}

/// Something to play each sound with.
fn players(sounds: &Sounds<'_>, m: &mut Markup) {
    if !sounds.data.is_empty() {
        m.line("h3", &[], "Sounds");
        m.element("div", &[("class", &"sounds")], |m| {
            for (path, (number, uri)) in &sounds.data {
                m.element("figure", &[], |m| {
                    let name = path.file_stem().unwrap_or_default().to_string_lossy();
                    m.line("figcaption", &[], &name);
                    let id = format!("sound-{number}");
                    let audio: [(&str, &dyn Display); 5] = [
                        ("id", &id),
                        ("controls", &""),
                        ("preload", &"metadata"),
                        ("aria-label", &name),
                        ("src", &uri),
                    ];
                    m.line("audio", &audio, "");
                });
            }
        });
    }
    if sounds.left_out > 0 {
        let text = format!("{} more sounds are in the folder “cues”.", sounds.left_out);
        m.line("p", &[("class", &"note")], text);
    }
}

fn ledger(report: &Report, m: &mut Markup) {
    m.line(
        "p",
        &[],
        format!(
            "Devices number their records; each number is stored, or missing. {} rows came again \
             and changed nothing.",
            grouped(report.duplicates)
        ),
    );
    let rows = report.ledger_lines().into_iter().map(|s| {
        vec![
            who(&report.devices, s.device),
            s.stream
                .as_str()
                .trim_start_matches("xp.telemetry.")
                .to_owned(),
            grouped(s.numbered),
            grouped(s.stored),
            grouped(s.set_aside),
            grouped(s.missing()),
        ]
    });
    table(
        m,
        &[
            "device",
            "stream",
            "numbered",
            "stored",
            "set aside",
            "missing",
        ],
        rows,
    );
    if !report.rejected.is_empty() {
        m.line("h3", &[], "Set aside");
        let rejected = report.rejected.iter();
        list(m, rejected.map(|r| report.rejected_words(r)));
    }
}

fn files(report: &Report, m: &mut Markup) {
    m.element("p", &[], |m| {
        m.text("Everything of this run is in ");
        m.line("code", &[], report.data.display());
    });
    if report.faults.is_empty() {
        m.line("p", &[], "Every activity file was read to its end.");
    } else {
        m.line("p", &[], "Some files could not be read to their end:");
        list(m, report.faults.iter());
    }
}

fn list(m: &mut Markup, lines: impl Iterator<Item = impl Display>) {
    m.element("ul", &[], |m| {
        for line in lines {
            m.line("li", &[], line);
        }
    });
}

fn table(m: &mut Markup, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    m.element("div", &[("class", &"scroll"), ("tabindex", &0)], |m| {
        m.element("table", &[], |m| {
            m.element("thead", &[], |m| {
                m.element("tr", &[], |m| {
                    for name in head {
                        m.line("th", &[("scope", &"col")], name);
                    }
                });
            });
            m.element("tbody", &[], |m| {
                for row in rows {
                    m.element("tr", &[], |m| {
                        for cell in row {
                            let number = cell.starts_with(|c: char| c.is_ascii_digit());
                            let class = if number { "number" } else { "word" };
                            m.line("td", &[("class", &class)], cell);
                        }
                    });
                }
            });
        });
    });
}

/// When a run began: on a whole second.
fn start(report: &Report) -> String {
    report.start.to_string().replace(".000000", "")
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
