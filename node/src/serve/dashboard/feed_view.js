// The feed as rows, the newest ledger first. However much arrives, the page holds a bounded number of rows.

import { byId, el, write } from "./dom.js";
import { CLASSIC_DECIMALS, amount, assetParts, closedAt, count, counted, short } from "./format.js";

const ROWS_MAX = 200;
/** Of one ledger: a busy one would push all others off the page. */
const LEDGER_ROWS_MAX = 40;
const LEDGERS_MAX = 40;
/** That wait to be drawn; older ones would be off the page at once. */
const FRAMES_MAX = 80;

const PHASES = {
  off: "Off",
  connecting: "Connecting",
  replaying: "Catching up",
  live: "Live",
  waiting: "Connecting again",
  paused: "Paused",
  refused: "Stopped",
};

/** As many as are shown of a ledger, in its order; movements before fees, of which each transaction has one. */
function chosen(events) {
  if (events.length <= LEDGER_ROWS_MAX) return events;
  const movements = events.filter((event) => event.kind !== "fee").slice(-LEDGER_ROWS_MAX);
  const room = LEDGER_ROWS_MAX - movements.length;
  const fees = new Set(room ? events.filter((event) => event.kind === "fee").slice(-room) : []);
  const kept = new Set(movements);
  return events.filter((event) => kept.has(event) || fees.has(event));
}

export class FeedView {
  /** `narrow(field, value)` filters by what a reader pressed. */
  constructor(narrow) {
    this.narrow = narrow;
    this.host = byId("feed-ledgers");
    this.pending = [];
    this.received = 0;
    this.isHeld = false;
    const hold = (isHeld) => () => {
      this.isHeld = isHeld;
      if (!isHeld) this.draw();
      this.tell();
    };
    this.host.addEventListener("pointerenter", hold(true));
    this.host.addEventListener("pointerleave", hold(false));
    this.host.addEventListener("focusin", hold(true));
    this.host.addEventListener("focusout", hold(false));
  }

  clear() {
    this.pending = [];
    this.received = 0;
    this.newest = null;
    this.host.replaceChildren();
    this.tell();
  }

  state({ phase, detail }) {
    const badge = byId("feed-state");
    badge.dataset.phase = phase;
    write(badge, PHASES[phase]);
    write(byId("feed-detail"), detail && phase !== "refused" ? detail : "");
    this.tell();
  }

  /** A frame, or a gap, to be drawn at the next frame of the screen. */
  take(item) {
    if (item.events) this.received += item.events.length;
    this.pending.push(item);
    if (this.pending.length > FRAMES_MAX) this.pending.shift();
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      if (!this.isHeld) this.draw();
      this.tell();
    });
  }

  draw() {
    for (const item of this.pending) {
      if (!item.events) this.host.prepend(this.gap(item));
      else if (this.newest?.ledger === item.ledger && this.newest.group === this.host.firstChild) this.more(item);
      else this.host.prepend(this.ledger(item));
    }
    this.pending = [];
    this.trim();
  }

  /** From the first that is too much on, all go: a smaller one further down would stand behind a hole. */
  trim() {
    let rows = 0;
    const groups = [...this.host.children];
    const end = groups.findIndex((group, index) => {
      rows += group.querySelectorAll(".event").length;
      return index > 0 && (rows > ROWS_MAX || index >= LEDGERS_MAX);
    });
    if (end >= 0) for (const group of groups.slice(end)) group.remove();
  }

  tell() {
    const rows = this.host.querySelectorAll(".event").length;
    const held = this.pending.reduce((sum, item) => sum + (item.events?.length ?? 0), 0);
    byId("feed-empty").hidden = this.host.childElementCount > 0;
    const shown = this.received ? `${counted(this.received, "event")} received, ${count(rows)} shown` : "";
    write(byId("feed-count"), held ? `${shown}; ${count(held)} held back while you look` : shown);
  }

  gap({ from, to, why }) {
    const range = to ? `Ledgers behind ${from} up to ${to} are not shown` : `Ledgers behind ${from} are not shown`;
    return el("li", { class: "gap" }, `${range}: ${why}.`);
  }

  /** The first frame of a ledger. */
  ledger(frame) {
    const [size, rest] = [el("span"), el("p", { class: "more" })];
    const rows = el("ul", { class: "events" });
    const head = el(
      "h3",
      { class: "ledger-head" },
      el("span", {}, `Ledger ${count(frame.ledger)}`),
      size,
      el("time", { datetime: frame.closed_at ?? "" }, closedAt(frame.closed_at)),
    );
    const group = el("li", { class: "ledger" }, head, rows, rest);
    this.newest = { ledger: frame.ledger, events: 0, shown: [], group, size, rows, rest };
    this.more(frame);
    return group;
  }

  /** A further frame of the newest ledger: a large one comes in parts. */
  more(frame) {
    const { newest } = this;
    newest.events += frame.events.length;
    newest.shown = chosen([...newest.shown, ...frame.events]);
    newest.rows.replaceChildren(...newest.shown.toReversed().map((event) => this.event(event)));
    const hidden = newest.events - newest.shown.length;
    write(newest.size, counted(newest.events, "event"));
    write(newest.rest, `${counted(hidden, "more event")} of this ledger, fees first left out: narrow the filter to see them`);
    newest.rest.hidden = hidden === 0;
  }

  event(event) {
    const kind = String(event.kind);
    const isRefund = kind === "fee" && String(event.amount).startsWith("-");
    return el(
      "li",
      { class: "event" },
      el("span", { class: `kind ${kind}` }, isRefund ? "refund" : kind),
      this.amount(event),
      this.asset(event),
      el("span", { class: "way" }, this.side("from", event.from), this.side("to", event.to)),
      el("span", { class: "tx", title: `transaction ${event.tx_hash}, event ${event.event_id}` }, short(String(event.tx_hash), 8, 0)),
    );
  }

  /** Seven decimals for what a classic asset is; a contract's own token says nowhere how many it has. */
  amount({ amount: raw, asset }) {
    if (asset === null || asset === undefined) {
      return el("span", { class: "amount", title: "In the token's smallest unit: its contract says how many decimals it has" }, amount(raw, 0), el("small", {}, " raw"));
    }
    const [whole, fraction] = amount(raw, CLASSIC_DECIMALS).split(".");
    return el("span", { class: "amount" }, whole, fraction === undefined ? null : el("small", {}, `.${fraction}`));
  }

  asset({ asset, contract_id }) {
    if (asset === null || asset === undefined) {
      return el("span", { class: "asset", title: `Contract ${contract_id}` }, el("span", { class: "id" }, short(String(contract_id))), el("small", {}, " contract"));
    }
    const { code, issuer } = assetParts(asset);
    const from = issuer === "native" ? null : el("small", {}, ` ${short(issuer)}`);
    const press = () => this.narrow("asset", asset);
    return el("button", { type: "button", class: "asset link", title: `Show only ${asset}`, onclick: press }, code, from);
  }

  side(which, address) {
    if (address === null || address === undefined) return null;
    const press = () => this.narrow("account", address);
    const label = el("small", {}, `${which} `);
    return el("span", { class: which }, label, el("button", { type: "button", class: "id link", title: `Show only ${address}`, onclick: press }, short(String(address))));
  }
}
