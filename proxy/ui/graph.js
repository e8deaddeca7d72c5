// Graphs of the last five minutes, drawn as SVG paths.

const SVG = "http://www.w3.org/2000/svg";
const GAP_SECONDS = 5; // without a point for so long: the line breaks

function makeSvg(tag, className) {
  const node = document.createElementNS(SVG, tag);
  if (className) node.setAttribute("class", className);
  return node;
}

// The path of points {t, v}; `close`: down to the base line, for an area.
function pathOf(points, x, y, base, close) {
  let path = "";
  let before = null;
  let start = 0;
  const end = () => {
    if (close && before !== null) path += "L" + x(before) + " " + base + "L" + start + " " + base + "Z";
  };
  for (const { t, v } of points) {
    if (!Number.isFinite(v)) continue;
    const at = x(t);
    if (before === null || t - before > GAP_SECONDS) {
      end();
      start = at;
      path += "M" + at + " " + y(v);
    } else {
      path += "L" + at + " " + y(v);
    }
    before = t;
  }
  end();
  return path;
}

// The next of 1, 2, 5, 10 ... above a number.
function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const power = Math.pow(10, Math.floor(Math.log10(value)));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value * 0.999);
}

const round1 = (n) => Math.round(n * 10) / 10;

// A titled graph with one or two lines and a big number. `read(point)` gives [first, second]; `show` makes
// text of one of them.
class Graph {
  constructor(parent, { name, read, show, floor }) {
    this.read = read;
    this.show = show;
    this.floor = floor; // the axis reaches at least so far
    this.figure = make("figure", "card");
    const caption = make("figcaption");
    this.value = make("span", "value");
    this.also = make("span", "also");
    caption.append(make("span", "name", name), this.value, this.also);
    this.svg = makeSvg("svg");
    this.svg.setAttribute("role", "img");
    this.grid = makeSvg("path", "grid");
    this.area = makeSvg("path", "area");
    this.second = makeSvg("path", "second");
    this.main = makeSvg("path", "main");
    this.cursor = makeSvg("path", "cursor");
    this.top = makeSvg("text");
    this.left = makeSvg("text");
    this.right = makeSvg("text");
    this.left.textContent = MINUS + "5 min";
    this.right.textContent = "now";
    this.right.setAttribute("text-anchor", "end");
    this.svg.append(this.area, this.grid, this.second, this.main, this.cursor, this.top, this.left, this.right);
    this.figure.append(caption, this.svg);
    parent.append(this.figure);
    this.name = name;
    this.points = [];
    this.hover = null;
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.figure);
  }
  point(offset) {
    this.hover = offset;
    this.draw();
  }
  set(points, value, also) {
    this.points = points;
    this.text = also;
    setText(this.value, value);
    setAttribute(this.svg, "aria-label", this.name + " now: " + value + ". " + also);
    this.draw();
  }
  draw() {
    const width = Math.max(this.svg.parentNode.clientWidth - 28, 80);
    const height = 76;
    const base = height - 16;
    setAttribute(this.svg, "width", String(width));
    setAttribute(this.svg, "height", String(height));
    const now = this.points.length ? this.points[this.points.length - 1].t : 0;
    const lines = [0, 1].map((i) => this.points.map((p) => ({ t: p.t, v: this.read(p)[i] })));
    const most = Math.max(...lines.flat().map((p) => (Number.isFinite(p.v) ? p.v : 0)), this.floor || 0);
    const top = niceCeiling(most);
    const x = (t) => round1(width - ((now - t) / KEEP_SECONDS) * width);
    const y = (v) => round1(base - (v / top) * (base - 14));
    this.main.setAttribute("d", pathOf(lines[0], x, y, base, false));
    this.area.setAttribute("d", pathOf(lines[0], x, y, base, true));
    this.second.setAttribute("d", pathOf(lines[1], x, y, base, false));
    this.grid.setAttribute("d", "M0 14H" + width + "M0 " + base + "H" + width);
    this.place(this.top, 0, 10, this.show(top));
    this.place(this.left, 0, height - 2);
    this.place(this.right, width, height - 2);
    this.drawCursor(now, width, x, base);
  }
  drawCursor(now, width, x, base) {
    let nearest = null;
    if (this.hover !== null && this.points.length) {
      const t = now - ((width - this.hover) / width) * KEEP_SECONDS;
      nearest = this.points.reduce((a, b) => (Math.abs(b.t - t) < Math.abs(a.t - t) ? b : a));
    }
    this.cursor.setAttribute("d", nearest ? "M" + x(nearest.t) + " 14V" + base : "");
    if (!nearest) return setText(this.also, this.text || "");
    const values = this.read(nearest).filter((v) => v !== undefined);
    const ago = Math.round(now - nearest.t);
    setText(this.also, (ago ? ago + " s ago: " : "now: ") + values.map(this.show).join(" / "));
  }
  place(node, x, y, text) {
    setAttribute(node, "x", String(x));
    setAttribute(node, "y", String(y));
    if (text !== undefined) setText(node, text);
  }
}

// A line without axes; drawn only while it can be seen.
class Sparkline {
  constructor(className) {
    this.svg = makeSvg("svg", className);
    this.svg.setAttribute("width", "120");
    this.svg.setAttribute("height", "24");
    this.svg.setAttribute("aria-hidden", "true");
    this.area = makeSvg("path", "area");
    this.line = makeSvg("path", "main");
    this.svg.append(this.area, this.line);
    this.svg.sparkline = this;
    this.visible = false;
    Sparkline.watcher.observe(this.svg);
  }
  set(history) {
    this.history = history;
    if (this.visible) this.draw();
  }
  draw() {
    if (!this.history || !this.history.points.length) return;
    const points = this.history.points;
    const now = points[points.length - 1].t;
    const coarse = [];
    for (let i = points.length - 1; i >= 0; i -= 3) {
      const three = points.slice(Math.max(i - 2, 0), i + 1);
      coarse.unshift({ t: points[i].t, v: Math.max(...three.map((p) => p.rate)) });
    }
    const most = Math.max(...coarse.map((p) => p.v), 0.1);
    const x = (t) => round1(120 - ((now - t) / KEEP_SECONDS) * 120);
    const y = (v) => round1(22 - (v / most) * 20);
    this.line.setAttribute("d", pathOf(coarse, x, y, 22, false));
    this.area.setAttribute("d", pathOf(coarse, x, y, 22, true));
  }
}
Sparkline.watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.sparkline.visible = isIntersecting;
    if (isIntersecting) target.sparkline.draw();
  }
});
