// The JavaScript of dist/: the sources and the packages that they use, bundled by esbuild. Each subpath is an entry, and what
// several entries need is in chunks, so that an import loads few files. Peer dependencies are not in it.

import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";
import { type BuildOptions, type BuildResult, build, type Plugin } from "esbuild";
import { pure } from "./pure.ts";
import { MANIFEST, ROOT, SUBPATHS } from "./subpaths.ts";

/** Programs that are no subpaths: the command, and threads. */
const PROGRAMS = {
  "cli/main": "src/cli/main.ts",
  "log/sqlite/worker": "src/log/sqlite/worker.ts",
  "service-log/simulation-worker-node": "src/service-log/simulation-worker-node.ts",
};

const REQUIRED_BUILTIN = new RegExp(`^(node:)?(${builtinModules.join("|")})$`);

/** ES modules have no `require`, with which some packages of the service load Node's modules. */
const builtins: Plugin = {
  name: "builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: REQUIRED_BUILTIN }, ({ path, kind }) => {
      return kind === "require-call" ? { path, namespace: "builtin" } : undefined;
    });
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => {
      return { contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});` };
    });
  },
};

/** prom-client needs the API of OpenTelemetry, which users of Tollgate need not have. */
const promClient: Plugin = {
  name: "prom-client",
  setup({ onResolve }) {
    onResolve({ filter: /^@opentelemetry\/api$/ }, ({ importer }) => {
      if (!importer.includes("/node_modules/prom-client/")) return undefined;
      return { path: fileURLToPath(import.meta.resolve("@opentelemetry/api")) };
    });
  },
};

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  splitting: true,
  // As deep as cli/, whose code names files of the package by their relative paths.
  chunkNames: "chunks/[name]-[hash]",
  format: "esm",
  platform: "node",
  target: "node22.13",
  // Node 22 knows them. Without this, esbuild makes a call of each such expression, which bundlers keep.
  supported: { "regexp-unicode-property-escapes": true },
  external: ["cloudflare:*", ...Object.keys(MANIFEST.peerDependencies).flatMap((name) => [name, `${name}/*`])],
  // The files that it has for Node are CommonJS.
  alias: { yaml: `${ROOT}node_modules/yaml/browser/index.js` },
  plugins: [promClient, builtins, pure],
  sourcemap: true,
  // Stack traces name the sources; their text would double the package.
  sourcesContent: false,
  metafile: true,
  write: false,
  logLevel: "error",
} as const satisfies BuildOptions;

/** Bundles the package. Its files are returned, with their paths in `outdir`, and not written. */
export function bundlePackage(outdir: string): Promise<BuildResult<typeof OPTIONS>> {
  const entries = SUBPATHS.map(([, { "tollgate-source": source, default: built }]) => {
    return [built.replace(/^\.\/dist\/|\.js$/g, ""), source] as const;
  });
  return build({ ...OPTIONS, outdir, entryPoints: { ...Object.fromEntries(entries), ...PROGRAMS } });
}
