// One actor in full: what it does, what ended its lives, and where to look further.

import { WHERE, byId, command, el, write } from "./dom.js";
import { bytes, clock, count, duration, rate } from "./format.js";
import { find } from "./tree.js";

/** Of what this page saw itself, in all. */
const SEEN_MAX = 300;

export class ActorView {
  constructor(api) {
    this.api = api;
    this.dialog = byId("actor");
    this.path = null;
    this.lives = new Map();
    this.seen = [];
    this.drawn = "";
    byId("actor-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => (this.path = null));
  }

  open(path) {
    this.path = path;
    this.history = null;
    this.drawn = "";
    this.draw();
    if (!this.dialog.open) this.dialog.showModal();
    this.ask();
  }

  /** The newest tree. Notes new lives: the tree tells how many there were, not when. */
  show(roots) {
    const isFirst = this.lives.size === 0;
    const walk = (actors) => {
      for (const actor of actors) {
        this.note(actor, isFirst);
        walk(actor.children);
      }
    };
    walk(roots);
    this.roots = roots;
    if (this.path !== null) this.draw();
  }

  note(actor, isFirst) {
    if (actor.kind === "node") return;
    const before = this.lives.get(actor.path);
    const now = { incarnation: actor.incarnation, state: actor.state };
    this.lives.set(actor.path, now);
    if (isFirst || !before) return;
    const isNewLife = before.incarnation !== now.incarnation;
    const hasParked = before.state !== now.state && ["parked", "ended", "restarting"].includes(now.state);
    if (!isNewLife && !hasParked) return;
    const what = isNewLife ? `life ${count(now.incarnation)} began` : now.state;
    this.seen.unshift({ path: actor.path, at: Date.now(), what, why: actor.last_error });
    this.seen.length = Math.min(this.seen.length, SEEN_MAX);
    if (this.path === actor.path) this.ask();
  }

  /** What the node noted of its earlier lives. */
  async ask() {
    const { path } = this;
    // A node is no actor: all that is known of it is in the tree.
    if (!path.includes("/")) return;
    const answer = await this.api.get(`v1/actors/${encodeURIComponent(path)}`);
    if (path === null || path !== this.path) return;
    this.history = answer;
    this.draw();
  }

  draw() {
    const actor = find(this.roots ?? [], this.path);
    const key = JSON.stringify([this.path, actor, this.history, this.seen.length], (name, value) => (name === "children" ? undefined : value));
    if (key === this.drawn) return;
    this.drawn = key;
    write(byId("actor-title"), this.path);
    const host = byId("actor-body");
    if (!actor) {
      host.replaceChildren(el("p", {}, "This actor is gone: its work has ended, or its node has left."));
      return;
    }
    const isNode = actor.kind === "node";
    host.replaceChildren(
      el("dl", { class: "facts" }, (isNode ? nodeFacts : facts)(actor).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("h3", {}, "Last error"),
      actor.last_error ? el("pre", { class: "error", tabindex: 0 }, actor.last_error) : el("p", { class: "quiet" }, isNode ? "It answers." : "None in the lives of this actor that its supervisor knows."),
      ...(isNode ? [] : this.restarts(actor)),
      el("h3", {}, "Look further"),
      el("p", { class: "commands" }, (isNode ? ["orrery tree", "orrery logs --follow"] : [`orrery inspect ${actor.path}`, "orrery restarts --last 50", "orrery logs --follow"]).map(command)),
      el("p", { class: "quiet" }, WHERE),
    );
  }

  restarts(actor) {
    const own = this.seen.filter((one) => one.path === actor.path);
    const seen = own.map((one) => el("li", {}, el("time", {}, clock(one.at)), " ", one.what, one.why ? el("span", { class: "why" }, one.why) : null));
    const told = Array.isArray(this.history?.value?.restarts) ? this.history.value.restarts : null;
    const noted = (told ?? [])
      .toReversed()
      .map((one) => el("li", {}, `life ${count(one.incarnation)} of ${one.child} ended`, el("span", { class: "why" }, one.reason)));
    const nothing = told ? "None, as far as the node remembers." : "None since this page was opened; the actor's own node remembers earlier ones.";
    return [
      el("h3", {}, "Restarts"),
      seen.length ? el("p", { class: "quiet" }, "Seen since this page was opened, newest first") : null,
      seen.length ? el("ul", { class: "lives" }, seen) : null,
      noted.length ? el("p", { class: "quiet" }, "Remembered by the node, newest first") : null,
      noted.length ? el("ul", { class: "lives" }, noted) : null,
      seen.length + noted.length === 0 ? el("p", { class: "quiet" }, nothing) : null,
    ].filter(Boolean);
  }
}

function facts(actor) {
  const measures = actor.measures ?? {};
  const known = (name, value, show) => (value === null || value === undefined ? [] : [[name, show(value)]]);
  return [
    ["Kind", actor.kind],
    ["State", `${actor.state}, for ${duration(actor.age_seconds)}`],
    ["Life", count(actor.incarnation)],
    ["Restarts", count(actor.restarts_total ?? 0)],
    ...(actor.kind === "supervisor" ? [["Restarts of its actors that count now", count(actor.restarts_in_window ?? 0)]] : []),
    ...known("Mailbox", actor.mailbox_depth, (depth) => `${count(depth)} waiting`),
    ...known("Speed", measures.ledgers_per_second, (value) => `${rate(value)} ledgers/s`),
    ...known("Newest ledger proven", measures.processed, count),
    ...known("Durable up to", measures.checkpoint, count),
    ...known("Behind", measures.lag_ledgers, (value) => `${count(value)} ledgers`),
    ...known("To go", measures.left_ledgers, (value) => `${count(value)} ledgers`),
    ...known("In flight", measures.in_flight_bytes, bytes),
  ];
}

function nodeFacts(node) {
  const exchange = node.exchange ?? {};
  return [
    ["State", node.state],
    ...(node.address ? [["Address", node.address]] : []),
    ...(node.roles?.length ? [["Roles", node.roles.join(", ")]] : []),
    ...(node.capacity ? [["Tasks", `up to ${count(node.capacity)}`]] : []),
    ["Load", `${Math.round((node.load ?? 0) * 100)} %`],
    ["Version", node.version ?? "–"],
    ...(node.exchange ? [["Streams to other nodes", `${count(exchange.streams)}, ${bytes(exchange.in_flight_bytes ?? 0)} in flight`]] : []),
  ];
}
