// Ledgers that could not be processed, why, and how to have them tried again.

import { byId, command, el, write } from "./dom.js";
import { bytes, count } from "./format.js";

const SHOWN_MAX = 50;

export class QuarantineView {
  constructor() {
    this.drawn = "";
  }

  show(entries) {
    const key = JSON.stringify(entries);
    if (key === this.drawn) return;
    this.drawn = key;
    byId("quarantine-empty").hidden = entries.length > 0;
    write(byId("quarantine-count"), entries.length ? count(entries.length) : "");
    byId("quarantine-rows").replaceChildren(...entries.slice(0, SHOWN_MAX).map(entry));
  }
}

function entry({ ledger, pipeline, source, file, reason, attempts, object_bytes }) {
  const place = [pipeline && `pipeline ${pipeline}`, source && `from ${source}`, file, object_bytes ? bytes(object_bytes) : "", `failed ${count(attempts)} times`];
  return el(
    "li",
    { class: "quarantined" },
    el("p", { class: "problem-what" }, `Ledger ${count(ledger)}`),
    el("p", { class: "problem-detail" }, reason),
    el("p", { class: "quiet" }, place.filter(Boolean).join(", ")),
    el("p", { class: "commands" }, command(`orrery quarantine show ${ledger}`), command(`orrery quarantine retry ${ledger}`)),
  );
}
