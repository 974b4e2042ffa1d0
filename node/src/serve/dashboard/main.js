// Puts the page together: what is asked how often, and who shows the answers.

import { Access } from "./access.js";
import { ActorView } from "./actor.js";
import { Api } from "./api.js";
import { ASSETS_ASKED, AssetsView } from "./assets.js";
import { Banner } from "./banner.js";
import { byId, write } from "./dom.js";
import { Feed } from "./feed.js";
import { FeedView } from "./feed_view.js";
import { FilterForm } from "./filter.js";
import { judge } from "./health.js";
import { NodesView } from "./nodes.js";
import { told } from "./panel.js";
import { Poll } from "./poll.js";
import { QuarantineView } from "./quarantine.js";
import { RegionsView } from "./regions.js";
import { Tiles } from "./tiles.js";
import { TreeView, forest } from "./tree.js";

const facts = { server: { kind: "unknown", since: Date.now() }, status: null, tree: null, nodes: null, regions: null, quarantine: null, feed: null };
/** Whether the node has no list of nodes, as one in no cluster may; then its tree names it, whichever is answered first. */
let isWithoutNodes = false;
const access = new Access(() => {
  for (const poll of polls) poll.now();
  if (feed.phase !== "off") feed.resume();
});
const api = new Api(access);
const tiles = new Tiles();
const banner = new Banner((path) => actor.open(path));
const actor = new ActorView(api);
const tree = new TreeView((path) => actor.open(path));
const nodes = new NodesView((path) => {
  tree.reveal(path);
  actor.open(path);
});
const assets = new AssetsView(narrow);
const quarantine = new QuarantineView();
const regions = new RegionsView();
const feedView = new FeedView(narrow);
const form = new FilterForm((filter) => {
  feedView.clear();
  feed.start(filter, behind(filter));
});
const feed = new Feed({ url: feedUrl(), access, take: takeFeed });

/** Short names of networks that everybody knows by their passphrase. */
const NETWORKS = {
  "Public Global Stellar Network ; September 2015": "pubnet",
  "Test SDF Network ; September 2015": "testnet",
  "Test SDF Future Network ; October 2022": "futurenet",
};

/** Of any other, what stands before the date. */
const networkName = (passphrase) => NETWORKS[passphrase] ?? passphrase.split(" ;")[0];

/** Ledgers before the newest that a new filter begins at: few match a narrow one. */
const BACK = 3;
const BACK_FILTERED = 60;

/** Where the feed begins, so that a quiet network does not look like a broken page. */
function behind(filter) {
  const [tip, oldest] = [Number(facts.status?.tip), Number(facts.status?.oldest)];
  if (!facts.status?.tip || !facts.status?.oldest || !(tip >= oldest)) return null;
  const back = Object.keys(filter).length ? BACK_FILTERED : BACK;
  return String(Math.max(tip - back, oldest));
}

function feedUrl() {
  const url = new URL("v1/feed", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isListOfObjects = (value) => Array.isArray(value) && value.every(isObject);

/** Takes only answers of a shape that this page knows: another version of a node may say something else. */
function known(isKnown, take) {
  return (answer) => {
    const isOdd = answer.kind === "ok" && !isKnown(answer.value);
    take(isOdd ? { kind: "bad", detail: "it has another shape than this page knows" } : answer);
  };
}

/** Filters the feed by something that was pressed, wherever on the page, and shows it. */
function narrow(field, value) {
  form.narrow(field, value);
  byId("feed").scrollIntoView({ block: "nearest" });
}

function takeStatus(answer) {
  if (answer.kind === "denied") access.denied();
  if (answer.kind !== facts.server.kind) facts.server = { kind: answer.kind, detail: answer.detail, since: Date.now() };
  if (answer.kind === "ok") {
    facts.status = answer.value;
    tiles.status(answer.value, Date.now());
    write(byId("node-name"), answer.value.node ?? "");
    write(byId("network"), networkName(answer.value.network ?? ""));
    byId("network").title = answer.value.network ?? "";
    byId("network").hidden = !answer.value.network;
    write(byId("version"), answer.value.version ? `v${answer.value.version}` : "");
  } else {
    tiles.hole(Date.now());
  }
  byId("main").classList.toggle("stale", answer.kind === "gone");
  if (feed.phase === "off") form.restore();
  judgeAll();
}

function takeTree(answer) {
  told("actors", answer);
  if (answer.kind !== "ok") return;
  facts.tree = answer.value;
  const roots = forest(answer.value);
  tree.show(roots);
  actor.show(roots);
  if (isWithoutNodes) told("nodes", answer);
  showNodes();
}

function showNodes() {
  const listed = facts.nodes?.length ? facts.nodes : (facts.tree?.nodes ?? []);
  nodes.show(listed, facts.tree);
}

function takeNodes(answer) {
  isWithoutNodes = answer.kind === "missing";
  if (!isWithoutNodes || !facts.tree) told("nodes", answer);
  facts.nodes = answer.kind === "ok" ? answer.value : facts.nodes;
  showNodes();
}

function takeRegions(answer) {
  told("regions", answer);
  if (answer.kind !== "ok") return;
  facts.regions = answer.value;
  regions.show(answer.value);
}

function takeAssets(answer) {
  told("assets", answer);
  told("kinds", answer);
  if (answer.kind === "ok") assets.show(answer.value);
}

function takeQuarantine(answer) {
  told("quarantine", answer);
  if (answer.kind !== "ok") return;
  facts.quarantine = answer.value;
  quarantine.show(answer.value);
}

function takeFeed(kind, value) {
  if (kind === "state") {
    facts.feed = value;
    feedView.state(value);
    form.refuse(value.phase === "refused" ? value.detail : "");
    showControls(value.phase);
  } else if (kind === "events" || kind === "gap") {
    feedView.take(value);
    tiles.reached(value.ledger, Date.now());
    tiles.closed(value.ledger, value.closed_at);
  } else if (kind === "lag") {
    tiles.lag(value);
  } else if (kind === "tip") {
    tiles.reached(value, Date.now());
  }
}

function showControls(phase) {
  const isPaused = phase === "paused";
  write(byId("feed-pause"), isPaused ? "Resume" : "Pause");
  byId("feed-skip").hidden = !isPaused && phase !== "replaying";
}

function judgeAll() {
  const now = Date.now();
  tiles.tick(now);
  banner.show(judge({ ...facts, now, ...tiles.trends() }));
}

function assetsPath() {
  const window = document.querySelector("input[name=window]:checked")?.value ?? "1h";
  return `v1/assets?window=${window}&limit=${ASSETS_ASKED}`;
}

const polls = [
  new Poll(api, "v1/status", 1_000, known(isObject, takeStatus)),
  new Poll(api, "v1/tree", 2_000, known((tree) => isObject(tree) && isListOfObjects(tree.nodes), takeTree)),
  new Poll(api, "v1/nodes", 4_000, known(isListOfObjects, takeNodes)),
  new Poll(api, assetsPath, 10_000, known((answer) => isObject(answer) && isListOfObjects(answer.assets), takeAssets)),
  new Poll(api, "v1/regions", 2_000, known((answer) => isObject(answer) && isListOfObjects(answer.regions), takeRegions)),
  new Poll(api, "v1/quarantine", 5_000, known(isListOfObjects, takeQuarantine)),
];
const [, , , assetsPoll] = polls;

byId("feed-pause").addEventListener("click", () => (feed.phase === "paused" ? feed.resume() : feed.pause()));
byId("feed-skip").addEventListener("click", () => feed.skip());
for (const choice of document.querySelectorAll("input[name=window]")) choice.addEventListener("change", () => assetsPoll.now());
addEventListener("hashchange", () => form.restore());
setInterval(judgeAll, 1_000);
for (const poll of polls) poll.now();
