// Runs a bundled program on a platform. A browser is a context that has what the web has, and nothing of Node.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createContext, runInContext } from "node:vm";
import { Miniflare } from "miniflare";
import type { Bundled, Platform } from "../../scripts/package/size.ts";

/** Names that the web has, and Node as well. */
const WEB =
  "AbortController AbortSignal Blob CompressionStream DOMException Event EventTarget FormData Headers MessageChannel ReadableStream Request Response TextDecoder TextEncoder TransformStream URL URLSearchParams WritableStream atob btoa clearInterval clearTimeout console crypto fetch performance queueMicrotask setInterval setTimeout structuredClone".split(
    " ",
  );

type Run = (bundled: Bundled, name: string, url: string) => Promise<unknown>;

export const RUNNERS: Readonly<Record<Platform, (folder: string) => Run>> = {
  node:
    (folder) =>
    async ({ code }, name, url) => {
      const file = join(folder, `${name}.mjs`);
      writeFileSync(file, code);
      return (await import(pathToFileURL(file).href)).run(url);
    },
  browser:
    () =>
    async ({ code }, _, url) => {
      const context = createContext(Object.fromEntries(WEB.map((name) => [name, globalThis[name as "fetch"]])));
      return runInContext(`${code}; program.run(${JSON.stringify(url)})`, context);
    },
  workerd:
    () =>
    async ({ code, nodeModules }, _, url) => {
      const main = `
        import { run } from "./program.js";
        export * from "./program.js";
        export default {
          fetch: async (request, env, context) => Response.json(await run(${JSON.stringify(url)}, env, context)),
        };`;
      const hasObjects = code.includes("as TollgateObject");
      const worker = new Miniflare({
        modules: [
          { type: "ESModule", path: "main.js", contents: main },
          { type: "ESModule", path: "program.js", contents: code },
        ],
        cf: false,
        compatibilityDate: "2026-07-01",
        ...(hasObjects && { durableObjects: { TOLLGATE: { className: "TollgateObject", useSQLite: true } } }),
        compatibilityFlags: nodeModules.length > 0 ? ["nodejs_compat"] : [],
      });
      try {
        const response = await worker.dispatchFetch("http://worker/");
        const text = await response.text();
        if (response.status !== 200) throw new Error(text);
        return JSON.parse(text);
      } finally {
        await worker.dispose();
      }
    },
};
