// A command says the same in a process of its own as in that of the tests, where most tests run it.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { temporaryFolder } from "../temporary.ts";
import { runHere } from "./here.ts";
import { start } from "./tollgate.ts";

const folder = temporaryFolder();
writeFileSync(join(folder, "policy.yaml"), "version: 1\nlimits: [{ name: a, per: [session], quota: 1 }]");
writeFileSync(join(folder, "trace.jsonl"), '{"session":"s","turn":1,"tool":"x"}\n'.repeat(3));

describe("a command in a process of its own", () => {
  const commands: Record<string, readonly string[]> = {
    "that succeeds": ["check", "policy.yaml"],
    "that reads a trace": ["simulate", "trace.jsonl", "--policy", "policy.yaml", "--json"],
    "that reads a state": ["usage", "--store", "sqlite:state.db", "--policy", "policy.yaml", "--session", "s"],
    "with a wrong option": ["check", "--polcy", "policy.yaml"],
    "with a wrong file": ["replay", "trace.jsonl", "--policy", "other.yaml"],
    "with a file of another kind": ["test", "trace.jsonl"],
    "that does not exist": ["nonsense"],
    "that asks for help": ["keys", "--help"],
  };
  for (const [what, args] of Object.entries(commands)) {
    it(`${what} says the same as here: ${args[0]}`, async () => {
      const alone = await start(args, folder).ran;
      assert.deepEqual(alone, await runHere(args, folder, {}));
      assert.notEqual(alone.stdout + alone.stderr, "");
    });
  }
});
