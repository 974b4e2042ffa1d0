// A profile as others read it: `pprof-format`, which takes it apart by the published description of the form.

import { createRequire } from "node:module";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

// What is in it, with the texts in place of their numbers. `folder` has node_modules.
export function read(folder, bytes) {
  const { Profile } = createRequire(join(folder, "package.json"))("pprof-format");
  const isGzipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const profile = Profile.decode(isGzipped ? gunzipSync(bytes) : bytes);
  const text = (at) => profile.stringTable.strings[Number(at)];
  const kind = (of) => `${text(of.type)}/${text(of.unit)}`;
  const names = new Map(profile.function.map((one) => [Number(one.id), text(one.name)]));
  const frames = new Map(
    profile.location.map((one) => [Number(one.id), one.line.map((line) => names.get(Number(line.functionId)))]),
  );
  const stacks = profile.sample.map((sample) => sample.locationId.flatMap((id) => frames.get(Number(id)) ?? ["?"]));
  const sums = profile.sampleType.map((_, at) => profile.sample.reduce((sum, one) => sum + Number(one.value[at]), 0));
  return {
    kinds: profile.sampleType.map(kind),
    period: `${Number(profile.period)} ${profile.periodType ? kind(profile.periodType) : ""}`,
    seconds: Number(profile.durationNanos) / 1e9,
    samples: profile.sample.length,
    sums,
    unknown: stacks.filter((stack) => stack.length === 0 || stack.includes("?") || stack.includes(undefined)).length,
    functions: [...new Set(stacks.flat())].filter(Boolean),
  };
}
