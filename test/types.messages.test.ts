// What the compiler says of faults in a policy: the place of the fault, and what to do.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { wideRunOnly } from "./length.ts";
import { ROOT } from "./sources.ts";
import { temporaryFolder } from "./temporary.ts";

const COMPILERS = { "TypeScript 7": "typescript", "TypeScript 5.9": "typescript-5.9" } as const;

/** Parts of a policy, and what is said of each; a limit has a name and `per` beside. */
const limits: Record<string, string> = {
  "qouta: 5": `UnknownKey<"qouta", "did you mean quota?" | "did you mean quotas?">`,
  "quotta: 5": `UnknownKey<"quotta", "did you mean quota?" | "did you mean quotas?">`,
  "quota: 5, zzz: 1": `UnknownKey<"zzz", "delete it, or begin its name with x-">`,
  'quota: 5, match: ["a"]': `UnknownKey<"match", "write when: { tool: […] }">`,
  "quota: 5, optional: true": `UnknownKey<"optional", "write onMissing: skip">`,
  'quota: 5, ttl: "1h"': `UnknownKey<"ttl", "write resetAfterIdle or resetAfter">`,
  'quota: 5, hold: { laese: "1m" }': "Did you mean to write 'lease'?",
  'quota: 5, window: "1h"': `Missing<"add algorithm: fixed-window, sliding-window or token-bucket">`,
  'quota: 5, algorithm: "fixed-window"': `Missing<"add window, such as 1h">`,
  'quota: 5, algorithm: "streak"': `Missing<"add of: errors or of: results">`,
  'algorithm: "concurrency"': `Missing<"add quota: how much is allotted, or unlimited">`,
  'quota: 5, algorithm: "gcra", window: "1h"': `WrongValue<"gcra", "write token-bucket">`,
  'quota: 5, algorithm: "leaky-bucket", window: "1h"': `WrongValue<"leaky-bucket", "write token-bucket">`,
  'quota: 5, algorithm: "quota"': `WrongValue<"quota", "write budget">`,
  'quota: 5, algorithm: "fixed-windw", window: "1h"': `WrongValue<"fixed-windw", "did you mean fixed-window?">`,
  'quota: 5, algorithm: "xyz"': `WrongValue<"xyz", "write budget, fixed-window, sliding-window, token-bucket, concurrency, elapsed, streak or cooldown">`,
  "quota: 5, quotas: { pro: 5 }": `WrongValue<5, "write quotas: { plan: { pro: … } }, with the dimension that has this value">`,
  'quota: 5, algorithm: "fixed-window", window: "1 hour"': `WrongValue<"1 hour", "write a whole number and ms, s, m, h or d, such as 1h; or day, week or month">`,
  'quota: 5, window: "daily"': `WrongValue<"daily", "write a whole number and ms, s, m, h or d, such as 1h; or day, week or month">`,
  'quota: 5, resetAfterIdle: "1 hour"': `WrongValue<"1 hour", "write a whole number and ms, s, m, h or d, such as 1h">`,
  'quota: 5, resetAfterIdle: String("1h")': `WrongValue<string, "add as const, so that the compiler knows the text">`,
  'quota: "5K"': `WrongValue<"5K", "write a whole number, or a text such as 200k, 2M, 5_000_000, or $5 for usd_micros">`,
  'quota: 5, algorithm: "fixed-window", window: "1h", burst: 2': `KeyOfAnotherAlgorithm<"burst", "token-bucket">`,
};

/** Other code, and what is said of it. */
const programs: Record<string, string> = {
  "createLimiter({ policy: plain, store });":
    'WrongValue<number, "write the policy with definePolicy, or add as const after it">',
  "aiSdkGuard(limiter, { maxDenials: 2 });": 'MissingDimensions<"device", "bind them with limiter.for',
  "openaiAgentsGuard(limiter, { maxDenials: 2 });": 'MissingDimensions<"device", "bind them with limiter.for',
  "langchainGuard(limiter, { maxDenials: 2 });": 'MissingDimensions<"device", "bind them with limiter.for',
  "mcpServerGuard(limiter, { maxWaitMs: 2 });": 'MissingDimensions<"device", "bind them with limiter.for',
  'limiter.consume({ tool: "x", device: "d" }, { quotas: { nonsense: 5 } });':
    'Refused<"quotas", "no limit of the policy says quota: { from: call }">',
};
const imported = {
  "createLimiter, definePolicy": "index",
  memoryStore: "stores/memory",
  aiSdkGuard: "adapters/ai-sdk",
  langchainGuard: "adapters/langchain",
  mcpServerGuard: "adapters/mcp-server",
  openaiAgentsGuard: "adapters/openai-agents",
};
const head = [
  ...Object.entries(imported).map(
    ([names, file]) => `import { ${names} } from ${JSON.stringify(join(ROOT, `src/${file}.ts`))};`,
  ),
  "const store = memoryStore();",
  'const plain = { version: 1, limits: [{ name: "a", per: ["session"], quota: 5 }] };',
  'const policy = definePolicy({ version: 1, limits: [{ name: "a", per: ["device"], quota: 5 }] });',
  "const limiter = createLimiter({ policy, store });",
];

for (const [name, compiler] of Object.entries(COMPILERS)) {
  const options = compiler === "typescript" ? {} : wideRunOnly;
  it(`${name} names the key or the value, and explains what to do, each at its position`, options, () => {
    const tsc = join(ROOT, "node_modules", compiler, "bin/tsc");
    const folder = temporaryFolder();
    const written = Object.keys(limits).map(
      (limit) => `definePolicy({ version: 1, limits: [{ name: "a", per: ["session"], ${limit} }] });`,
    );
    const lines = [...head, ...written, ...Object.keys(programs)];
    writeFileSync(join(folder, "policies.ts"), `${lines.join("\n")}\n`);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    const compilerOptions = { typeRoots: [join(ROOT, "node_modules/@types")] };
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ extends: join(ROOT, "tsconfig.json"), compilerOptions, include: ["policies.ts"] }),
    );
    const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], { encoding: "utf8" });
    const said = new Map<number, string>();
    let line = 0;
    for (const text of stdout.split("\n")) {
      const at = /policies\.ts\((\d+),\d+\): error/.exec(text);
      if (at !== null) {
        line = Number(at[1]);
        assert.equal(said.has(line), false, `two errors: ${text}`);
      }
      said.set(line, `${said.get(line) ?? ""}${text}\n`);
    }
    for (const [n, [limit, message]] of [...Object.entries(limits), ...Object.entries(programs)].entries()) {
      const found = said.get(n + head.length + 1);
      assert.ok(found?.includes(message), `${limit}\n${found}`);
    }
  });
}
