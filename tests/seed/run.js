// Run one scene in Node: `node run.js seedProof ws://127.0.0.1:10000/ws`. A line for each thing that holds.

"use strict";

const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const vm = require("node:vm");

for (const name of ["message_service.js", "proof.js"]) {
  vm.runInThisContext(readFileSync(join(__dirname, name), "utf8"), { filename: name });
}
const [scene, url, patience] = process.argv.slice(2);
const given = scene === "seedComesBack" ? [() => console.log("ready")] : [];
globalThis[scene](url, ...given, patience && Number(patience)).then(
  (lines) => {
    for (const line of lines) console.log(line);
    process.exit(0);
  },
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
