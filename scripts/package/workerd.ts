// Runs the conformance cases in workerd, the runtime of Cloudflare's Workers, offline.

import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { conformanceWorker } from "./programs.ts";

/** Returns how many cases the memory store of a project's package has kept. */
export async function checkInWorkerd(project: string): Promise<number> {
  const bundle = await build({
    stdin: { contents: conformanceWorker, resolveDir: project },
    absWorkingDir: project,
    bundle: true,
    format: "esm",
    conditions: ["workerd"],
    external: ["node:*"],
    write: false,
  });
  const worker = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: bundle.outputFiles[0]?.text ?? "" }],
    cf: false,
    compatibilityDate: "2026-07-01",
    // The cases use node:assert.
    compatibilityFlags: ["nodejs_compat"],
  });
  try {
    const text = await (await worker.dispatchFetch("http://worker/")).text();
    if (!/^\d+$/.test(text)) throw new Error(text);
    return Number(text);
  } finally {
    await worker.dispose();
  }
}
