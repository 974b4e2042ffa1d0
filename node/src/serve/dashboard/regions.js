// Regions beside nodes: who has traffic, how far each is behind, and whether they are equal. Drawn, and in a table that has the
// same facts. What is wrong is said in words above both; the banner says it too.

import { byId, el, svg, write } from "./dom.js";
import { count, counted, duration } from "./format.js";

const WIDTH = 960;
const HEIGHT = 250;
const UNEQUAL = new Set(["different", "untrue", "other_tables"]);
const LEVELS = { stable: "alive", stabilising: "starting", behind: "suspect", not_ready: "suspect", unheard: "dead" };

const isUnheard = (row) => row.state === "unheard";
const words = (text) => String(text ?? "–").replaceAll("_", " ");

/** Where everything stands: this region on the left, its peers in a column on the right. Pure. */
export function regionsLayout(regions) {
  const own = regions.find((row) => row.own) ?? regions[0];
  const peers = regions.filter((row) => row !== own);
  const bodies = [{ row: own, x: WIDTH * 0.2, y: HEIGHT / 2 - 8 }];
  peers.forEach((row, index) => bodies.push({ row, x: WIDTH * 0.8, y: ((index + 0.5) * (HEIGHT - 16)) / peers.length }));
  const links = bodies.slice(1).map((to) => ({ from: bodies[0], to, isDown: isUnheard(to.row) || UNEQUAL.has(to.row.replica) }));
  return { bodies, links };
}

/** How far a peer is from this region, in words. */
export function distance(row) {
  const ledgers = row.lag_ledgers;
  if (row.own || ledgers === null || ledgers === undefined) return "–";
  if (ledgers === 0) return "level";
  const seconds = row.lag_seconds ? `, ${duration(Math.abs(row.lag_seconds))}` : "";
  return `${counted(Math.abs(ledgers), "ledger")}${seconds} ${ledgers < 0 ? "behind" : "ahead"}`;
}

/** What a person should see to: { level, what, detail, act, commands } each, as the banner shows problems. Pure. */
export function ofRegions(seen) {
  const commands = ["orrery regions --cluster HOST:PORT"];
  const problems = (seen?.regions ?? []).flatMap((row) => {
    if (UNEQUAL.has(row.replica)) {
      return [
        {
          level: "bad",
          what: `Region ${row.region} and this one are not equal`,
          act: "Both sides are kept as evidence. See which of them is right before anything is copied or resumed.",
          commands: [...commands, "orrery verify --dataset ONE --against OTHER"],
          detail: row.detail,
        },
      ];
    }
    if (row.own || !["unheard", "behind", "not_ready"].includes(row.state)) return [];
    const what = { unheard: `Region ${row.region} is not heard`, behind: `Region ${row.region} is behind`, not_ready: `Region ${row.region} is not ready` };
    return [
      {
        level: "warn",
        what: what[row.state],
        act: "Readers are served where traffic belongs, and nothing is lost. See whether that region's nodes and the line to them are up.",
        commands,
        detail: [row.why, row.detail, ...(row.reasons ?? [])].filter(Boolean).join("; "),
      },
    ];
  });
  const act = "Readers may stay where they are: every region serves the same. It ends when the regions hear each other.";
  return [...problems, ...(seen?.concerns ?? []).map((what) => ({ level: "warn", what, act, commands, detail: "" }))];
}

export class RegionsView {
  constructor() {
    this.drawn = "";
  }

  /** As /v1/regions gives it; nothing is shown of a cluster that is the only region. */
  show(seen) {
    const regions = seen.regions ?? [];
    byId("regions").hidden = regions.length === 0;
    const key = JSON.stringify([regions, seen.decision]);
    if (regions.length === 0 || key === this.drawn) return;
    this.drawn = key;
    const having = regions.filter((row) => row.traffic && !isUnheard(row)).map((row) => row.region);
    write(byId("regions-traffic"), having.length ? `traffic: ${having.join(", ")}` : "no region has traffic");
    write(byId("regions-decision"), decided(seen.decision));
    this.draw(regions, having);
    byId("regions-rows").replaceChildren(...regions.map(tableRow));
  }

  draw(regions, having) {
    const { bodies, links } = regionsLayout(regions);
    const said = `${counted(regions.length, "region")}, traffic at ${having.join(" and ") || "none"}; the table below tells the same`;
    byId("regions-map").replaceChildren(
      svg(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said },
        links.map(({ from, to, isDown }) => [
          svg("line", { class: `link main${isDown ? " down" : ""}`, x1: from.x, y1: from.y, x2: to.x, y2: to.y }),
          svg("text", { class: "region", x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 - 8 }, isUnheard(to.row) ? "not heard" : distance(to.row)),
        ]),
        bodies.map(({ row, x, y }) => body(row, x, y)),
      ),
    );
  }
}

function decided(decision) {
  if (!decision) return "";
  const to = decision.to ? `region ${decision.to}` : "where priorities say";
  return `Decided by ${decision.by}${decision.forced ? ", by force" : ""}: ${to}${decision.reason ? ` (${decision.reason})` : ""}.`;
}

function body(row, x, y) {
  const r = 17;
  return svg(
    "g",
    { class: `body${row.traffic ? " sun" : ""}`, "data-state": LEVELS[row.state] ?? row.state },
    svg("title", {}, `${row.region}: ${words(row.state)}${row.traffic ? ", has traffic" : ""}`),
    svg("circle", { class: "halo", cx: x, cy: y, r: r + 5 }),
    svg("circle", { class: "core", cx: x, cy: y, r }),
    svg("text", { x, y: y + r + 20 }, row.traffic ? `${row.region}, traffic` : row.region),
  );
}

function tableRow(row) {
  const heard = row.heard_ms_ago === null || row.heard_ms_ago === undefined ? "never" : `${duration(row.heard_ms_ago / 1000)} ago`;
  return el(
    "tr",
    { "data-state": LEVELS[row.state] ?? row.state },
    el("th", { scope: "row" }, row.region, row.own ? el("small", {}, " this one") : null),
    el("td", {}, row.traffic ? "yes" : "–"),
    el("td", {}, el("span", { class: "dot", "aria-hidden": "true" }), words(row.state), row.why ? el("small", {}, ` ${row.why}`) : null),
    el("td", { class: "number" }, row.tip === null || row.tip === undefined ? "–" : count(row.tip)),
    el("td", {}, distance(row)),
    el("td", {}, row.own ? "–" : words(row.replica)),
    el("td", {}, row.own ? "–" : heard),
  );
}
