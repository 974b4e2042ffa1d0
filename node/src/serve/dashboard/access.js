// The token of a reader, where the server wants one: kept for this tab alone, sent with every request, shown nowhere.

import { byId, write } from "./dom.js";

const KEY = "orrery.token";

export class Access {
  /** `changed` is called when there is another token, or none any more. */
  constructor(changed) {
    this.changed = changed;
    this.token = null;
    try {
      this.token = sessionStorage.getItem(KEY);
    } catch {
      // A browser that keeps nothing asks again after a reload.
    }
    this.dialog = byId("access");
    this.input = byId("access-token");
    this.problem = byId("access-problem");
    this.leave = byId("sign-out");
    this.dismissed = false;
    byId("access-form").addEventListener("submit", (event) => this.submit(event));
    byId("access-cancel").addEventListener("click", () => {
      this.dismissed = true;
      this.dialog.close();
    });
    this.dialog.addEventListener("cancel", () => (this.dismissed = true));
    byId("sign-in").addEventListener("click", () => this.open(""));
    this.leave.addEventListener("click", () => this.keep(null));
    this.show();
  }

  /** The server wants a token, or another one. Asks once; after that the button does. */
  denied() {
    byId("sign-in").hidden = false;
    if (this.dialog.open || this.dismissed) return;
    this.open(this.token ? "The server does not take this token: it may be mistyped, expired or withdrawn." : "");
  }

  open(problem) {
    write(this.problem, problem);
    this.input.value = "";
    if (!this.dialog.open) this.dialog.showModal();
    this.input.focus();
  }

  submit(event) {
    event.preventDefault();
    const token = this.input.value.trim().replace(/^bearer\s+/i, "");
    if (!/^[\x21-\x7e]+$/.test(token)) {
      write(this.problem, "A token is one word of letters, digits and signs.");
      this.input.focus();
      return;
    }
    this.dialog.close();
    this.keep(token);
  }

  keep(token) {
    this.token = token;
    this.dismissed = false;
    try {
      if (token) sessionStorage.setItem(KEY, token);
      else sessionStorage.removeItem(KEY);
    } catch {
      // As above.
    }
    this.show();
    this.changed();
  }

  show() {
    this.leave.hidden = !this.token;
    byId("sign-in").hidden = true;
  }
}
