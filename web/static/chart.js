// The history of the last minutes as lines, and the colours of the labels.

const MOST = 300; // seconds shown at most
const LEAST = 60;
const GAP = 3; // seconds without a prediction after which a line is broken
const LEADERS = 5;
const OTHER = "#8b95a1";
// Lengths of strokes and gaps: lines that share a colour differ in these.
const PATTERNS = [[], [10, 5], [2.4, 4.4], [12, 4.4, 2.4, 4.4]];
const colours = new Map();
export const recoloured = new EventTarget(); // told when a label has got another colour

// Remembers the labels' colours, of records {label, colour}. The program chooses them: they are those of its own charts.
export function learn(records) {
  let changed = false;
  for (const { label, colour } of records) {
    changed ||= colours.has(label) && colours.get(label) !== colour;
    colours.set(label, colour);
  }
  if (changed) recoloured.dispatchEvent(new Event("change"));
}

export const colourOf = (label) => colours.get(label) || OTHER;

export class Chart {
  constructor(canvas, legend) {
    this.canvas = canvas;
    this.legend = legend;
    this.points = [];
    this.shown = "";
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  replace(points) {
    learn(points.flatMap((point) => point.top));
    this.points = points;
    this.draw();
  }

  add(point) {
    learn(point.top);
    while (this.points.length && this.points[this.points.length - 1].time > point.time) this.points.pop(); // a clock set back
    this.points.push(point);
    while (this.points.length && this.points[0].time < point.time - MOST) this.points.shift();
  }

  // The labels with the largest share of the time shown.
  leaders() {
    const shares = new Map();
    for (const { top } of this.points)
      for (const { label, probability } of top) shares.set(label, (shares.get(label) || 0) + probability);
    return [...shares].sort((a, b) => b[1] - a[1]).slice(0, LEADERS).map(([label]) => label);
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
    const used = leaders.map(colourOf);
    for (let n = leaders.length - 1; n >= 0; n--) {
      const before = used.slice(0, n).filter((colour) => colour === used[n]).length;
      pen.setLineDash(PATTERNS[before % PATTERNS.length]);
      drawLine(pen, this.points, leaders[n], x, y, used[n]);
    }
    pen.setLineDash([]);
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
