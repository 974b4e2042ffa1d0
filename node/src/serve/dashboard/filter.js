// What of the feed is wanted: the form, the filter that the server understands, and the part of the address that keeps it.

import { byId, el, write } from "./dom.js";
import { CLASSIC_DECIMALS, amount, smallestUnit } from "./format.js";

export const KINDS = ["transfer", "mint", "burn", "clawback", "fee"];

const ADDRESS = /^([GCBL][A-Z2-7]{55,}|M[A-Z2-7]{68})$/;
const ASSET = /^[A-Za-z0-9]{1,12}:G[A-Z2-7]{55}$/;

const listed = (text) => text.split(/[\s,]+/).filter(Boolean);

/** What stands in the form as a filter, or what is wrong with it: { filter } or { problem, field }. */
export function understood({ kinds, asset, account, least }) {
  const filter = {};
  if (kinds.length && kinds.length < KINDS.length) filter.kind = kinds;
  const assets = listed(asset).map((one) => (/^(xlm|native)$/i.test(one) ? "native" : one));
  const wrongAsset = assets.find((one) => one !== "native" && !ASSET.test(one));
  if (wrongAsset !== undefined) return { field: "asset", problem: `“${wrongAsset}” is no asset: write native, or CODE:ISSUER with the issuer's full address.` };
  if (assets.length) filter.asset = assets;
  const accounts = listed(account);
  const wrongAccount = accounts.find((one) => !ADDRESS.test(one));
  if (wrongAccount !== undefined) return { field: "account", problem: `“${wrongAccount}” is no address: it begins with G, C, M, B or L and has 56 signs or more.` };
  if (accounts.length) filter.account = accounts;
  if (least.trim()) {
    const smallest = smallestUnit(least, CLASSIC_DECIMALS);
    if (smallest === null) return { field: "least", problem: `“${least.trim()}” is no amount: digits, with at most ${CLASSIC_DECIMALS} after the point.` };
    filter.min_amount = smallest;
  }
  return { filter };
}

/** A filter as it stands behind the # of the page's address, and back. */
export function toHash(filter) {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(filter)) parts.set(key, Array.isArray(value) ? value.join(",") : value);
  return parts.toString();
}

export function fromHash(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const least = parts.get("min_amount") ?? "";
  return {
    kinds: (parts.get("kind") ?? "").split(",").filter((kind) => KINDS.includes(kind)),
    asset: parts.get("asset") ?? "",
    account: parts.get("account") ?? "",
    least: /^\d+$/.test(least) ? amount(least, CLASSIC_DECIMALS).replace(/\.?0+$/, "") : "",
  };
}

/** The form. `changed` is given every new filter that is one. */
export class FilterForm {
  constructor(changed) {
    this.changed = changed;
    this.form = byId("filter");
    this.kinds = byId("filter-kinds");
    this.fields = { asset: byId("filter-asset"), account: byId("filter-account"), least: byId("filter-least") };
    this.problem = byId("filter-problem");
    for (const kind of KINDS) {
      const box = el("input", { type: "checkbox", value: kind, name: "kind" });
      this.kinds.append(el("label", { class: `chip ${kind}` }, box, el("span", {}, kind)));
    }
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", () => this.apply());
    byId("filter-clear").addEventListener("click", () => this.set({ kinds: [], asset: "", account: "", least: "" }));
    this.applied = null;
  }

  /** What the address of the page says. */
  restore() {
    this.set(fromHash(location.hash));
  }

  boxes() {
    return [...this.kinds.querySelectorAll("input")];
  }

  set({ kinds, asset, account, least }) {
    for (const box of this.boxes()) box.checked = kinds.includes(box.value);
    Object.assign(this.fields.asset, { value: asset });
    Object.assign(this.fields.account, { value: account });
    Object.assign(this.fields.least, { value: least });
    this.apply();
  }

  /** Narrows one field to a value that was pressed somewhere on the page. */
  narrow(field, value) {
    this.fields[field].value = value;
    this.apply();
  }

  apply() {
    const kinds = this.boxes().filter((box) => box.checked).map((box) => box.value);
    const values = Object.fromEntries(Object.entries(this.fields).map(([field, input]) => [field, input.value]));
    const { filter, problem, field } = understood({ kinds, ...values });
    for (const [name, input] of Object.entries(this.fields)) {
      input.toggleAttribute("aria-invalid", name === field);
      if (name === field) input.setAttribute("aria-invalid", "true");
    }
    this.refuse(problem ?? "");
    if (!filter) return;
    const hash = toHash(filter);
    byId("filter-clear").hidden = hash === "";
    if (hash === this.applied) return;
    this.applied = hash;
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    this.changed(filter);
  }

  /** Says what is wrong with the filter, also what the server says of it. */
  refuse(problem) {
    write(this.problem, problem);
    this.problem.hidden = problem === "";
  }
}
