// Prints what a profile holds as JSON. Arguments: the folder with node_modules, the profile's file.

import { readFileSync } from "node:fs";

import { read } from "./profile.mjs";

const [folder, file] = process.argv.slice(2);
console.log(JSON.stringify(read(folder, readFileSync(file))));
