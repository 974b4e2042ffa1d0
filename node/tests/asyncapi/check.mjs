// Whether /asyncapi.json is what the AsyncAPI parser takes, and whether what a node says is as it says there.
//
// Arguments: the folder with node_modules, the document's file, a file with a frame of the feed in each line.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, document, frames] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const { Parser } = require("@asyncapi/parser");
const Ajv = require("ajv");

const parsed = await new Parser().parse(readFileSync(document, "utf8"));
// 0 is an error, 1 a warning; what is less is taste.
const complaints = parsed.diagnostics.filter(({ severity }) => severity <= 1);
for (const { message, path } of complaints) console.error(`${path.join("/")}: ${message}`);
if (!parsed.document) throw new Error("the parser refuses the document");

const ajv = new Ajv({ strict: false, validateFormats: false });
const payloads = new Map(
  parsed.document.operations().get("tell").messages().all()
    .map((message) => [message.name(), ajv.compile(message.payload().json())]),
);
const seen = new Set();
for (const line of readFileSync(frames, "utf8").split("\n").filter(Boolean)) {
  const frame = JSON.parse(line);
  const check = payloads.get(frame.type);
  if (!check) throw new Error(`${frame.type} is not described`);
  if (!check(frame)) throw new Error(`${line.slice(0, 300)}: ${ajv.errorsText(check.errors)}`);
  seen.add(frame.type);
}
if (complaints.length > 0) process.exit(1);
console.log(`agreed: ${[...seen].sort().join(", ")}`);
