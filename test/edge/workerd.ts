// Real workerd processes for tests, through miniflare: a Worker of test/edge is bundled once and started in each.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after } from "node:test";
import { build, type Plugin } from "esbuild";
import { Miniflare } from "miniflare";
import { Agent, request } from "undici";
import { ROOT } from "../sources.ts";

/** A Worker that runs, and the data of its objects. */
export interface RunningWorker {
  readonly url: URL;
  /** The process of workerd. */
  readonly pid: number;
  /** Asks the Worker to run one of its routes, and returns its answer. Throws what the route throws. */
  ask<Answer>(route: string, body?: unknown): Promise<Answer>;
  /** What it has written on its console. */
  log(): string;
  stop(): Promise<void>;
}

/** What has to be ended with the test file, the newest first. */
const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

/** A connection for each request: workerd closes one that was idle while it was busy. */
const dispatcher = new Agent({ pipelining: 0 });

const bundles = new Map<string, Promise<string>>();

/** A Worker with all that it imports, as one module. */
export function bundle(file: string, code?: string, plugins: Plugin[] = []): Promise<string> {
  const isPlain = code === undefined && plugins.length === 0;
  const known = bundles.get(file);
  if (known !== undefined && isPlain) return known;
  const built = build({
    ...(code === undefined
      ? { entryPoints: [new URL(file, import.meta.url).pathname] }
      : { stdin: { contents: code, resolveDir: ROOT } }),
    plugins,
    // A template is a package of its own, which has Tollgate installed.
    alias: { "tollgate/edge": `${ROOT}src/edge/edge.ts` },
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["tollgate-source", "workerd"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "error",
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? "");
  if (isPlain) bundles.set(file, built);
  return built;
}

export interface WorkerOptions {
  /** The folder that the objects' data is kept in. Default: one of its own. */
  readonly folder?: string;
  /** Default: the Worker of the tests. */
  readonly file?: string;
  /** The text of a Worker in place of a file. */
  readonly code?: string;
  /** The class of the binding `TOLLGATE`. */
  readonly className?: string;
  readonly flags?: readonly string[];
  /** What takes the place of files of the Worker. */
  readonly plugins?: Plugin[];
  /** The classes of all bindings to objects, in place of those of the tests' Worker. */
  readonly objects?: Readonly<Record<string, { readonly className: string; readonly useSQLite: boolean }>>;
  /** Texts by name, such as secrets. */
  readonly bindings?: Readonly<Record<string, string>>;
  /** Rate limit bindings by name. */
  readonly ratelimits?: Readonly<Record<string, RateLimit>>;
  /** How many more isolates run the Worker, as the bindings `ISOLATE0` and so on. All of them ask the same objects. */
  readonly isolates?: number;
}

export interface RateLimit {
  readonly namespace_id: string;
  readonly simple: { readonly limit: number; readonly period: 10 | 60 };
}

/** Starts a Worker, which ends with the test file. */
export async function startWorker({
  folder = dataFolder(),
  file = "worker.ts",
  code,
  className = "TestObject",
  flags = ["nodejs_compat"],
  plugins,
  objects,
  bindings = {},
  ratelimits = {},
  isolates = 0,
}: WorkerOptions = {}): Promise<RunningWorker> {
  const before = new Set(childPids());
  const lines: string[] = [];
  const worker = {
    // A module by itself: for a script, miniflare would look for what it imports, which takes longer than all else.
    modules: [{ type: "ESModule" as const, path: "worker.js", contents: await bundle(file, code, plugins) }],
    compatibilityDate: "2026-07-01",
    compatibilityFlags: [...flags],
  };
  const others = Array.from({ length: isolates }, (_, i) => `isolate-${i}`);
  const hasCounter = code === undefined && isolates === 0;
  const miniflare = new Miniflare({
    handleRuntimeStdio(...outputs: Readable[]) {
      for (const output of outputs) output.on("data", (data: Buffer) => lines.push(String(data)));
    },
    durableObjectsPersist: folder,
    workers: [
      {
        ...worker,
        name: "main",
        durableObjects: {
          ...(objects ?? {
            TOLLGATE: { className, useSQLite: true },
            ...(hasCounter ? { COUNTER: { className: "CounterObject", useSQLite: true } } : {}),
          }),
        },
        bindings: { ...bindings },
        ratelimits: { ...ratelimits },
        serviceBindings: Object.fromEntries(others.map((name, i) => [`ISOLATE${i}`, name])),
      },
      ...others.map((name) => ({
        ...worker,
        name,
        durableObjects: { TOLLGATE: { className, scriptName: "main", useSQLite: true } },
      })),
    ],
  });
  const url = await miniflare.ready;
  const pid = childPids().find((each) => !before.has(each) && commandOf(each).includes("workerd"));
  if (pid === undefined) throw new Error("workerd is not among the processes that were started");
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= miniflare.dispose();
    return stopping;
  };
  endings.push(stop);
  return {
    url,
    pid,
    stop,
    log: () => lines.join(""),
    async ask<Answer>(route: string, body: unknown = null) {
      const answer = await request(new URL(route, url), { method: "POST", body: JSON.stringify(body), dispatcher });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(text);
      return JSON.parse(text) as Answer;
    },
  };
}

/** A folder for the data of objects, in memory where there is such a disk: each write of an object is an fsync. */
export function dataFolder(): string {
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "tollgate-test-"));
  endings.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8");
}

/** The processes that this one has started. */
function childPids(): number[] {
  return readdirSync("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}
