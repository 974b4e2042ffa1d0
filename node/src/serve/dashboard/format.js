// How values read. Amounts and ids come and stay as text: a float would round them.

/** Decimals of every asset that is not a contract's own token. */
export const CLASSIC_DECIMALS = 7;

const INTEGER = /^-?\d+$/;

/** `1234567` as `1,234,567`; digits only, of any length. */
export function grouped(digits) {
  return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

/** An integer in the smallest unit, as text, in whole units: `amount("-15000000", 7)` is `-1.5000000`. Exact. */
export function amount(text, decimals) {
  const value = String(text);
  if (!INTEGER.test(value)) return value;
  const sign = value.startsWith("-") ? "-" : "";
  const digits = value.replace("-", "").replace(/^0+(?=\d)/, "");
  if (decimals === 0) return sign + grouped(digits);
  const padded = digits.padStart(decimals + 1, "0");
  const at = padded.length - decimals;
  return `${sign}${grouped(padded.slice(0, at))}.${padded.slice(at)}`;
}

/** What a person types, `1,234.5`, as an integer in the smallest unit; null if it is no such number. */
export function smallestUnit(typed, decimals) {
  const found = /^(\d*)(?:\.(\d*))?$/.exec(typed.trim().replaceAll(",", "").replaceAll(" ", ""));
  if (!found) return null;
  const [, whole, fraction = ""] = found;
  if (whole + fraction === "" || fraction.length > decimals) return null;
  return (whole + fraction.padEnd(decimals, "0")).replace(/^0+(?=\d)/, "");
}

/** The sum of two integers as text. */
export function sum(a, b) {
  return (BigInt(a) + BigInt(b)).toString();
}

/** A count, or a dash where there is none. */
export function count(value) {
  const isNone = value === null || value === undefined || value === "";
  if (isNone) return "–";
  const text = String(value);
  return INTEGER.test(text) ? (text.startsWith("-") ? "-" : "") + grouped(text.replace("-", "")) : text;
}

/** One ledger, 2 ledgers. */
export function counted(value, noun) {
  return `${count(value)} ${noun}${String(value) === "1" ? "" : "s"}`;
}

/** A rate: as many decimals as tell something. */
export function rate(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  if (value >= 100) return grouped(String(Math.round(value)));
  return value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(value >= 1 ? 1 : 2);
}

/** Seconds, as `4 s`, `3 min`, `5 h 12 min`, `418 d`. */
export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return seconds > 0 && seconds < 1 ? "under 1 s" : `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${grouped(String(Math.floor(hours / 24)))} d`;
}

/** Bytes, in powers of 1,024. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [scaled, unit] = [Number(value), 0];
  while (scaled >= 1024 && unit < units.length - 1) [scaled, unit] = [scaled / 1024, unit + 1];
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit]}`;
}

/** The time of day of a moment of this page, as the reader's clock shows it. */
export function clock(milliseconds) {
  return new Date(milliseconds).toLocaleTimeString([], { hour12: false });
}

/** A close time, in UTC as ledgers have it. */
export function closedAt(text) {
  return typeof text === "string" ? text.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC") : "–";
}

/** `GABC…WXYZ`. */
export function short(id, head = 4, tail = 4) {
  return id.length > head + tail + 1 ? `${id.slice(0, head)}…${id.slice(id.length - tail)}` : id;
}

/** The code of an asset, and who issued it. */
export function assetParts(asset) {
  if (asset === "native") return { code: "XLM", issuer: "native" };
  const [code, issuer = ""] = String(asset).split(":");
  return { code, issuer };
}
