// Takes profiles as Pyroscope's `/ingest` does: a form with the file `profile`. Prints where it listens, then what each profile
// holds, a line of JSON each. The form is taken apart by the runtime's own parser, the profile by pprof-format.
//
// Argument: the folder with node_modules.

import { createServer } from "node:http";

import { read } from "./profile.mjs";

const [folder] = process.argv.slice(2);

async function taken(request) {
  const url = new URL(request.url, "http://here");
  if (request.method !== "POST" || url.pathname !== "/ingest") throw new Error(`${request.method} ${request.url}`);
  const parts = [];
  for await (const part of request) parts.push(part);
  const type = request.headers["content-type"];
  const form = await new Response(Buffer.concat(parts), { headers: { "content-type": type } }).formData();
  const file = form.get("profile");
  if (!file || [...form.keys()].length !== 1) throw new Error(`parts: ${[...form.keys()]}`);
  const asked = Object.fromEntries(url.searchParams);
  return { asked, file: file.name, ...read(folder, Buffer.from(await file.arrayBuffer())) };
}

const server = createServer((request, answer) => {
  taken(request).then(
    (told) => {
      console.log(JSON.stringify(told));
      answer.end();
    },
    (error) => {
      console.log(JSON.stringify({ error: String(error) }));
      answer.writeHead(400).end(String(error));
    },
  );
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
