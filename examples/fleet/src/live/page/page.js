// Shows the newest snapshot of the fleet, and sends commands.
import { Chart, hms } from "./chart.js";

const $ = (id) => document.getElementById(id);
const grouped = (n) => n.toLocaleString("en-US").replaceAll(",", "\u202f");
const bytes = (n) => (n < 1e6 ? `${Math.round(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`);

function text(element, value) {
  value = String(value);
  if (element.textContent !== value) element.textContent = value;
}

function make(tag, className, content, parent) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (content !== undefined) element.textContent = content;
  parent?.append(element);
  return element;
}

// Keeps an element for each key, in order, so that focus and readers stay where they are.
function keep(parent, items, key, create, update) {
  parent.kept ??= new Map();
  const wanted = new Set(items.map(key));
  for (const [k, element] of parent.kept) {
    if (!wanted.has(k)) { element.remove(); parent.kept.delete(k); }
  }
  let before = null;
  for (const item of [...items].reverse()) {
    let element = parent.kept.get(key(item));
    if (!element) {
      element = create(item);
      parent.kept.set(key(item), element);
    }
    if (element.parentNode !== parent || element.nextSibling !== before) parent.insertBefore(element, before);
    update?.(element, item);
    before = element;
  }
}

const newest = (values) => values.findLast((v) => v !== null) ?? null;

// ---- commands ----

let state = null;
let connected = true;
const tracker = () => Number($("which").value);

async function send(command) {
  const said = $("said");
  try {
    const answer = await fetch("/command", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(command),
    });
    if (!answer.ok) throw new Error(await answer.text());
    const { done, said: words } = await answer.json();
    said.className = done ? "" : "refused";
    said.textContent = done ? words : `Not done: ${words}.`;
  } catch {
    said.className = "refused";
    said.textContent = "Not done: the fleet does not answer.";
  }
}

$("link").onclick = () => send({ do: state?.pipeline.link_up === false ? "restore-link" : "cut-link" });
$("rollout").onclick = () => send({ do: "roll-out" });
$("plug").onclick = () => {
  const unplugged = state?.trackers[tracker() - 1]?.power === "unplugged";
  send({ do: unplugged ? "plug" : "unplug", tracker: tracker() });
};
$("poison").onclick = () => send({ do: "poison", tracker: tracker() });
$("tail").onclick = () => send({ do: "corrupt-tail", tracker: tracker() });
$("which").onchange = () => state && buttons(state);

function buttons(s) {
  text($("link"), s.pipeline.link_up ? "Cut the link" : "Restore the link");
  const name = `tracker ${tracker()}`;
  const chosen = s.trackers[tracker() - 1];
  text($("plug"), chosen?.power === "unplugged" ? `Plug ${name} in` : `Unplug ${name}`);
  text($("poison"), `Send a poison record from ${name}`);
  text($("tail"), `Corrupt the tail of ${name}’s spool`);
  for (const id of ["link", "rollout", "plug", "poison", "tail", "which"]) $(id).disabled = s.ended !== "";
}

// ---- charts ----

const rates = new Chart($("chart-rates"), "Records a virtual second", ["published", "stored", "durable"]);
const lag = new Chart($("chart-lag"), "Seconds that the rows are behind the clock", ["lag"]);

// ---- trackers ----

const POWER = { waiting: "not on yet", on: "on", unplugged: "unplugged", done: "activity over" };

function card(t) {
  const article = make("article", "card tracker");
  const head = make("div", "head", undefined, article);
  make("h3", "", `Tracker ${t.number}`, head);
  const chips = make("span", "chips", undefined, head);
  const parts = {
    power: make("span", "chip", "", chips),
    firmware: make("span", "chip", "", chips),
  };
  const screen = make("div", "screen", undefined, article);
  parts.dark = make("p", "dark", "", screen);
  parts.image = make("img", "", undefined, screen);
  parts.image.alt = `Screen of tracker ${t.number}`;
  parts.image.width = 480;
  parts.image.height = 272;
  parts.image.hidden = true;
  parts.curves = make("div", "curves", undefined, article);
  parts.facts = make("p", "note facts", "", article);
  parts.recovered = make("p", "note recovered", "", article);
  article.parts = parts;
  return article;
}

function showTracker(article, t, s) {
  const p = article.parts;
  text(p.power, POWER[t.power]);
  p.power.className = `chip power-${t.power}`;
  text(p.firmware, `firmware ${t.firmware}`);
  p.firmware.classList.toggle("evolved", t.firmware > 1);
  article.classList.toggle("off", t.power === "unplugged");
  const dark = t.power === "unplugged" || t.screen === 0;
  p.image.hidden = dark;
  p.dark.hidden = !dark;
  text(p.dark, t.power === "unplugged" ? "No power" : "Not switched on yet");
  const source = `/screens/${t.number}?${t.screen}`;
  if (t.screen > 0 && p.image.getAttribute("src") !== source) p.image.src = source;
  keep(p.curves, t.curves, (c) => c.name, (c) => curve(t, c), (figure, c) => showCurve(figure, t, c, s));
  text(p.facts, `${t.source.replace(/#\d+$/, "")} · ${grouped(t.spooled)} in its spool · stored up to ${hms(t.watermark)}`);
  text(p.recovered, t.recovered ? `Last opening: ${t.recovered}` : "");
}

function curve(t, c) {
  const figure = make("figure");
  const caption = make("figcaption", "", undefined, figure);
  make("span", "", c.name, caption);
  figure.value = make("strong", "", "–", caption);
  make("span", "unit", c.unit, caption);
  figure.stored = make("span", "note", "", caption);
  figure.chart = new Chart(figure, `${c.name} of tracker ${t.number}`, [c.class], { height: 46, small: true, fromZero: false });
  return figure;
}

function showCurve(figure, t, c, s) {
  const value = newest(c.values);
  const words = value === null ? "–" : value.toFixed(c.digits);
  text(figure.value, words);
  // The curve ends with the newest row, which may be older than the screen above it.
  text(figure.stored, t.watermark === null ? "" : `stored at ${hms(t.watermark)}`);
  figure.chart.show(s.curves.from, s.curves.width, [c.values], s.curves.outages,
    value === null ? "no values" : `${words} ${c.unit}, stored at ${hms(t.watermark)}`);
}

// ---- lists ----

function line(item) {
  const li = make("li");
  make("time", "", hms(item.at), li);
  make("span", item.kind ?? "", item.text, li);
  return li;
}

function incident(i) {
  const article = make("article");
  const head = make("h3", "", undefined, article);
  make("span", "chip alarm", i.priority, head);
  make("span", "", `${i.id} `, head);
  const state = make("span", "chip", "", head);
  make("p", "note", i.text, article);
  const clocks = i.clocks.map((clock) => {
    const row = make("p", "sla", undefined, article);
    const words = make("span", "", "", row);
    const meter = make("meter", "", undefined, row);
    [meter.min, meter.max, meter.high] = [0, clock.target, clock.target * 0.75];
    return { words, meter };
  });
  const story = make("ol", "line", undefined, article);
  article.parts = { state, clocks, story };
  return article;
}

function showIncident(article, i) {
  const p = article.parts;
  text(p.state, i.state);
  i.clocks.forEach((clock, n) => {
    const left = clock.target - clock.used;
    const words = left >= 0 ? `${hms(left)} left` : `${hms(-left)} over`;
    const label = `time to ${clock.name}: ${words}${clock.runs ? "" : ", stopped"}`;
    text(p.clocks[n].words, label);
    p.clocks[n].meter.value = clock.used;
    p.clocks[n].meter.setAttribute("aria-label", label);
  });
  keep(p.story, i.story, (l) => `${l.at} ${l.text}`, line);
}

let playing = null;
function play(names) {
  playing?.pause();
  const [first, ...rest] = names;
  if (!first) return;
  playing = new Audio(`/cues/${first}`);
  playing.onended = () => play(rest);
  playing.play().catch(() => { $("said").textContent = "This sound cannot be played here."; });
}

function cue(c) {
  const li = make("li");
  make("time", "", hms(c.at), li);
  if (c.sounds.length > 0) {
    const button = make("button", "play", "▶", li);
    button.type = "button";
    button.setAttribute("aria-label", `Play: ${c.text}`);
    button.onclick = () => play(c.sounds);
  }
  make("span", "chip", c.who, li);
  make("q", "", c.text, li);
  make("span", "note", c.how, li);
  return li;
}

function nothing(parent, items, words) {
  parent.nothing ??= make("p", "note", words);
  if (items.length === 0) parent.before(parent.nothing);
  else parent.nothing.remove();
}

// ---- the page ----

function ledger(l) {
  const rows = [...l.devices, l.total];
  keep($("ledger"), rows, (row) => row.name, (row) => {
    const tr = make("tr");
    make("th", "", row.name, tr).scope = "row";
    tr.cells6 = Array.from({ length: 6 }, () => make("td", "number", "", tr));
    return tr;
  }, (tr, row) => {
    [row.numbered, row.stored, row.waiting, row.set_aside, row.missing, row.twice]
      .forEach((value, n) => text(tr.cells6[n], grouped(value)));
  });
  for (const [id, value] of [["numbered", l.total.numbered], ["stored", l.total.stored], ["waiting", l.total.waiting],
    ["aside", l.total.set_aside], ["missing", l.total.missing], ["twice", l.total.twice]]) {
    text($(`total-${id}`), grouped(value));
  }
  verdict(l);
}

// Green is a promise about now: without a connection it is only what was true then.
function verdict(l) {
  const stands = connected || state.ended !== "";
  $("verdict").className = `verdict ${stands ? l.tone : "stale"}`;
  text($("verdict").firstElementChild, stands ? l.mark : "?");
  text($("verdict-text"), l.verdict);
  const waiting = l.total.waiting;
  text($("waiting"), waiting === 0 ? "" : waiting === 1 ? "1 record waits." : `${grouped(waiting)} records wait.`);
  text($("connection"), stands ? "" : `No connection to the fleet. This is as of ${hms(state.now)}.`);
}

function pipeline(p) {
  text($("running"), p.running);
  text($("spooled"), grouped(p.spooled));
  text($("spool-bytes"), bytes(p.spool_bytes));
  text($("spool-mark"), hms(p.spool_watermark));
  text($("log-bytes"), bytes(p.log_bytes));
  text($("aside"), grouped(p.set_aside));
  text($("lag"), `${p.lag} s`);
  text($("store-mark"), hms(p.store_watermark));
  text($("again"), grouped(p.again));
  for (const [name, rate] of [["durable", p.durable_rate], ["logged", p.logged_rate], ["stored", p.stored_rate]]) {
    text($(`rate-${name}`), rate.toFixed(1));
    $(`arrow-${name}`).classList.toggle("flows", rate >= 0.5);
  }
  $("arrow-logged").classList.toggle("down", !p.link_up);
  text($("link-state"), p.link_up ? "link up" : "link down");
}

function show(s) {
  state = s;
  text($("clock"), hms(s.now));
  text($("phase"), s.ended ? "over" : s.phase);
  $("phase").className = `chip phase-${s.ended ? "over" : s.phase}`;
  text($("speed"), s.ended ? s.ended : s.speed ? `${s.speed} × real time` : "as fast as it goes");
  if (s.report && !$("report")) {
    const link = make("a", "", "Open the report");
    link.id = "report";
    link.href = "/report.html";
    $("speed").after(" ", link);
  }
  if ($("which").options.length === 0) {
    for (const t of s.trackers) $("which").add(new Option(String(t.number), String(t.number)));
  }
  ledger(s.ledger);
  pipeline(s.pipeline);
  buttons(s);
  const c = s.curves;
  rates.show(c.from, c.width, [c.logged, c.stored, c.durable], c.outages,
    `durable ${s.pipeline.durable_rate}, logged ${s.pipeline.logged_rate}, stored ${s.pipeline.stored_rate} now`);
  lag.show(c.from, c.width, [c.lag], c.outages, `${s.pipeline.lag} seconds now`);
  keep($("trackers"), s.trackers, (t) => t.number, card, (a, t) => showTracker(a, t, s));
  keep($("events"), s.events, (e) => e.number, line);
  keep($("incidents"), s.incidents, (i) => i.id, incident, showIncident);
  keep($("cues"), s.cues, (x) => `${x.at} ${x.who} ${x.text} ${x.how}`, cue);
  keep($("schemas"), s.schemas, (x) => `${x.at} ${x.text}`, line);
  nothing($("events"), s.events, "Nothing yet. The buttons above change that.");
  nothing($("incidents"), s.incidents, "None.");
  nothing($("cues"), s.cues, "None yet.");
  nothing($("schemas"), s.schemas, "None yet.");
  document.documentElement.dataset.second = s.now;
}

const events = new EventSource("/events");
events.onmessage = (message) => {
  connected = true;
  show(JSON.parse(message.data));
};
events.onerror = () => {
  connected = false;
  if (state) verdict(state.ledger);
};
