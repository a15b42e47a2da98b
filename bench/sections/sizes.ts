// What a program weighs with a limiter in it, and how long the import of a limiter takes.

import { spawnSync } from "node:child_process";
import { type Bundled, bundleProgram, installPackage } from "../../scripts/package/size.ts";
import { SIZE_PROGRAMS } from "../../scripts/package/size-programs.ts";
import { PEER } from "../calls.ts";
import { median, progress } from "../harness.ts";
import { atMost, type Goal, type Measured, type Section, type Table } from "../section.ts";
import { temporaryFolder } from "../servers.ts";

const FULL = 20;
const SHORT = 1;
const MOST_MS = 60;
const WHY_LARGE =
  "Every program has what any policy may ask for: the schema, eight algorithms, holds, waits, grants, texts for models. Redis adds failover";
/** What Tollgate's programs weighed when its schemas were made with zod, and its parts were not yet apart: 0.1.0, 29 Nov 2026. */
const BEFORE_KB = [186.2, 213.9, 199.1, 190.3, 281.6];

const PEERS = {
  [`${PEER}, in memory`]: `export { RateLimiterMemory } from "${PEER}";`,
  [`${PEER}, on Redis`]: `export { RateLimiterRedis } from "${PEER}";`,
  "express-rate-limit": `export { rateLimit } from "express-rate-limit";`,
};

/** What a fresh process imports. The first one is the process alone. */
const IMPORTS: Readonly<Record<string, readonly string[]>> = {
  "an empty process": [],
  "Tollgate with the memory store": ["tollgate", "tollgate/stores/memory"],
  "Tollgate with the Redis store": ["tollgate", "tollgate/stores/redis"],
  "Tollgate's client": ["tollgate/client"],
  [PEER]: [PEER],
  "express-rate-limit": ["express-rate-limit"],
};

export const section: Section = {
  title: "Size and import",
  meaning: `A program that makes two calls, or one that only imports a peer, is bundled by esbuild for Node, minified, and
compressed with gzip; "loaded later" is compressed, too. A driver such as ioredis is not in it. An import is a fresh process that imports the packages as they
are installed, with its start and its end, less an empty process.`,

  async measure(isShort) {
    using folder = temporaryFolder();
    await installPackage(folder.path);
    const sizes = await sizesIn(folder.path);
    const imports = importsIn(folder.path, isShort ? SHORT : FULL);
    return {
      work: `${sizes.tables[0]?.rows.length} programs, and ${isShort ? SHORT : FULL} fresh processes for each import in turn`,
      tables: [...sizes.tables, ...imports.tables],
      goals: [...sizes.goals, ...imports.goals],
    };
  },
};

async function sizesIn(folder: string): Promise<Pick<Measured, "tables" | "goals">> {
  progress("sizes");
  const rows: string[][] = [];
  const goals: Goal[] = [];
  const rowOf = (name: string, { start, later }: Bundled, before = "") => {
    return [name, kB(start.gzipBytes), kB(start.minifiedBytes), kB(later.gzipBytes), before];
  };
  for (const [i, { name, source, targetKB }] of SIZE_PROGRAMS.entries()) {
    const bundled = await bundleProgram(source, folder, "node");
    rows.push(rowOf(`Tollgate: ${name}`, bundled, String(BEFORE_KB[i] ?? "")));
    goals.push(atMost(`kB compressed of ${name}`, targetKB, bundled.start.gzipBytes / 1_000, WHY_LARGE));
  }
  for (const [name, source] of Object.entries(PEERS)) {
    rows.push(rowOf(name, await bundleProgram(source, folder, "node")));
  }
  const head = ["size of a program", "kB compressed", "kB minified", "kB loaded later", "kB compressed, before"];
  return { tables: [{ head, rows }], goals };
}

const kB = (bytes: number) => (bytes / 1_000).toFixed(1);

function importsIn(folder: string, runs: number): Pick<Measured, "tables" | "goals"> {
  progress("imports");
  const times = new Map(Object.keys(IMPORTS).map((name) => [name, [] as number[]]));
  for (let run = 0; run < runs; run++) {
    for (const [name, specifiers] of Object.entries(IMPORTS)) times.get(name)?.push(msToImport(specifiers, folder));
  }
  const [[, emptyMs] = ["", 0], ...measured] = [...times].map(([name, ms]) => [name, median(ms)] as const);
  const rows = measured.map(([name, ms]) => [name, (ms - emptyMs).toFixed(1)]);
  const table: Table = { head: ["import in a fresh process", "ms"], rows };
  return {
    tables: [table],
    goals: [atMost("ms to import Tollgate with the memory store", MOST_MS, (measured[0]?.[1] ?? Number.NaN) - emptyMs)],
  };
}

/** How long a process takes that imports packages: Tollgate from the folder, and the others from the repository. */
function msToImport(specifiers: readonly string[], folder: string): number {
  const program = specifiers.map((specifier) => {
    const found = specifier.startsWith("tollgate") ? specifier : import.meta.resolve(specifier);
    return `await import(${JSON.stringify(found)});`;
  });
  const startedMs = performance.now();
  const { status } = spawnSync(process.execPath, ["--input-type=module", "--eval", program.join("")], { cwd: folder });
  const ms = performance.now() - startedMs;
  if (status !== 0) throw new Error(`${specifiers} cannot be imported`);
  return ms;
}
