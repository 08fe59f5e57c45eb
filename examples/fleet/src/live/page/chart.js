// Lines over virtual time, drawn as wide as there is room.
const NS = "http://www.w3.org/2000/svg";

export function hms(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const pad = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

function svg(tag, attributes, parent) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

// The next number up of 1, 2, 5, 10, ...
function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].find((f) => f * power >= step * 0.999) * power;
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) target.chart?.draw();
});

export class Chart {
  // `lines` are class names of the lines; a small chart has no axes.
  constructor(parent, name, lines, { height = 170, small = false, fromZero = true } = {}) {
    Object.assign(this, { name, height, small, fromZero });
    this.svg = svg("svg", { role: "img", "aria-label": name, height, class: small ? "spark" : "chart" }, parent);
    this.shade = svg("g", {}, this.svg);
    this.grid = svg("g", {}, this.svg);
    this.paths = lines.map((line) => svg("path", { class: line }, this.svg));
    this.svg.chart = this;
    resized.observe(this.svg);
  }

  // `values` has an array for each line; `shaded` has pairs of seconds.
  show(from, width, values, shaded, summary) {
    Object.assign(this, { from, width, values, shaded });
    this.svg.setAttribute("aria-label", `${this.name}: ${summary}`);
    this.draw();
  }

  draw() {
    const room = this.svg.clientWidth;
    if (!this.values || room === 0) return;
    const [left, right, top, bottom] = this.small ? [1, 1, 3, 3] : [38, 8, 8, 20];
    const known = this.values.flat().filter((v) => v !== null);
    let low = this.fromZero ? 0 : Math.min(...known);
    let high = Math.max(...known, this.fromZero ? 1 : -Infinity);
    if (known.length === 0) [low, high] = [0, 1];
    const step = nice(Math.max(high - low, 1) / (this.small ? 2 : 3));
    low = Math.floor(low / step) * step;
    high = Math.max(Math.ceil(high / step) * step, low + step);
    const points = Math.max(...this.values.map((v) => v.length), 2);
    const x = (i) => left + ((room - left - right) * i) / (points - 1);
    const y = (v) => top + (this.height - top - bottom) * (1 - (v - low) / (high - low));
    this.svg.setAttribute("viewBox", `0 0 ${room} ${this.height}`);
    const place = (second) => x(Math.min(Math.max((second - this.from) / this.width, 0), points - 1));
    this.shade.replaceChildren(...this.shaded.map(([a, b]) => svg("rect", {
      class: "outage", x: place(a).toFixed(1), y: top,
      width: Math.max(place(b) - place(a), 1).toFixed(1), height: this.height - top - bottom,
    })));
    if (!this.small) this.axes(low, high, step, points, x, y, { left, right, bottom, room });
    this.values.forEach((line, i) => this.paths[i].setAttribute("d", path(line, x, y)));
  }

  axes(low, high, step, points, x, y, { left, right, bottom, room }) {
    const parts = [];
    for (let v = low; v <= high + step / 2; v += step) {
      parts.push(svg("path", { class: "grid", d: `M${left} ${y(v).toFixed(1)}H${room - right}` }));
      const label = svg("text", { x: left - 6, y: (y(v) + 4).toFixed(1), "text-anchor": "end" });
      label.textContent = Number(v.toFixed(1));
      parts.push(label);
    }
    const every = [60, 120, 300].find((s) => (s / this.width) * (x(1) - x(0)) > 60) ?? 600;
    const last = this.from + (points - 1) * this.width;
    for (let s = Math.ceil(this.from / every) * every; s <= last; s += every) {
      const at = x((s - this.from) / this.width);
      if (at > room - 24) break;
      const label = svg("text", { x: at.toFixed(1), y: this.height - bottom + 16, "text-anchor": "middle" });
      label.textContent = hms(s);
      parts.push(label);
    }
    this.grid.replaceChildren(...parts);
  }
}

// A line that stops where values are missing for long.
function path(values, x, y) {
  let d = "";
  let missing = 9;
  values.forEach((value, i) => {
    if (value === null) { missing += 1; return; }
    d += `${missing > 3 ? "M" : "L"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    if (missing > 3) d += "h0";
    missing = 0;
  });
  return d;
}
