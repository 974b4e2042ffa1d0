// Follows the live feed over a WebSocket and goes on where it was, whoever ends the connection. Needs nothing but Node 22
// (Node 20 with --experimental-websocket); `follow` itself runs in a browser as it is.
//
//     node follow.mjs http://127.0.0.1:8080 oldest '{"kind":["transfer"]}'
//
// Prints one event a line as JSON. The cursor is in memory here: write it where your events go, in the same transaction.

/** A cursor as it is ordered: an event of a ledger stands before the end of that ledger. */
const order = (cursor) => {
  const [ledger, event] = cursor.split(":");
  return [Number(ledger), event === undefined ? Infinity : Number(event)];
};

const isAfter = ([ledger, event], [otherLedger, otherEvent]) =>
  ledger > otherLedger || (ledger === otherLedger && event > otherEvent);

/**
 * Calls `onEvent` once for every event, in order, until `isOver(cursor)`; resolves then. Rejects if the server says that
 * the cursor or the filter will not do.
 */
export function follow(server, from, filter, { onEvent, onGap = () => {}, isOver = () => false }) {
  const url = server.replace(/^http/, "ws").replace(/\/$/, "") + "/v1/feed";
  let seen = null;
  let attempt = 0;
  return new Promise((resolve, reject) => {
    const connect = () => {
      const socket = new WebSocket(url);
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
      socket.onclose = ({ code }) => {
        clearTimeout(watchdog);
        if (isDone) return;
        // 4008: too slow, and the place is known: no need to wait.
        attempt = code === 4008 ? 0 : attempt + 1;
        setTimeout(connect, attempt && Math.random() * Math.min(10_000, 200 * 2 ** attempt));
      };
      socket.onerror = () => {};
    };
    connect();
  });
}

if (globalThis.process?.argv[1]?.endsWith("follow.mjs")) {
  const [server, from = "latest", filter = "{}", to] = process.argv.slice(2);
  const last = to === undefined ? Infinity : Number(to);
  await follow(server, from, JSON.parse(filter), {
    onEvent: (event) => event.ledger_sequence <= last && console.log(JSON.stringify(event)),
    onGap: (gap) => console.error(`ledgers were lost: ${gap.from} to ${gap.to}`),
    isOver: (cursor) => !isAfter([last, Infinity], order(cursor)),
  });
  process.exit(0);
}
