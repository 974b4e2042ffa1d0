// What a panel says when the answer that it shows is not there, or is from before.

import { byId, write } from "./dom.js";
import { clock } from "./format.js";

const shownSince = new Map();

const SAYINGS = {
  gone: "The node does not answer.",
  denied: "Sign in to see this.",
  forbidden: "Your token may not see this.",
  missing: "This node does not serve it.",
  unavailable: "The node cannot tell at present",
  bad: "The node's answer was not understood",
};

/** Notes an answer for the panel of this id, and says what is wrong with it. */
export function told(id, answer) {
  const panel = byId(id);
  const note = panel.querySelector(".note");
  if (answer.kind === "ok") {
    shownSince.set(id, Date.now());
    panel.classList.remove("old");
    note.hidden = true;
    return;
  }
  const from = shownSince.get(id);
  const detail = ["unavailable", "bad"].includes(answer.kind) ? `: ${answer.detail}.` : "";
  panel.classList.toggle("old", from !== undefined);
  write(note, `${SAYINGS[answer.kind]}${detail}${from === undefined ? "" : ` What you see is of ${clock(from)}.`}`);
  note.hidden = false;
}
