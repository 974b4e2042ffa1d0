// Asks for a path again and again: slower while nobody answers, not at all while nobody looks.

const SLOWEST_MS = 15_000;

export class Poll {
  /** `path` is text, or a function that gives it; `take` is given every answer. */
  constructor(api, path, everyMs, take) {
    Object.assign(this, { api, path, everyMs, take });
    this.failures = 0;
    this.round = 0;
    document.addEventListener("visibilitychange", () => !document.hidden && this.now());
  }

  /** Asks at once, and forgets what is being asked. */
  async now() {
    const round = ++this.round;
    clearTimeout(this.timer);
    const path = typeof this.path === "function" ? this.path() : this.path;
    const answer = await this.api.get(path);
    if (round !== this.round) return;
    this.failures = answer.kind === "ok" ? 0 : this.failures + 1;
    this.take(answer);
    const wait = Math.min(this.everyMs * 2 ** Math.min(this.failures, 4), Math.max(SLOWEST_MS, this.everyMs));
    const asked = Math.min(answer.retryAfter ?? 0, 300) * 1000;
    this.timer = setTimeout(() => !document.hidden && this.now(), Math.max(this.failures < 2 ? this.everyMs : wait, asked));
  }
}
