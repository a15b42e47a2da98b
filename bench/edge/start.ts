// How long a Worker takes to start: workerd is started with it alone, and asked once.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { createRequire } from "node:module";
import { bundle } from "../../test/edge/workerd.ts";

/** The path of the program. */
const WORKERD: { readonly default: string } = createRequire(import.meta.url)("workerd");

export interface Start {
  /** From the start of workerd to the Worker's first answer. */
  readonly ms: number;
  /** How long workerd has used a processor by then. */
  readonly cpuMs: number;
}

const CONFIG = `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "worker.js", esModule = embed "worker.js")],
    compatibilityDate = "2026-07-01",
    durableObjectNamespaces = [(className = "TollgateObject", uniqueKey = "start", enableSql = true)],
    durableObjectStorage = (inMemory = void),
    bindings = [
      (name = "TOLLGATE", durableObjectNamespace = "TollgateObject"),
      (name = "TOLLGATE_KEYS", text = "{\\"version\\":1,\\"keys\\":[]}"),
    ],
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;

/** Starts the Worker of a file, as wrangler bundles it. */
export async function startOf(file: string): Promise<Start> {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-start-"));
  writeFileSync(join(folder, "worker.js"), await bundle(file));
  writeFileSync(join(folder, "config.capnp"), CONFIG);
  const begunMs = performance.now();
  const args = ["serve", "--experimental", "--control-fd=3", join(folder, "config.capnp")];
  const child = spawn(WORKERD.default, args, { stdio: ["ignore", "ignore", "inherit", "pipe"] });
  const [told] = await once(child.stdio[3] as Readable, "data");
  const { port } = JSON.parse(String(told)) as { readonly port: number };
  await (await fetch(`http://127.0.0.1:${port}/healthz`)).text();
  const start = { ms: performance.now() - begunMs, cpuMs: cpuMsOf(child.pid ?? 0) };
  child.kill();
  await once(child, "exit");
  rmSync(folder, { recursive: true });
  return start;
}

function cpuMsOf(pid: number): number {
  const ns = readdirSync(`/proc/${pid}/task`).map((thread) => {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  });
  return ns.reduce((sum, each) => sum + each, 0) / 1e6;
}
