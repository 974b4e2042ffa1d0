// A small chart of one series: a line over the time that the page remembers, with a value under the pointer.

import { el, svg, write } from "./dom.js";
import { clock, duration } from "./format.js";
import { SPAN_MS } from "./series.js";

const HEIGHT = 64;
const TOP = 6;
/** A page that was just opened shows this long, and more as it comes to know more. */
const LEAST_SPAN_MS = 60_000;

export class Chart {
  /** `name` is said to those who cannot see it; `show` turns a value into text. */
  constructor(host, { name, show }) {
    this.name = name;
    this.show = show;
    this.area = svg("path", { class: "chart-area" });
    this.line = svg("path", { class: "chart-line" });
    this.mark = svg("circle", { class: "chart-mark", r: 3, visibility: "hidden" });
    this.base = svg("line", { class: "chart-base", x1: 0, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 });
    this.picture = svg("svg", { class: "chart", role: "img", height: HEIGHT }, this.base, this.area, this.line, this.mark);
    this.most = el("span");
    this.under = el("span");
    const legend = el("div", { class: "chart-legend", "aria-hidden": "true" }, this.under, this.most);
    host.append(this.picture, legend);
    this.pointer = null;
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  point(event) {
    this.pointer = event && event.clientX - this.picture.getBoundingClientRect().left;
    this.draw();
  }

  /** Shows a series as of a time. */
  update(series, now) {
    this.series = series;
    this.now = now;
    this.draw();
  }

  draw() {
    const width = this.picture.clientWidth;
    if (!this.series || width === 0) return;
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.base.setAttribute("x2", width);
    const range = this.series.range();
    const top = Math.max(range?.most ?? 0, 1e-9);
    const known = this.now - (this.series.points[0]?.at ?? this.now);
    this.span = Math.min(Math.max(known, LEAST_SPAN_MS), SPAN_MS);
    const x = (at) => width - ((this.now - at) / this.span) * width;
    const y = (value) => HEIGHT - 1 - (Math.max(value, 0) / top) * (HEIGHT - 1 - TOP);
    const run = (points) => points.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
    const runs = this.series.runs();
    this.line.setAttribute("d", runs.map((points) => `M${run(points).join("L")}`).join(""));
    const closed = (points) =>
      `M${x(points[0].at).toFixed(1)},${HEIGHT}L${run(points).join("L")}L${x(points.at(-1).at).toFixed(1)},${HEIGHT}Z`;
    this.area.setAttribute("d", runs.map(closed).join(""));
    this.legend(range, x, y);
  }

  legend(range, x, y) {
    const newest = this.series.last();
    const said = range
      ? `${this.name}, last ${duration(this.span / 1000)}: now ${this.show(newest)}, least ${this.show(range.least)}, most ${this.show(range.most)}`
      : `${this.name}: nothing is known yet`;
    if (this.picture.getAttribute("aria-label") !== said) this.picture.setAttribute("aria-label", said);
    const near = this.pointer === null ? null : this.nearest(x);
    this.mark.setAttribute("visibility", near ? "visible" : "hidden");
    if (near) {
      this.mark.setAttribute("cx", x(near.at));
      this.mark.setAttribute("cy", y(near.value));
    }
    write(this.under, near ? `${clock(near.at)}  ${this.show(near.value)}` : duration(this.span / 1000));
    write(this.most, range ? `most ${this.show(range.most)}` : "");
  }

  nearest(x) {
    const points = this.series.points.filter((point) => point.value !== null);
    const away = (point) => Math.abs(x(point.at) - this.pointer);
    return points.reduce((best, point) => (best && away(best) <= away(point) ? best : point), null);
  }
}
