// Builds elements. Text goes in as text nodes alone: nothing that a server says is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: `el("a", { href: "#x", onclick }, "text", otherElement)`. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** The element of this id, which index.html has. */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no element #${id}`);
  return element;
}

/** Writes text, and only if it is another: what did not change is not read aloud again, and keeps its selection. */
export function write(element, text) {
  const value = String(text);
  if (element.textContent !== value) element.textContent = value;
}

/** Where commands are typed. */
export const WHERE = "Commands ask the node whose orrery-data is in the folder, or that of --data-dir.";

/** A command that a reader types elsewhere, with a button that copies it where the browser may. */
export function command(text) {
  const code = el("code", {}, text);
  if (!navigator.clipboard) return el("span", { class: "command" }, code);
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    const copied = await navigator.clipboard.writeText(text).then(() => true, () => false);
    write(button, copied ? "Copied" : "Not allowed");
    setTimeout(() => write(button, "Copy"), 1500);
  });
  return el("span", { class: "command" }, code, button);
}
