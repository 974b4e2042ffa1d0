// A few minutes of one figure. Bounded by time and by points, whatever is pushed.

export const SPAN_MS = 5 * 60 * 1000;
const POINTS_MAX = 600;

export class Series {
  constructor(spanMs = SPAN_MS) {
    this.spanMs = spanMs;
    this.points = [];
  }

  /** Adds a value at a time in milliseconds; what is no number is a hole, so that an outage does not look like a line. */
  push(at, value) {
    const isNumber = typeof value === "number" && Number.isFinite(value);
    this.points.push({ at, value: isNumber ? value : null });
    while (this.points.length > POINTS_MAX || (this.points.length && this.points[0].at < at - this.spanMs)) {
      this.points.shift();
    }
  }

  /** The newest value that is one. */
  last() {
    return this.points.findLast((point) => point.value !== null)?.value ?? null;
  }

  /** Least and most, null if there is no value. */
  range() {
    const values = this.points.map((point) => point.value).filter((value) => value !== null);
    return values.length ? { least: Math.min(...values), most: Math.max(...values) } : null;
  }

  /** How much the value grew over the newest `spanMs`; null if it is not known for most of that time. */
  growth(spanMs) {
    const newest = this.points.findLast((point) => point.value !== null);
    if (!newest) return null;
    const first = this.points.find((point) => point.at >= newest.at - spanMs && point.value !== null);
    return newest.at - first.at < spanMs * 0.8 ? null : newest.value - first.value;
  }

  /** Values in runs without holes. */
  runs() {
    const runs = [[]];
    for (const point of this.points) {
      if (point.value === null) runs.push([]);
      else runs.at(-1).push(point);
    }
    return runs.filter((run) => run.length > 0);
  }
}
