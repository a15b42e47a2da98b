// Real workerd processes for tests, through miniflare: a Worker of test/edge is bundled once and started in each.

import { readdirSync, readFileSync } from "node:fs";
import { after } from "node:test";
import { build } from "esbuild";
import { Miniflare } from "miniflare";

/** A Worker that runs, and the data of its objects. */
export interface RunningWorker {
  readonly url: URL;
  /** The process of workerd. */
  readonly pid: number;
  /** Asks the Worker to run one of its routes, and returns its answer. Throws what the route throws. */
  ask<Answer>(route: string, body?: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

const bundles = new Map<string, Promise<string>>();

/** A Worker with all that it imports, as one module. */
function bundle(file: string): Promise<string> {
  const known = bundles.get(file);
  if (known !== undefined) return known;
  const built = build({
    entryPoints: [new URL(file, import.meta.url).pathname],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["tollgate-source", "workerd"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "error",
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? "");
  bundles.set(file, built);
  return built;
}

export interface WorkerOptions {
  /** The folder that the objects' data is kept in. Default: none, so that they end with the process. */
  readonly folder?: string;
  /** Default: the Worker of the tests. */
  readonly file?: string;
  readonly flags?: readonly string[];
}

/** Starts a Worker, which ends with the test file. */
export async function startWorker({
  folder,
  file = "worker.ts",
  flags = ["nodejs_compat"],
}: WorkerOptions = {}): Promise<RunningWorker> {
  const before = new Set(childPids());
  const miniflare = new Miniflare({
    modules: true,
    script: await bundle(file),
    compatibilityDate: "2026-07-01",
    compatibilityFlags: [...flags],
    durableObjects: {
      TOLLGATE: { className: "TestObject", useSQLite: true },
      COUNTER: { className: "CounterObject", useSQLite: true },
    },
    ...(folder === undefined ? {} : { durableObjectsPersist: folder }),
  });
  const url = await miniflare.ready;
  const pid = childPids().find((each) => !before.has(each)) ?? 0;
  const stop = () => miniflare.dispose();
  after(stop);
  return {
    url,
    pid,
    stop,
    async ask<Answer>(route: string, body: unknown = null) {
      const response = await fetch(new URL(route, url), { method: "POST", body: JSON.stringify(body) });
      const text = await response.text();
      if (!response.ok) throw new Error(text);
      return JSON.parse(text) as Answer;
    },
  };
}

/** The processes that this one has started. */
function childPids(): number[] {
  return readdirSync("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}
