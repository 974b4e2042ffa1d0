// The four figures at the top, and what of their course the verdict needs.

import { Chart } from "./chart.js";
import { byId, write } from "./dom.js";
import { closedAt, count, duration, rate } from "./format.js";
import { Series } from "./series.js";

const MINUTE_MS = 60_000;
/** Ledgers that closed longer ago than this are history, and their age is not the node's delay. */
const HISTORY_S = 86_400;

export class Tiles {
  constructor() {
    this.lagLedgers = new Series();
    this.age = new Series();
    this.ledgers = new Series();
    this.events = new Series();
    this.tipChanges = [];
    this.tip = -1;
    this.newestClosed = { ledger: -1, at: null };
    this.feedLag = null;
    this.charts = {
      lag: new Chart(byId("chart-lag"), { name: "Ledgers behind", show: count }),
      ledgers: new Chart(byId("chart-ledgers"), { name: "Ledgers per second", show: rate }),
      events: new Chart(byId("chart-events"), { name: "Events per second", show: rate }),
    };
  }

  /** A new answer of /v1/status. */
  status(status, now) {
    this.reached(status.tip ?? status.checkpoint, now);
    this.closed(status.tip, status.tip_closed_at);
    this.now = status;
    this.lagLedgers.push(now, number(status.lag_ledgers));
    this.age.push(now, number(status.lag_seconds));
    this.ledgers.push(now, number(status.rates?.ledgers_per_second));
    this.events.push(now, number(status.rates?.events_per_second));
  }

  /** A ledger that is there, as the status or the feed tells; whichever is first. */
  reached(tip, now) {
    const ledger = number(tip);
    if (ledger === null || ledger <= this.tip) return;
    this.tip = ledger;
    this.tipChanges = [...this.tipChanges.slice(-9), now];
  }

  /** When a ledger closed. */
  closed(ledger, at) {
    if (typeof at === "string" && number(ledger) >= this.newestClosed.ledger) this.newestClosed = { ledger: number(ledger), at };
  }

  closedText() {
    const { ledger, at } = this.newestClosed;
    if (at === null) return "";
    return ledger === this.tip ? `closed ${closedAt(at)}` : `${count(ledger)} closed ${closedAt(at)}`;
  }

  /** Nobody answered: the lines have a hole there. */
  hole(now) {
    for (const series of [this.lagLedgers, this.age, this.ledgers, this.events]) series.push(now, null);
  }

  /** How late the feed says that it is, in milliseconds. */
  lag(milliseconds) {
    this.feedLag = milliseconds;
  }

  /** What the verdict asks of the course of things. */
  trends() {
    const times = this.tipChanges;
    const everyMs = times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) : null;
    return {
      tip: times.length ? { changedAt: times.at(-1), everyMs } : null,
      lagGrowth: this.lagLedgers.growth(MINUTE_MS),
      ageGrowth: this.age.growth(MINUTE_MS),
    };
  }

  /** Draws, once a second: ages grow also while nothing arrives. */
  tick(now) {
    const status = this.now;
    if (!status) return;
    write(byId("tip"), this.tip < 0 ? "–" : count(this.tip));
    write(byId("tip-closed"), this.closedText());
    write(byId("arrived"), this.tipChanges.length ? `${duration((now - this.tipChanges.at(-1)) / 1000)} ago` : "–");
    write(byId("checkpoint"), count(status.checkpoint));
    write(byId("oldest"), count(status.oldest));
    this.tickLag(status, now);
    write(byId("ledgers-rate"), rate(this.ledgers.last()));
    write(byId("events-rate"), rate(this.events.last()));
    this.charts.ledgers.update(this.ledgers, now);
    this.charts.events.update(this.events, now);
  }

  /** In ledgers where the newest one of the network is known, else in time. */
  tickLag(status, now) {
    const lag = number(status.lag_ledgers);
    const age = number(status.lag_seconds) ?? (this.feedLag === null ? null : this.feedLag / 1000);
    const isHistory = age !== null && age > HISTORY_S;
    write(byId("lag"), lag === null ? duration(age) : count(lag));
    write(byId("lag-unit"), lag === null ? "" : "ledgers");
    const since = isHistory ? "since the durable ledger closed: this is history" : "from a ledger's close until it is durable";
    write(byId("lag-age"), lag === null ? since : ageOf(age, isHistory));
    const { lag: chart } = this.charts;
    [chart.name, chart.show] = lag === null ? ["Age of the newest durable ledger", duration] : ["Ledgers behind", count];
    chart.update(lag !== null ? this.lagLedgers : isHistory ? NO_SERIES : this.age, now);
  }
}

const NO_SERIES = new Series();

const number = (value) => {
  const read = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof read === "number" && Number.isFinite(read) ? read : null;
};

function ageOf(age, isHistory) {
  if (age === null) return "";
  return isHistory ? `durable ledger closed ${duration(age)} ago: this is history` : `durable ${duration(age)} after it closed`;
}
