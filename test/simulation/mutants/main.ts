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

/** The last lines of a search: the violation, and the sums. */
function search(name: string): Promise<string> {
  const args = ["--schedules", values.schedules, "--seed", values.seed, "--until-found"];
  const node = ["--conditions=tollgate-source", `--import=${at("hook.ts")}`, at("../main.ts"), ...args];
  const child = spawn(process.execPath, node, {
    env: { ...process.env, TOLLGATE_MUTANT: name },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  return new Promise((resolve) => child.on("close", () => resolve(output.trim())));
}

let missed = 0;
for (const name of Object.keys(MUTANTS).filter((each) => each.includes(values.only))) {
  const lines = (await search(name)).split("\n");
  const [found = ""] = lines;
  const isFound = lines.length > 1 && found.startsWith(`${values.seed}.`);
  if (!isFound) missed++;
  console.log(
    `${isFound ? "found " : "MISSED"} ${name}: ${(isFound ? found : lines.slice(-3).join(" | ")).slice(0, 220)}`,
  );
}
if (missed > 0) process.exitCode = 1;
