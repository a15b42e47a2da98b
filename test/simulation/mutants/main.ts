// Plants each mutant by itself and looks how many schedules the simulator needs to find it:
// npm run test:simulation:mutants -- [--only NAME] [--schedules N].

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MUTANTS } from "./mutants.ts";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    schedules: { type: "string", default: "10000" },
    seed: { type: "string", default: "mutant" },
  },
});

/** Simulates, with a mutant or without. Returns what is printed: the violations, and the sums. */
function simulate(name: string | null, first: string, schedules: string): Promise<string> {
  const args = ["--seed", values.seed, "--first", first, "--schedules", schedules, "--until-found"];
  const hook = name === null ? [] : [`--import=${at("hook.ts")}`];
  const child = spawn(process.execPath, ["--conditions=tollgate-source", ...hook, at("../main.ts"), ...args], {
    env: { ...process.env, TOLLGATE_MUTANT: name ?? "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  return new Promise((resolve) => child.on("close", () => resolve(output.trim())));
}

/** How a mutant was found; `null` when it was not. A violation that is there without the mutant does not count. */
async function search(name: string): Promise<string | null> {
  for (let first = 0; first < Number(values.schedules); ) {
    const output = await simulate(name, String(first), String(Number(values.schedules) - first));
    const number = output.startsWith(`${values.seed}.`)
      ? output.slice(values.seed.length + 1).split(":")[0]
      : undefined;
    if (number === undefined) return isError(output) ? output.slice(-200) : null;
    if ((await simulate(null, number, "1")).includes(" 0 with violations")) return output.split("\n")[0] ?? "";
    first = Number(number) + 1;
  }
  return null;
}

/** A mutant that makes the simulator itself fail is found, too. */
function isError(output: string): boolean {
  return !/ with violations,/.test(output);
}

let missed = 0;
for (const name of Object.keys(MUTANTS).filter((each) => each.includes(values.only))) {
  const found = await search(name);
  if (found === null) missed++;
  console.log(`${found === null ? "MISSED" : "found "} ${name}${found === null ? "" : `: ${found.slice(0, 220)}`}`);
}
if (missed > 0) process.exitCode = 1;
