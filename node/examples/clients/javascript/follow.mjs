// Follows the live feed over a WebSocket and goes on where it was, whoever ends the connection. Needs nothing but Node 22
// (Node 20 with --experimental-websocket); `follow` itself runs in a browser as it is.
//
//     node follow.mjs http://127.0.0.1:8080 oldest '{"kind":["transfer"]}'
//     node follow.mjs https://eu.example,https://us.example latest
//
// Of several servers, also of several regions, it reads at the first that is in traffic, and goes on at another one when that
// one fails, sends its readers elsewhere or has not what comes next: a cursor is the same everywhere.
// Prints one event a line as JSON. The cursor is in memory here: write it where your events go, in the same transaction.

/** A cursor as it is ordered: an event of a ledger stands before the end of that ledger. */
const order = (cursor) => {
  const [ledger, event] = cursor.split(":");
  return [Number(ledger), event === undefined ? Infinity : Number(event)];
};

const isAfter = ([ledger, event], [otherLedger, otherEvent]) =>
  ledger > otherLedger || (ledger === otherLedger && event > otherEvent);

/** 0 if traffic belongs there, 1 if not, 2 if nobody answers. */
const standing = (server) =>
  fetch(server + "/healthz/traffic", { signal: AbortSignal.timeout(2_000) }).then(
    ({ status }) => (status === 503 ? 1 : 0),
    () => 2,
  );

/** Who answers, has not just failed and is in traffic, in the order given. Who is not in traffic is better than nobody. */
const choose = async (servers, failed) => {
  if (servers.length === 1) return servers[0];
  const standings = await Promise.all(servers.map(standing));
  const rank = (server, at) => [standings[at] === 2, failed.has(server), standings[at], at].map(Number);
  const ranked = servers.map((server, at) => ({ server, rank: rank(server, at) }));
  const differs = (one, other) => one.rank.findIndex((value, at) => value !== other.rank[at]);
  ranked.sort((one, other) => one.rank[differs(one, other)] - other.rank[differs(one, other)]);
  return ranked[0].server;
};

/**
 * Calls `onEvent` once for every event, in order, until `isOver(cursor)`; resolves then. `servers` is one or several. Rejects
 * if a server says that the filter will not do, or every server that the cursor will not.
 */
export function follow(servers, from, filter, { onEvent, onGap = () => {}, onMove = () => {}, isOver = () => false }) {
  servers = [servers].flat().map((server) => server.replace(/\/$/, ""));
  let seen = null;
  let attempt = 0;
  let failed = new Set();
  let without = new Set();
  return new Promise((resolve, reject) => {
    const connect = (server) => {
      const socket = new WebSocket(server.replace(/^http/, "ws") + "/v1/feed");
      let isSubscribed = false;
      let isDone = false;
      let watchdog;
      const end = (settle, value) => {
        isDone = true;
        clearTimeout(watchdog);
        socket.close();
        settle(value);
      };
      // A server that lives says something every ten seconds.
      const alive = () => {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => leave(1006), 35_000);
      };
      // Without waiting for the other end, which may be gone.
      const leave = (code) => {
        socket.close();
        again(code);
      };
      // A cursor never goes back, whatever a server that has just restarted says.
      const advance = (cursor) => {
        if (seen === null || isAfter(order(cursor), order(seen))) seen = cursor;
        if (isOver(seen)) end(resolve, seen);
      };
      alive();
      socket.onopen = () => {
        socket.send(JSON.stringify({ op: "subscribe", id: "a", from: seen ?? from, filter }));
      };
      socket.onmessage = ({ data }) => {
        if (isDone) return;
        alive();
        const message = JSON.parse(data);
        if (message.type === "subscribed") {
          isSubscribed = true;
          attempt = 0;
          failed = new Set();
          without = new Set();
          advance(message.cursor);
        } else if (message.type === "events") {
          for (const event of message.events) {
            const place = [event.ledger_sequence, event.ledger_event_index];
            if (seen === null || isAfter(place, order(seen))) onEvent(event);
          }
          advance(message.cursor);
        } else if (message.type === "heartbeat" && isSubscribed) {
          advance(message.cursors?.a ?? message.tip);
        } else if (message.type === "gap") {
          onGap(message);
        } else if (message.type === "error" && message.code !== "rate_limited") {
          const isOfPlace = ["cursor_too_old", "cursor_ahead"].includes(message.code);
          without.add(server);
          if (isOfPlace && without.size < servers.length) leave(1000);
          else end(reject, new Error(`${message.code}: ${message.message}`));
        }
      };
      const again = async (code) => {
        clearTimeout(watchdog);
        if (isDone) return;
        isDone = true;
        // Too slow, and the place is known: no need to wait, nor to go elsewhere.
        if (code === 4008) return connect(server);
        // Another server may be well: only when all have failed, it pays to wait for long.
        if (failed.has(server) || failed.size + 1 >= servers.length) {
          attempt += 1;
          failed = new Set();
        }
        failed.add(server);
        const next = await choose(servers, failed);
        onMove({ from: server, to: next, code, cursor: seen ?? from });
        setTimeout(() => connect(next), Math.random() * Math.min(10_000, 200 * 2 ** attempt));
      };
      socket.onclose = ({ code }) => again(code);
      // Of a connection that never stood, Node says nothing else.
      socket.onerror = () => socket.readyState === WebSocket.OPEN || again(1006);
    };
    choose(servers, failed).then(connect, reject);
  });
}

if (globalThis.process?.argv[1]?.endsWith("follow.mjs")) {
  const [server, from = "latest", filter = "{}", to] = process.argv.slice(2);
  const last = to === undefined ? Infinity : Number(to);
  await follow(server.split(","), from, JSON.parse(filter), {
    onEvent: (event) => event.ledger_sequence <= last && console.log(JSON.stringify(event)),
    onGap: (gap) => console.error(`ledgers were lost: ${gap.from} to ${gap.to}`),
    onMove: ({ from, to, code, cursor }) => console.error(`${from}: closed (${code}); going on at ${to} behind ${cursor}`),
    isOver: (cursor) => !isAfter([last, Infinity], order(cursor)),
  });
  process.exit(0);
}
