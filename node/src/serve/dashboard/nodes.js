// Nodes and their links, drawn as what the project is named after: who coordinates in the middle, the others around it.
// The table below the picture has the same facts for those who cannot see it, or want them exactly.

import { byId, el, svg, write } from "./dom.js";
import { bytes, count } from "./format.js";

const WIDTH = 480;
const HEIGHT = 300;
/** Where the first stands, clockwise from the right: never so that two and the middle make one line. */
const FIRST = -Math.PI / 5;
const FIRST_OF_TWO = -2.5;
const AWAY = new Set(["suspect", "dead", "unreachable", "left"]);

/** Where everything stands: { bodies: [{ node, x, y, isSun }], links: [{ a, b, isDown }], orbits }. Pure. */
export function layout(nodes) {
  const regions = [...new Set(nodes.map((node) => node.region ?? ""))].sort();
  const columns = Math.max(1, Math.ceil(Math.sqrt(regions.length)));
  const rows = Math.max(1, Math.ceil(regions.length / columns));
  const cell = { width: WIDTH / columns, height: HEIGHT / rows };
  const bodies = [];
  const orbits = [];
  regions.forEach((region, index) => {
    const own = nodes.filter((node) => (node.region ?? "") === region).sort((a, b) => (a.name < b.name ? -1 : 1));
    const sun = own.find((node) => node.coordinator) ?? (own.length === 1 ? own[0] : null);
    const x = cell.width * ((index % columns) + 0.5);
    const y = cell.height * (Math.floor(index / columns) + 0.5) - 4;
    const [rx, ry] = [cell.width / 2 - 70 / columns, cell.height / 2 - 42];
    orbits.push({ x, y, rx, ry, region });
    if (sun) bodies.push({ node: sun, x, y, isSun: true });
    const planets = own.filter((node) => node !== sun);
    planets.forEach((node, at) => {
      const turn = planets.length === 2 ? 0.36 : 1 / planets.length;
      const angle = at * turn * 2 * Math.PI + (planets.length === 2 ? FIRST_OF_TWO : FIRST);
      bodies.push({ node, x: x + rx * Math.cos(angle), y: y + ry * Math.sin(angle), isSun: false });
    });
  });
  const links = [];
  bodies.forEach((a, index) => {
    for (const b of bodies.slice(index + 1)) {
      const isDown = AWAY.has(a.node.state) || AWAY.has(b.node.state);
      const isFar = (a.node.region ?? "") !== (b.node.region ?? "");
      if (!isFar || (a.isSun && b.isSun)) links.push({ a, b, isDown, isMain: a.isSun || b.isSun });
    }
  });
  return { bodies, links, orbits };
}

export class NodesView {
  constructor(open) {
    this.open = open;
    this.drawn = "";
  }

  /** `nodes` as /v1/nodes gives them, or as the tree has them; `tree` for what is in flight. */
  show(nodes, tree) {
    const exchanges = new Map((tree?.nodes ?? []).map((node) => [node.name, node.exchange]));
    const key = JSON.stringify([nodes, [...exchanges]]);
    if (key === this.drawn) return;
    this.drawn = key;
    const { bodies, links, orbits } = layout(nodes);
    const away = nodes.filter((node) => AWAY.has(node.state)).length;
    const said = `${nodes.length} nodes${away ? `, ${away} of them away` : ""}; the table below tells the same`;
    byId("map").replaceChildren(
      svg(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": nodes.length === 1 ? "One node" : said },
        orbits.map(({ x, y, rx, ry, region }) => [
          svg("ellipse", { class: "orbit", cx: x, cy: y, rx: Math.max(rx, 20), ry: Math.max(ry, 16) }),
          svg("ellipse", { class: "orbit faint", cx: x, cy: y, rx: Math.max(rx * 0.6, 14), ry: Math.max(ry * 0.6, 10) }),
          region ? svg("text", { class: "region", x, y: y - ry - 18 }, region) : null,
        ]),
        links.map(({ a, b, isDown, isMain }) => svg("line", { class: `link${isDown ? " down" : ""}${isMain ? " main" : ""}`, x1: a.x, y1: a.y, x2: b.x, y2: b.y })),
        bodies.map((place) => body(place)),
      ),
    );
    this.table(nodes, exchanges);
    write(byId("nodes-count"), nodes.length === 1 ? "1 node" : `${count(nodes.length)} nodes`);
  }

  table(nodes, exchanges) {
    const rows = nodes.map((node) => {
      const exchange = exchanges.get(node.name);
      const flight = exchange ? `${count(exchange.streams)} / ${bytes(exchange.in_flight_bytes ?? 0)}` : "–";
      const press = () => this.open(node.name);
      return el(
        "tr",
        { "data-state": stateOf(node) },
        el("th", { scope: "row" }, el("button", { type: "button", class: "link", onclick: press }, node.name), node.coordinator ? el("small", {}, " coordinator") : null),
        el("td", {}, el("span", { class: "dot", "aria-hidden": "true" }), stateOf(node)),
        el("td", { class: "number" }, `${Math.round((node.load ?? 0) * 100)} %`),
        el("td", { class: "number" }, flight),
      );
    });
    byId("nodes-rows").replaceChildren(...rows);
  }
}

const stateOf = (node) => (node.draining ? "draining" : String(node.state));

function body({ node, x, y, isSun }) {
  const r = isSun ? 19 : 13;
  const load = Math.min(Math.max(node.load ?? 0, 0), 1);
  const around = 2 * Math.PI * (r + 5);
  const place = [node.address, node.version && `v${node.version}`].filter(Boolean).join(", ");
  return svg(
    "g",
    { class: `body${isSun ? " sun" : ""}`, "data-state": stateOf(node) },
    svg("title", {}, `${node.name}: ${stateOf(node)}${place ? `, ${place}` : ""}, load ${Math.round(load * 100)} %`),
    svg("circle", { class: "halo", cx: x, cy: y, r: r + 5 }),
    svg("circle", { class: "load", cx: x, cy: y, r: r + 5, "stroke-dasharray": `${load * around} ${around}`, transform: `rotate(-90 ${x} ${y})` }),
    svg("circle", { class: "core", cx: x, cy: y, r }),
    svg("text", { x, y: y + r + 22 }, node.name),
  );
}
