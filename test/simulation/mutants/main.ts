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

type Found = { readonly how: "found" | "MISSED" | "BROKEN"; readonly text: string };

/** Looks for a mutant. A violation that is there without the mutant does not count. */
async function search(name: string): Promise<Found> {
  for (let first = 0; first < Number(values.schedules); ) {
    const output = await simulate(name, String(first), String(Number(values.schedules) - first));
    if (!output.includes(" with violations,")) return { how: "BROKEN", text: output.slice(-300) };
    const number = output.startsWith(`${values.seed}.`)
      ? output.slice(values.seed.length + 1).split(":")[0]
      : undefined;
    if (number === undefined) break;
    const plain = await simulate(null, number, "1");
    if (plain.includes(" 0 with violations")) return { how: "found", text: output.split("\n")[0] ?? "" };
    first = Number(number) + 1;
  }
  return { how: "MISSED", text: "" };
}

let missed = 0;
for (const name of Object.keys(MUTANTS).filter((each) => each.includes(values.only))) {
  const { how, text } = await search(name);
  if (how !== "found") missed++;
  console.log(`${how} ${name}: ${text.slice(0, 220)}`);
}
if (missed > 0) process.exitCode = 1;
