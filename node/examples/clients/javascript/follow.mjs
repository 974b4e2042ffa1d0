// Follows the live feed over a WebSocket and goes on where it was, whoever ends the connection. Needs nothing but Node 22
// (Node 20 with --experimental-websocket); `follow` itself runs in a browser as it is.
//
//     node follow.mjs http://127.0.0.1:8080 oldest '{"kind":["transfer"]}'
//     node follow.mjs http://10.0.0.4:8080,http://10.0.0.5:8080 latest
//
// Of several servers it goes on at the next one when one fails: a cursor is the same at every node of a dataset.
// Prints one event a line as JSON. The cursor is in memory here: write it where your events go, in the same transaction.

/** A cursor as it is ordered: an event of a ledger stands before the end of that ledger. */
const order = (cursor) => {
  const [ledger, event] = cursor.split(":");
  return [Number(ledger), event === undefined ? Infinity : Number(event)];
};

const isAfter = ([ledger, event], [otherLedger, otherEvent]) =>
  ledger > otherLedger || (ledger === otherLedger && event > otherEvent);

/**
 * Calls `onEvent` once for every event, in order, until `isOver(cursor)`; resolves then. `servers` is one or several. Rejects
 * if a server says that the cursor or the filter will not do.
 */
export function follow(servers, from, filter, { onEvent, onGap = () => {}, isOver = () => false }) {
  const urls = [servers].flat().map((server) => server.replace(/^http/, "ws").replace(/\/$/, "") + "/v1/feed");
  let seen = null;
  let attempt = 0;
  let turn = 0;
  return new Promise((resolve, reject) => {
    const connect = () => {
      const socket = new WebSocket(urls[turn % urls.length]);
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
        watchdog = setTimeout(() => socket.close(), 35_000);
      };
      // A cursor never goes back, whatever a server that has just restarted says.
      const advance = (cursor) => {
        if (seen === null || isAfter(order(cursor), order(seen))) seen = cursor;
        if (isOver(seen)) end(resolve, seen);
      };
      socket.onopen = () => {
        alive();
        socket.send(JSON.stringify({ op: "subscribe", id: "a", from: seen ?? from, filter }));
      };
      socket.onmessage = ({ data }) => {
        if (isDone) return;
        alive();
        const message = JSON.parse(data);
        if (message.type === "subscribed") {
          isSubscribed = true;
          attempt = 0;
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
          end(reject, new Error(`${message.code}: ${message.message}`));
        }
      };
      const again = (code) => {
        clearTimeout(watchdog);
        if (isDone) return;
        isDone = true;
        // 4008: too slow, and the place is known: no need to wait. Otherwise another server may be well: only when all have
        // failed, it pays to wait for long.
        attempt = code === 4008 ? 0 : attempt + 1;
        turn += code === 4008 ? 0 : 1;
        const longest = Math.min(10_000, 200 * 2 ** Math.floor(attempt / urls.length));
        setTimeout(connect, attempt && Math.random() * longest);
      };
      socket.onclose = ({ code }) => again(code);
      // Of a connection that never stood, Node says nothing else.
      socket.onerror = () => socket.readyState === WebSocket.OPEN || again(1006);
    };
    connect();
  });
}

if (globalThis.process?.argv[1]?.endsWith("follow.mjs")) {
  const [server, from = "latest", filter = "{}", to] = process.argv.slice(2);
  const last = to === undefined ? Infinity : Number(to);
  await follow(server.split(","), from, JSON.parse(filter), {
    onEvent: (event) => event.ledger_sequence <= last && console.log(JSON.stringify(event)),
    onGap: (gap) => console.error(`ledgers were lost: ${gap.from} to ${gap.to}`),
    isOver: (cursor) => !isAfter([last, Infinity], order(cursor)),
  });
  process.exit(0);
}
