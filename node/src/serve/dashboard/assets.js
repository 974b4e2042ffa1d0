// What moved lately: the busiest assets, and all events by kind.

import { byId, el, svg, write } from "./dom.js";
import { CLASSIC_DECIMALS, amount, assetParts, count, counted, short, sum } from "./format.js";
import { KINDS } from "./filter.js";

export const ASSETS_ASKED = 100;
const ASSETS_SHOWN = 10;

/** Events of each kind, over all assets that the answer lists. */
export function byKind(assets) {
  const totals = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
  for (const asset of assets) {
    for (const [kind, { count: events }] of Object.entries(asset.by_kind ?? {})) {
      if (Object.hasOwn(totals, kind)) totals[kind] += Number(events) || 0;
    }
  }
  return totals;
}

/** A bar of `part` of `whole`, drawn to the width of its cell. */
function bar(part, whole, kind = "") {
  const width = whole > 0 ? (100 * part) / whole : 0;
  return svg(
    "svg",
    { class: `bar ${kind}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "bar-under", width: 100, height: 6, rx: 1 }),
    svg("rect", { class: "bar-over", width: part > 0 ? Math.max(width, 0.6) : 0, height: 6, rx: 1 }),
  );
}

export class AssetsView {
  /** `narrow(field, value)` filters the feed. */
  constructor(narrow) {
    this.narrow = narrow;
  }

  show(answer) {
    const assets = [...(answer.assets ?? [])].sort((a, b) => b.events - a.events);
    const most = assets[0]?.events ?? 0;
    byId("assets-rows").replaceChildren(...assets.slice(0, ASSETS_SHOWN).map((asset) => this.row(asset, most)));
    byId("assets-empty").hidden = assets.length > 0;
    const isKnown = answer.from_ledger !== undefined && answer.from_ledger !== null;
    write(byId("assets-range"), isKnown ? `ledgers ${count(answer.from_ledger)} to ${count(answer.to_ledger)}` : "");
    this.kinds(answer.by_kind ? byKind([answer]) : byKind(assets));
    byId("asset-names").replaceChildren(...assets.filter(({ asset }) => asset).slice(0, 50).map(({ asset }) => el("option", { value: asset })));
  }

  row({ asset, contract_id, events, by_kind }, most) {
    const { code, issuer } = asset ? assetParts(asset) : { code: short(String(contract_id)), issuer: "contract" };
    const moved = ["transfer", "mint", "burn", "clawback"].map((kind) => by_kind?.[kind]?.volume).filter((volume) => /^-?\d+$/.test(String(volume)));
    const [whole, fraction] = amount(moved.reduce(sum, "0"), asset ? CLASSIC_DECIMALS : 0).split(".");
    const name = asset
      ? el("button", { type: "button", class: "link", title: `Show only ${asset} in the feed`, onclick: () => this.narrow("asset", asset) }, code)
      : el("span", { class: "id", title: `Contract ${contract_id}` }, code);
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, name, el("small", {}, ` ${issuer.length > 12 ? short(issuer) : issuer}`)),
      el("td", { class: "bar-cell" }, bar(events, most)),
      el("td", { class: "number" }, count(events)),
      el("td", { class: "number volume" }, whole, el("small", {}, fraction === undefined ? " raw" : `.${fraction}`)),
    );
  }

  kinds(totals) {
    const all = Object.values(totals).reduce((a, b) => a + b, 0);
    const rows = KINDS.map((kind) => {
      const share = all ? ((100 * totals[kind]) / all).toFixed(1) : "0";
      return el(
        "tr",
        {},
        el("th", { scope: "row" }, el("span", { class: `kind ${kind}` }, kind)),
        el("td", { class: "bar-cell" }, bar(totals[kind], all, kind)),
        el("td", { class: "number" }, count(totals[kind])),
        el("td", { class: "number share" }, `${share} %`),
      );
    });
    byId("kinds-rows").replaceChildren(...rows);
    write(byId("kinds-all"), counted(all, "event"));
  }
}
