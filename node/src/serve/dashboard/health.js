// Whether all is well, and if not, what a person can do. Pure: facts in, a verdict out.
//
// Facts: `now` (ms); `server` { kind, detail, since } of /v1/status; `status`; `tree`; `nodes`; `regions`; `quarantine`; `feed` { phase, detail, since };
// `tip` { changedAt, everyMs }; `lagGrowth` ledgers in the last minute; `ageGrowth` seconds in it. All may be null.
// Verdict: `level` ok | busy | warn | bad | unknown; `headline`; `detail`; `problems`, each { level, what, detail, act, commands }.

import { count, counted, duration, rate } from "./format.js";
import { ofRegions } from "./regions.js";

/** A connection that is made anew within this is no news. */
const FEED_AWAY_MS = 8_000;
/** The least time without a ledger that is worth a word; a network closes one every 5 to 6 s. */
const STALLED_MS = 30_000;
/** Ledgers behind, from which on a node catches up rather than follows. */
const CATCHING_UP = 50;
/** Lag that grows by less in a minute is noise. */
const LAG_GROWTH = 5;
const AGE_GROWTH_S = 20;
/** Ledgers that closed longer ago are history, and their age says nothing. */
const HISTORY_S = 86_400;

const ORDER = ["bad", "warn", "busy"];

const name = (reason) => reason.pipeline || "main";

/** What each reason of /readyz means, and what to do about it. */
const REASONS = {
  starting: (reason) => ({
    level: "busy",
    what: "The node is starting",
    act: "Wait: it opens its sources and its dataset for as long as they are away. If it stays so, the log says which of them does not answer.",
    commands: ["orrery logs --follow"],
    detail: reason.detail,
  }),
  dataset_gone: (reason) => ({
    level: "bad",
    what: "The dataset is gone",
    act: "Stop the node before it writes more, bring the dataset back (mount its disk, restore it), and start the node again.",
    commands: [],
    detail: reason.detail,
  }),
  draining: (reason) => ({
    level: "busy",
    what: "The node is stopping",
    act: "Nothing is lost: it ends what is in work. Start it again when you want it back; it goes on where it stopped.",
    commands: [],
    detail: reason.detail,
  }),
  parked: (reason, quarantined) => ({
    level: "bad",
    what: `Pipeline ${name(reason)} is parked: it writes nothing until somebody acts`,
    act: quarantined
      ? `Ledger ${count(quarantined.ledger)} is in quarantine. See why it failed and mend the cause (another source, a newer version); then have it tried again, and the pipeline goes on.`
      : "If somebody parked it, resume it when they are done. If its dataset has fewer ledgers than before, see that it is the right one first.",
    commands: quarantined
      ? [`orrery quarantine show ${quarantined.ledger}`, `orrery quarantine retry ${quarantined.ledger}`]
      : ["orrery quarantine list", `orrery resume ${name(reason)}`],
    detail: reason.detail,
  }),
  other_dataset: (reason) => ({
    level: "bad",
    what: "This node and its coordinator have different datasets",
    act: "Give all nodes of the cluster the same --dataset, then restart the one that differs. Until then this node takes no work.",
    commands: ["orrery config print", "orrery nodes --cluster HOST:PORT"],
    detail: reason.detail,
  }),
  other_network: (reason) => ({
    level: "bad",
    what: "This node and its coordinator have different networks",
    act: "Give all nodes of the cluster the same --network or --passphrase and sources of it, then restart the one that differs. Until then this node takes no work.",
    commands: ["orrery config print", "orrery nodes --cluster HOST:PORT"],
    detail: reason.detail,
  }),
  source_outage: (reason) => ({
    level: "bad",
    what: `No source gives the next ledger${lasting(reason)}`,
    act: "Check that the sources can be reached from this node, or add another one; it is asked by itself when the first fails. No ledger is lost: the node goes on as soon as one answers.",
    commands: ["orrery logs --follow", "orrery config print"],
    detail: reason.detail,
  }),
  dataset_outage: (reason) => ({
    level: "bad",
    what: `The dataset cannot be read or written${lasting(reason)}`,
    act: "Check the store: is it up, does it have room, do the credentials still hold? Nothing is lost: the node waits and goes on by itself.",
    commands: ["orrery logs --follow", "orrery config print"],
    detail: reason.detail,
  }),
};

function lasting(reason) {
  return typeof reason.seconds === "number" ? ` for ${duration(reason.seconds)}` : "";
}

function ofReason(reason, quarantine) {
  const known = Object.hasOwn(REASONS, reason.reason) ? REASONS[reason.reason] : null;
  return known
    ? known(reason, quarantine?.find((entry) => entry.pipeline === name(reason) || name(reason).startsWith(`${entry.pipeline}/`)))
    : {
        level: "bad",
        what: `The node is not ready: ${String(reason.reason).replaceAll("_", " ")}`,
        act: "The log says more.",
        commands: ["orrery logs --follow"],
        detail: reason.detail,
      };
}

/** Of the server that does not answer; null if it does. */
function ofServer({ server, now, status }) {
  if (server.kind === "ok") return null;
  const since = duration((now - server.since) / 1000);
  const known = status ? ` What is shown below is from before.` : "";
  if (server.kind === "denied") {
    return {
      level: "warn",
      what: "The server asks for an access token",
      act: "Sign in with a token that the operator of this node gave you. It is kept for this tab only.",
      commands: [],
    };
  }
  if (server.kind === "forbidden") {
    return { level: "warn", what: "Your token may not see the state of this node", act: "Ask for one with the role viewer.", commands: [] };
  }
  if (server.kind === "missing") {
    return {
      level: "warn",
      what: "This node does not tell its state",
      act: "It may be of an older version, or something in between may not pass /v1/status on.",
      commands: ["orrery version"],
      detail: server.detail,
    };
  }
  const isDown = server.kind === "gone";
  return {
    level: "bad",
    what: isDown ? `The node has not answered for ${since}` : `The node has not told its state for ${since}`,
    act: `Is the process running, and can this machine reach it? Start it again if it ended: it goes on by itself where its dataset ends. This page tries again by itself.${known}`,
    commands: isDown ? ["orrery run -c orrery.toml", "orrery tree"] : ["orrery logs --follow"],
    detail: server.detail,
  };
}

/** Actors that wait for their restart, and supervisors that lately restarted some: those count the restarts. */
function ofTree(tree) {
  const problems = [];
  const walk = (actor, path) => {
    const here = `${path}/${actor.id}`;
    const ended = (actor.children ?? []).filter((child) => child.last_error);
    if (actor.state === "restarting" || actor.restarts_in_window > 0) {
      problems.push({
        level: "warn",
        what: actor.state === "restarting" ? `Actor ${here} is being restarted` : `${here} restarted its actors ${times(actor.restarts_in_window)} lately`,
        act: "Nothing is lost: they go on behind what is durable. If it goes on, see what ended them.",
        commands: [`orrery inspect ${here}`, "orrery restarts --last 50"],
        detail: actor.last_error ?? ended.map((child) => `${child.id}: ${child.last_error}`).join("\n"),
        actor: here,
      });
    }
    for (const child of actor.children ?? []) walk(child, here);
  };
  for (const node of tree?.nodes ?? []) {
    for (const child of node.tree?.children ?? []) walk(child, node.name);
  }
  return problems;
}

function times(number) {
  return number === 1 ? "once" : `${number} times`;
}

function ofNodes(nodes, tree) {
  const silent = new Map((tree?.nodes ?? []).filter((node) => node.error).map((node) => [node.name, node.error]));
  const isAway = (node) => ["suspect", "dead", "unreachable"].includes(node.state) || silent.has(node.name);
  return (nodes ?? []).filter(isAway).map((node) => ({
    level: node.state === "dead" ? "bad" : "warn",
    what: node.state === "dead" ? `Node ${node.name} is dead` : `Node ${node.name} does not answer the others`,
    act: "The others take over its work within seconds. See whether its process and its network are up; started again, it joins by itself.",
    commands: ["orrery nodes --cluster HOST:PORT"],
    detail: silent.get(node.name) ?? node.address,
  }));
}

function ofQuarantine(quarantine, parked) {
  if (!quarantine?.length || parked) return [];
  const [first] = quarantine;
  return [
    {
      level: "warn",
      what: `${counted(quarantine.length, "ledger")} in quarantine`,
      act: "Nothing behind such a ledger is written. See why it failed; when its cause is mended, have it tried again.",
      commands: [`orrery quarantine show ${first.ledger}`, `orrery quarantine retry ${first.ledger}`],
      detail: first.reason,
    },
  ];
}

/** A node that says it is ready, and yet comes no further. */
function ofProgress({ now, status, tip, lagGrowth, ageGrowth }) {
  if (!status || status.ready === false || hasEnded(status)) return [];
  const still = tip?.changedAt ? now - tip.changedAt : 0;
  if (still > Math.max(STALLED_MS, 6 * (tip?.everyMs ?? 0))) {
    return [
      {
        level: "warn",
        what: `No new ledger for ${duration(still / 1000)}`,
        act: "Either the network or its archive stands still, or the source is slow to give ledgers. Compare with another source; the log says what is waited for.",
        commands: ["orrery logs --follow"],
        detail: `the newest is ${count(status.tip)}`,
      },
    ];
  }
  const lag = Number(status.lag_ledgers ?? 0);
  const falls = lagGrowth !== null && lagGrowth > LAG_GROWTH && lag > LAG_GROWTH;
  const ages = ageGrowth !== null && ageGrowth > AGE_GROWTH_S && status.lag_seconds < HISTORY_S;
  if (!falls && !ages) return [];
  return [
    {
      level: "warn",
      what: falls ? `The node falls behind: ${counted(lag, "ledger")}, ${count(Math.round(lagGrowth))} more than a minute ago` : `Events come later and later: ${duration(status.lag_seconds)} after their ledger closed`,
      act: "Look for a mailbox that grows: it is before the stage that is too slow. A slow source or store shows in the log; another node shares the work.",
      commands: ["orrery top", "orrery logs --follow"],
    },
  ];
}

function ofFeed({ feed, now, server }) {
  if (!feed || server.kind !== "ok" || feed.phase !== "waiting" || now - feed.since < FEED_AWAY_MS) return [];
  return [
    {
      level: "warn",
      what: `The live feed is not connected for ${duration((now - feed.since) / 1000)}`,
      act: "The node answers, its feed does not: something between may not pass WebSockets on. The page tries again by itself and goes on at its cursor.",
      commands: [`orrery tail --url ${location.origin}`],
      detail: feed.detail,
    },
  ];
}

function hasEnded(status) {
  return status.pipelines?.length > 0 && status.pipelines.every((pipeline) => pipeline.state === "ended");
}

function headlineOfGood(facts) {
  const { status, nodes } = facts;
  const many = Math.max(Number(status.nodes ?? 0), nodes?.length ?? 0, 1);
  const durable = status.checkpoint ? `durable up to ledger ${count(status.checkpoint)}` : "nothing is durable yet";
  if (hasEnded(status)) {
    return { level: "ok", headline: "The work is done", detail: `All ledgers that were asked for are durable, up to ${count(status.checkpoint)}.` };
  }
  const lag = Number(status.lag_ledgers ?? 0);
  if (lag > CATCHING_UP) {
    const speed = status.rates?.ledgers_per_second;
    const left = speed > 0 ? `, about ${duration(lag / speed)} to go at ${rate(speed)} ledgers/s` : "";
    return { level: "busy", headline: `Catching up: ${counted(lag, "ledger")} behind`, detail: `${counted(many, "node")}, ${durable}${left}.` };
  }
  const pipelines = status.pipelines?.length ?? 0;
  const what = [counted(many, "node"), pipelines ? counted(pipelines, "pipeline") : "", durable].filter(Boolean).join(", ");
  return { level: "ok", headline: "All is well", detail: `${what}.` };
}

/** The verdict on all facts. */
export function judge(facts) {
  if (facts.server.kind === "unknown") {
    return { level: "unknown", headline: "Asking the node how it is", detail: "", problems: [] };
  }
  const away = ofServer(facts);
  const reasons = away || !facts.status ? [] : (facts.status.reasons ?? []).map((reason) => ofReason(reason, facts.quarantine));
  const isParked = reasons.length > 0 && facts.status.reasons.some((reason) => reason.reason === "parked");
  const rest = away
    ? []
    : [
        ...ofNodes(facts.nodes, facts.tree),
        ...ofRegions(facts.regions),
        ...ofProgress(facts),
        ...ofQuarantine(facts.quarantine, isParked),
        ...ofTree(facts.tree),
        ...ofFeed(facts),
      ];
  const problems = [...(away ? [away] : []), ...reasons, ...rest];
  if (problems.length === 0) return { ...headlineOfGood(facts), problems };
  problems.sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
  const [worst] = problems;
  const others = problems.length - 1;
  return { level: worst.level, headline: worst.what, detail: others ? `And ${counted(others, "other matter")}.` : "", problems };
}
