// Asks the server for JSON. An answer is always an object with `kind`, so that no panel has to catch anything:
//   ok           value
//   gone         nobody answers, or not in time
//   denied       401: a token is wanted, or another one
//   forbidden    403: the token's role may not see this
//   missing      404: this node does not serve it
//   unavailable  429 and 5xx: later
//   bad          an answer that is no JSON, or one that this page does not know

const WITHIN_MS = 10_000;

export class Api {
  constructor(access) {
    this.access = access;
  }

  async get(path) {
    const headers = { Accept: "application/json" };
    if (this.access.token) headers.Authorization = `Bearer ${this.access.token}`;
    let answer;
    try {
      const signal = AbortSignal.timeout(WITHIN_MS);
      answer = await fetch(path, { headers, signal, credentials: "omit", redirect: "error" });
      return await understood(answer);
    } catch (error) {
      if (answer) return { kind: "gone", detail: "the answer broke off" };
      const isLate = error instanceof DOMException && error.name === "TimeoutError";
      return { kind: "gone", detail: isLate ? `no answer within ${WITHIN_MS / 1000} s` : "no connection" };
    }
  }
}

async function understood(answer) {
  const text = await answer.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const detail = typeof value?.detail === "string" ? value.detail : `${answer.status} ${answer.statusText}`.trim();
  const refused = { status: answer.status, detail, value, retryAfter: Number(answer.headers.get("Retry-After")) || 0 };
  if (answer.ok) {
    return value === undefined ? { kind: "bad", ...refused, detail: "the answer is no JSON" } : { kind: "ok", value };
  }
  const kinds = { 401: "denied", 403: "forbidden", 404: "missing", 429: "unavailable" };
  return { kind: kinds[answer.status] ?? (answer.status >= 500 ? "unavailable" : "bad"), ...refused };
}
