// A reader of /v1/feed that keeps its place: it knows the cursor of what it saw last, and every connection goes on there.
//
// Phases: off, connecting, replaying, live, waiting (for the next try), paused, refused (the filter is wrong: a person must act).

/** What the page calls its subscription. */
const ID = "page";
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** A server that says nothing for so long is gone, whatever the socket thinks; each ledger brings a frame. */
const SILENCE_MS = 90_000;
const TOO_SLOW = 4008;
/** After so many closes as too slow in a row the page skips to the newest ledger, and says so. */
const TOO_SLOW_MAX = 3;

/** Cursors are `ledger` or `ledger:event`. */
const ledgerOf = (cursor) => Number(String(cursor).split(":")[0]);

export class Feed {
  /**
   * `take(kind, value)` is called with:
   *   state    { phase, detail, since }      events   a frame of events
   *   gap      { from, to, why }             lag      milliseconds           tip      the newest ledger
   */
  constructor({ url, access, take }) {
    Object.assign(this, { url, access, take });
    this.filter = {};
    this.cursor = null;
    this.socket = null;
    this.wait = FIRST_WAIT_MS;
    this.tooSlow = 0;
    this.phase = "off";
    addEventListener("online", () => this.phase === "waiting" && this.connect());
  }

  /** Reads what matches: from the newest ledger, or behind a ledger so that there is something to see at once. */
  start(filter, from = null) {
    this.filter = filter;
    this.cursor = from;
    this.hasRead = false;
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  /** Stops reading; the place is kept. */
  pause() {
    this.drop();
    this.turn("paused", "");
  }

  /** Goes on behind what was seen last. */
  resume() {
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  /** Goes on at the newest ledger. What lies between is not shown. */
  skip() {
    this.cursor = null;
    this.resume();
  }

  turn(phase, detail) {
    if (phase === this.phase && detail === this.detail) return;
    this.phase = phase;
    this.detail = detail;
    this.take("state", { phase, detail, since: Date.now() });
  }

  drop() {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    const { socket } = this;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    // A browser writes a warning about a socket that is closed before it is open, so it opens first and says nothing.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }

  connect() {
    this.drop();
    if (this.phase !== "waiting") this.turn("connecting", "");
    // A browser sends no headers with a WebSocket; a protocol beside the real one carries the token.
    const protocols = this.access.token ? ["orrery.feed", `bearer.${this.access.token}`] : [];
    let socket;
    try {
      socket = new WebSocket(this.url, protocols);
    } catch {
      this.turn("refused", "This token has signs that a browser cannot send on a WebSocket.");
      return;
    }
    this.socket = socket;
    socket.onopen = () => {
      socket.send(JSON.stringify({ op: "subscribe", id: ID, from: this.cursor ?? "latest", filter: this.filter }));
      this.listen();
    };
    socket.onmessage = (message) => this.receive(message.data);
    socket.onclose = (event) => this.closed(event);
    this.listen();
  }

  /** Waits for the next frame, but not for ever. */
  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.drop();
      this.again("the server went silent");
    }, SILENCE_MS);
  }

  receive(data) {
    this.listen();
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame === null || typeof frame !== "object") return;
    const takers = {
      subscribed: () => this.subscribed(frame),
      events: () => this.events(frame),
      heartbeat: () => this.heartbeat(frame),
      gap: () => this.gap(frame),
      error: () => this.error(frame),
    };
    if (Object.hasOwn(takers, frame.type)) takers[frame.type]();
  }

  subscribed(frame) {
    this.wait = FIRST_WAIT_MS;
    this.replayTo = this.cursor === null ? null : ledgerOf(frame.tip);
    this.cursor ??= frame.cursor ?? frame.tip ?? null;
    const isBehind = this.replayTo !== null && this.replayTo > ledgerOf(this.cursor);
    this.turn(isBehind ? "replaying" : "live", "");
  }

  events(frame) {
    if (!Array.isArray(frame.events)) return;
    this.moved(frame.cursor);
    this.hasRead = true;
    this.tooSlow = 0;
    this.take("events", frame);
  }

  /** All up to its tip has been sent, whether or not it matched; but where it names this subscription, only up to there. */
  heartbeat(frame) {
    const behind = frame.cursors?.[ID];
    this.moved(behind ?? frame.tip);
    if (behind === undefined && this.phase === "replaying") this.turn("live", "");
    if (typeof frame.lag_ms === "number") this.take("lag", frame.lag_ms);
    this.take("tip", frame.tip);
  }

  moved(cursor) {
    if (cursor === undefined || cursor === null) return;
    this.cursor = String(cursor);
    if (this.phase === "replaying" && ledgerOf(cursor) >= this.replayTo) this.turn("live", "");
  }

  gap(frame) {
    this.take("gap", { from: frame.from, to: frame.to, why: "the source itself lost these ledgers" });
    this.moved(frame.to);
  }

  error(frame) {
    const said = typeof frame.message === "string" ? frame.message : String(frame.code);
    if (frame.code === "cursor_too_old") {
      if (this.hasRead) this.take("gap", { from: this.cursor, to: frame.oldest, why: "the node does not keep ledgers as old as that" });
      this.cursor = null;
      this.drop();
      this.again(said);
    } else if (frame.code === "cursor_ahead") {
      this.cursor = null;
      this.drop();
      this.again(said);
    } else if (frame.code === "bad_filter") {
      this.drop();
      this.turn("refused", said);
    } else if (frame.code === "unauthorized") {
      this.drop();
      this.access.denied();
      this.turn("refused", said);
    } else {
      this.drop();
      this.wait = Math.max(this.wait, 4_000);
      this.again(said);
    }
  }

  closed(event) {
    this.drop();
    if (event.code === TOO_SLOW && ++this.tooSlow >= TOO_SLOW_MAX) {
      this.tooSlow = 0;
      this.take("gap", { from: this.cursor, to: null, why: "the feed is faster than this page can show; it skipped to the newest ledger" });
      this.cursor = null;
    }
    const why = event.reason || (event.code === 1006 ? "the connection broke" : `closed with code ${event.code}`);
    this.again(why);
  }

  /** The next try, later each time, and not at the same moment as all other readers. */
  again(why) {
    this.turn("waiting", why);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }
}
