// The supervision tree as a list that opens and closes, with the keys of a tree: arrows, Home, End, Enter.
// Rows are kept from one answer to the next, so that neither focus nor place is lost.

import { byId, el, write } from "./dom.js";
import { count, duration, rate } from "./format.js";

/** Folded at first: what runs the cluster interests only when it does not. */
const FOLDED = new Set(["cluster"]);
/** With more nodes than this, or on a phone, those that are well are folded, all but the first. */
const NODES_OPEN_MAX = 4;
const NARROW = matchMedia("(max-width: 640px)");
/** States of a node or an actor that are as they should be. */
const GOOD = new Set(["running", "alive"]);

const isTrouble = (actor) => !GOOD.has(actor.state) || actor.restarts_in_window > 0;
const hasTrouble = (actor) => isTrouble(actor) || (actor.children ?? []).some(hasTrouble);

/** Nodes and actors as one shape: { path, id, kind, children, ... }. */
export function forest(tree) {
  const actor = (one, path, node) => {
    const here = path ? `${path}/${one.id}` : one.id;
    return { ...one, path: here, node, children: (one.children ?? []).map((child) => actor(child, here, node)) };
  };
  return (tree?.nodes ?? []).map((node) => {
    const children = (node.tree?.children ?? []).map((child) => actor(child, node.name, node.name));
    const state = node.draining ? "draining" : node.state;
    return { ...node, id: node.name, path: node.name, kind: "node", state, restarts_in_window: 0, last_error: node.error, children };
  });
}

/** The actor or node of this path. */
export function find(roots, path) {
  for (const one of roots) {
    const found = one.path === path ? one : find(one.children, path);
    if (found) return found;
  }
  return null;
}

export class TreeView {
  /** `open(path)` shows an actor's details. */
  constructor(open) {
    this.open = open;
    this.host = byId("tree");
    this.rows = new Map();
    this.folded = new Map();
    this.current = null;
    this.roots = [];
    this.host.addEventListener("keydown", (event) => this.key(event));
  }

  show(roots) {
    this.roots = roots;
    const visible = [];
    const walk = (actors, level) => {
      actors.forEach((actor, index) => {
        visible.push({ actor, level, index, of: actors.length });
        if (!this.isFolded(actor)) walk(actor.children, level + 1);
      });
    };
    walk(roots, 1);
    const paths = new Set(visible.map(({ actor }) => actor.path));
    for (const [path, row] of this.rows) {
      if (paths.has(path)) continue;
      row.element.remove();
      this.rows.delete(path);
    }
    if (!paths.has(this.current)) this.current = visible[0]?.actor.path ?? null;
    visible.forEach((place, index) => this.row(place, index));
    this.paths = visible.map(({ actor }) => actor.path);
  }

  isFolded(actor) {
    if (actor.children.length === 0) return false;
    return this.folded.get(actor.path) ?? (this.isFoldedAtFirst(actor) && !hasTrouble(actor));
  }

  isFoldedAtFirst(actor) {
    if (actor.kind !== "node") return FOLDED.has(actor.id);
    return actor !== this.roots[0] && (NARROW.matches || this.roots.length > NODES_OPEN_MAX);
  }

  row({ actor, level, index, of }, at) {
    let row = this.rows.get(actor.path);
    if (!row) this.rows.set(actor.path, (row = this.make(actor)));
    const { element } = row;
    if (this.host.children[at] !== element) this.host.insertBefore(element, this.host.children[at] ?? null);
    const isFolded = this.isFolded(actor);
    element.className = `row level-${Math.min(level, 8)}${isTrouble(actor) ? " trouble" : ""}`;
    element.dataset.state = isFolded && hasTrouble(actor) && !isTrouble(actor) ? "within" : actor.state;
    element.setAttribute("aria-level", level);
    element.setAttribute("aria-posinset", index + 1);
    element.setAttribute("aria-setsize", of);
    element.tabIndex = actor.path === this.current ? 0 : -1;
    if (actor.children.length) element.setAttribute("aria-expanded", String(!isFolded));
    else element.removeAttribute("aria-expanded");
    write(row.name, actor.id);
    write(row.state, actor.state);
    write(row.note, note(actor));
    write(row.restarts, actor.kind === "node" ? "" : restarts(actor));
    write(row.mailbox, actor.mailbox_depth === null || actor.mailbox_depth === undefined ? "" : count(actor.mailbox_depth));
    write(row.age, actor.age_seconds === undefined ? "" : duration(actor.age_seconds));
  }

  make(actor) {
    const cell = (name, label) => el("span", { class: `cell ${name}`, "data-label": label });
    const row = { name: el("span", { class: "actor-name" }), note: el("small", { class: "actor-note" }), state: cell("state", "") };
    Object.assign(row, { restarts: cell("restarts", "restarts"), mailbox: cell("mailbox", "mailbox"), age: cell("age", "age") });
    const twist = el("span", { class: "twist", "aria-hidden": "true" });
    twist.addEventListener("click", (event) => {
      event.stopPropagation();
      this.fold(actor.path);
    });
    const name = el("span", { class: "cell name" }, twist, el("span", { class: "dot", "aria-hidden": "true" }), row.name, row.note);
    row.element = el("li", { role: "treeitem", class: "row" }, name, row.state, row.restarts, row.mailbox, row.age);
    row.element.addEventListener("click", () => {
      this.focus(actor.path);
      this.open(actor.path);
    });
    return row;
  }

  fold(path, isFolded) {
    const actor = find(this.roots, path);
    if (!actor || actor.children.length === 0) return;
    this.folded.set(path, isFolded ?? !this.isFolded(actor));
    this.show(this.roots);
  }

  focus(path) {
    this.current = path;
    for (const [each, row] of this.rows) row.element.tabIndex = each === path ? 0 : -1;
    this.rows.get(path)?.element.focus();
  }

  /** Opens all above an actor and puts the focus on it. */
  reveal(path) {
    const parts = path.split("/");
    const above = (actors) => {
      for (const actor of actors) {
        if (!`${path}/`.startsWith(`${actor.path}/`)) continue;
        if (actor.path !== path) this.folded.set(actor.path, false);
        above(actor.children);
      }
    };
    if (parts.length) above(this.roots);
    this.show(this.roots);
    this.focus(path);
  }

  key(event) {
    const at = this.paths?.indexOf(this.current) ?? -1;
    const actor = at < 0 ? null : find(this.roots, this.current);
    if (!actor || event.altKey || event.ctrlKey || event.metaKey) return;
    const parent = () => this.paths.findLast((path, index) => index < at && actor.path.startsWith(`${path}/`));
    const moves = {
      ArrowDown: () => this.paths[at + 1],
      ArrowUp: () => this.paths[at - 1],
      Home: () => this.paths[0],
      End: () => this.paths.at(-1),
      ArrowRight: () => (this.isFolded(actor) ? void this.fold(actor.path, false) : actor.children[0]?.path),
      ArrowLeft: () => (actor.children.length && !this.isFolded(actor) ? void this.fold(actor.path, true) : parent()),
      Enter: () => void this.open(actor.path),
      " ": () => void this.open(actor.path),
    };
    if (!Object.hasOwn(moves, event.key)) return;
    event.preventDefault();
    const to = moves[event.key]();
    if (to) this.focus(to);
  }
}

/** What stands behind the name: who coordinates, how fast a pipeline is, or that an actor ended badly. */
function note(actor) {
  const measures = actor.measures;
  if (measures && typeof measures.ledgers_per_second === "number") {
    const left = typeof measures.left_ledgers === "number" ? `, ${count(measures.left_ledgers)} left` : "";
    return `${rate(measures.ledgers_per_second)} ledgers/s${left}`;
  }
  if (actor.kind === "node") return actor.error ?? actor.address ?? "";
  return "";
}

function restarts(actor) {
  const total = actor.restarts_total ?? 0;
  return actor.restarts_in_window ? `${count(total)} (+${count(actor.restarts_in_window)} below)` : count(total);
}
