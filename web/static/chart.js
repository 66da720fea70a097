// The history of the last minutes as lines, and the colours of the labels.

const MOST = 300; // seconds shown at most
const LEAST = 60;
const GAP = 3; // seconds without a prediction after which a line is broken
const LEADERS = 5;
// Okabe and Ito's palette, which colour-blind people can tell apart, without black.
const PALETTE = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2"];
const OTHER = "#8b95a1";
const colours = new Map();
export const recoloured = new EventTarget(); // told when a label has lost its colour to another

// CRC-32 of a text, begun with 92, as timeline/colours.py has it: a label has the same colour on the page, on the
// picture and in files, unless another one with the same colour came first.
function ownColour(label) {
  let crc = ~92;
  for (const byte of new TextEncoder().encode(label)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return PALETTE[(~crc >>> 0) % PALETTE.length];
}

// A label keeps its colour while it is in use, everywhere on the page; when none is left, a label stays grey.
export function colourOf(label, inUse = null) {
  if (!colours.has(label)) {
    const taken = [...colours.values()];
    let free = [ownColour(label), ...PALETTE].find((colour) => !taken.includes(colour));
    if (!free && inUse) {
      const gone = [...colours.keys()].find((other) => !inUse.has(other));
      free = colours.get(gone);
      if (colours.delete(gone)) recoloured.dispatchEvent(new Event("change"));
    }
    if (!free) return OTHER;
    colours.set(label, free);
  }
  return colours.get(label);
}

export class Chart {
  constructor(canvas, legend) {
    this.canvas = canvas;
    this.legend = legend;
    this.points = [];
    this.shown = "";
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  replace(points) {
    this.points = points;
    this.draw();
  }

  add(point) {
    this.points.push(point);
    while (this.points.length && this.points[0].time < point.time - MOST) this.points.shift();
  }

  // The labels with the largest share of the time shown. They and those on the bars keep their colours.
  leaders() {
    const shares = new Map();
    for (const { top } of this.points)
      for (const { label, probability } of top) shares.set(label, (shares.get(label) || 0) + probability);
    const leaders = [...shares].sort((a, b) => b[1] - a[1]).slice(0, LEADERS).map(([label]) => label);
    const last = this.points.length ? this.points[this.points.length - 1].top : [];
    this.inUse = new Set([...leaders, ...last.map(({ label }) => label)]);
    return leaders;
  }

  draw() {
    const scale = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!width) return;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const now = this.points.length ? this.points[this.points.length - 1].time : 0;
    const span = Math.min(MOST, Math.max(LEAST, this.points.length ? now - this.points[0].time : 0));
    const area = { left: 38, top: 8, right: width - 8, bottom: height - 22 };
    const x = (time) => area.right - ((now - time) / span) * (area.right - area.left);
    const y = (probability) => area.bottom - probability * (area.bottom - area.top);
    drawGrid(pen, area, x, y, now, span);
    const leaders = this.leaders();
    for (const label of [...leaders].reverse()) drawLine(pen, this.points, label, x, y, colourOf(label, this.inUse));
    this.tell(leaders);
  }

  tell(leaders) {
    const shown = leaders.map((label) => label + colourOf(label)).join("\n");
    if (shown === this.shown) return;
    this.shown = shown;
    this.legend.replaceChildren(...leaders.map((label) => {
      const item = document.createElement("li"), key = document.createElement("span");
      key.className = "key";
      key.style.background = colourOf(label);
      item.append(key, label);
      return item;
    }));
    this.canvas.setAttribute("aria-label", `Probabilities of the last minutes; mostly ${leaders.join(", ") || "nothing"}`);
  }
}

function drawGrid(pen, area, x, y, now, span) {
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = "#a3adb8";
  pen.strokeStyle = "#2e353e";
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const probability of [0, 0.5, 1]) {
    pen.beginPath();
    pen.moveTo(area.left, Math.round(y(probability)) + 0.5);
    pen.lineTo(area.right, Math.round(y(probability)) + 0.5);
    pen.stroke();
    pen.fillText(`${probability * 100} %`, area.left - 6, y(probability));
  }
  pen.textBaseline = "top";
  const step = span < 120 ? 15 : 60;
  for (let seconds = 0; seconds <= span; seconds += step) {
    const place = x(now - seconds);
    pen.textAlign = !seconds ? "right" : place < area.left + 20 ? "left" : "center";
    pen.fillText(!seconds ? "now" : step < 60 ? `${seconds} s` : `${seconds / 60} min`, place, area.bottom + 7);
  }
}

function drawLine(pen, points, label, x, y, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.beginPath();
  let before = -Infinity;
  for (const { time, top } of points) {
    const found = top.find((one) => one.label === label);
    const place = [x(time), y(found ? found.probability : 0)];
    if (time - before > GAP) pen.moveTo(...place);
    else pen.lineTo(...place);
    before = time;
  }
  pen.stroke();
}
