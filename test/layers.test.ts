// Who may import whom. The table is the architecture: when it gets in the way, it is the design that has to be argued.

import assert from "node:assert/strict";
import { posix } from "node:path";
import { describe, it } from "node:test";
import { importsOf, type SourceFile, sources } from "./sources.ts";

interface Layer {
  /** Which files it is. */
  readonly files: RegExp;
  /** What they may import: paths from the root, `node:` modules, packages. */
  readonly may: readonly RegExp[];
  /** What must not stand in them. */
  readonly never?: readonly [pattern: RegExp, instead: string][];
}

/** The contracts: what stores, layers and the limiter say to each other. */
const STORE = /^src\/store\/(error|shared-store|store)\.ts$/;
/** What implements them: deciding a batch, checking replies, bounded states. */
const STORE_PARTS = /^src\/store\/(batch|check|degraded|kept-answer|receipts|room|states|wide-request)\.ts$/;
/** What a store brings along for the limiter. */
const NETWORK = /^src\/layers\/(divided|network)\.ts$/;
/** What a program says about failover, and what it is told. */
const FAILOVER = /^src\/layers\/failover\/options\.ts$/;
/** Where the time, timers, turns of the event loop, random numbers and ids come from. */
const CLOCK = /^src\/(breath|clock|deadlines|ids)\.ts$/;
/** What alone may ask the runtime for them. */
const OF_RUNTIME = /^src\/(clock|ids)\.ts$/;
/** What only they may use, so that a simulator decides what it does. A method of another object is no such call. */
const RUNTIME =
  /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|(?<![.\w])set(Timeout|Interval|Immediate)\b|\bMath\.random\b|\brandomUUID\b|\bAbortSignal\.timeout\b/;
const METRICS = /^src\/metrics\//;
/** What the service and its clients say to each other. */
const HTTP = /^src\/http\//;
const VERSION = /^src\/version\.ts$/;
const KERNEL = /^src\/kernel\//;

const layers: Record<string, Layer> = {
  kernel: {
    files: KERNEL,
    may: [KERNEL, /^valibot$/, /^@noble\/hashes\//],
    never: [
      [/\bDate\b/, "take nowMs as a parameter"],
      [/\bMath\.random\b/, "let the caller pass what is random"],
      [/\bprocess\b|\bglobalThis\b/, "the kernel has no environment"],
      [/\basync\b|\bawait\b|\bPromise\b/, "the kernel is synchronous"],
    ],
  },
  "store and clock": {
    files: /^src\/(store\/(?!api)|(breath|clock|deadlines|ids)\.ts$)/,
    may: [KERNEL, CLOCK, FAILOVER, /^src\/store\//],
  },
  "store entry": { files: /^src\/store\/api\.ts$/, may: [KERNEL, CLOCK, NETWORK, /^src\/store\//] },
  limiter: {
    files: /^src\/limiter(\.ts$|\/)/,
    may: [KERNEL, STORE, STORE_PARTS, CLOCK, FAILOVER, /^src\/(limiter\/|layers\/layer\.ts$)/, /^temporal-polyfill$/],
  },
  "policy files": {
    files: /^src\/policy-(file|warnings)\/(?!yaml)/,
    may: [KERNEL, /^src\/policy-(file|warnings)\//, /^node:fs$/],
  },
  yaml: { files: /^src\/policy-file\/yaml/, may: [KERNEL, /^src\/policy-file\/yaml-(place|part)\.ts$/, /^yaml$/] },
  stores: {
    files: /^src\/stores\//,
    may: [KERNEL, STORE, STORE_PARTS, CLOCK, NETWORK, /^src\/stores\/[a-z]+\//, /^node:/],
  },
  journal: { files: /^src\/journal\.ts$/, may: [KERNEL, STORE, FAILOVER, /^node:sqlite$/] },
  edge: {
    files: /^src\/edge\//,
    may: [
      KERNEL,
      STORE,
      STORE_PARTS,
      CLOCK,
      /^src\/limiter\.ts$/,
      /^src\/layers\/(borrow|borrow\/background|checked|deny-cache)\.ts$/,
      // What it does without an object is what a limiter does without its store.
      /^src\/layers\/failover\/(backlog|local-decisions|outage|views)\.ts$/,
      /^src\/service\/(bounds|exchange|keys|logger|policies|problems|service)\.ts$/,
      /^src\/edge\//,
      /^cloudflare:workers$/,
    ],
  },
  layers: {
    files: /^src\/layers\//,
    may: [KERNEL, STORE, STORE_PARTS, CLOCK, /^src\/layers\//],
  },
  adapters: {
    files: /^src\/adapters\//,
    may: [
      KERNEL,
      STORE,
      CLOCK,
      /^src\/(limiter|adapters\/(guard|http|model-calls))\.ts$/,
      /^src\/adapters\/[a-z-]+\//,
      /^langchain$/,
      /^zod$/,
    ],
  },
  log: {
    files: /^src\/log\/(?!sqlite|postgres|redis)/,
    may: [KERNEL, STORE, CLOCK, /^src\/limiter\.ts$/, /^src\/log\//],
  },
  "log in Postgres": {
    files: /^src\/log\/postgres/,
    may: [KERNEL, STORE, CLOCK, /^src\/stores\/postgres\/(client|database|errors|schema)\.ts$/, /^src\/log\//],
  },
  "log in Redis": {
    files: /^src\/log\/redis/,
    may: [KERNEL, STORE, CLOCK, /^src\/stores\/redis\/(client|link|run-script)\.ts$/, /^src\/log\//],
  },
  "log in a file": {
    files: /^src\/log\/sqlite/,
    may: [
      KERNEL,
      STORE,
      CLOCK,
      /^src\/stores\/sqlite\/(errors|layout)\.ts$/,
      /^src\/log\//,
      /^node:(sqlite|worker_threads)$/,
    ],
  },
  "session ids": { files: /^src\/session-id(\.ts$|\/)/, may: [KERNEL, CLOCK, /^src\/session-id\//] },
  "tool rate limiter": { files: /^src\/tool-rate-limiter\.ts$/, may: [KERNEL, STORE, CLOCK, /^src\/limiter\.ts$/] },
  events: { files: /^src\/events\.ts$/, may: [/^src\/limiter\.ts$/] },
  "HTTP contract": { files: HTTP, may: [KERNEL, STORE, HTTP, /^valibot$/] },
  // It runs in Workers, too.
  service: {
    files: /^src\/service\/(?!(node|key-file|audit-file|pino-logger|prometheus)\.ts$)/,
    may: [
      KERNEL,
      STORE,
      HTTP,
      CLOCK,
      VERSION,
      /^src\/(events|limiter)\.ts$/,
      /^src\/policy-(file\/text|warnings\/warnings)\.ts$/,
      /^src\/service\/(?!(node|key-file|audit-file|pino-logger|prometheus)\.ts$)/,
      /^(hono\/tiny|valibot)$/,
      /^@noble\/hashes\//,
    ],
    never: [[/\bBuffer\b|\bprocess\.|\bsetImmediate\b/, "use what every runtime has"]],
  },
  "service on Node": {
    files: /^src\/service\//,
    may: [
      KERNEL,
      CLOCK,
      METRICS,
      VERSION,
      /^src\/limiter\.ts$/,
      /^src\/http\/problem-table\.ts$/,
      /^src\/policy-file\/watched-file\.ts$/,
      /^src\/service\//,
      /^node:/,
      /^(@hono\/node-server|pino|prom-client)$/,
    ],
  },
  // What a program adds to a service: routes of the decision log, and of the console.
  "service of the log": {
    files: /^src\/service-log\/(?!.*-node\.ts$)/,
    may: [
      KERNEL,
      HTTP,
      CLOCK,
      VERSION,
      /^src\/log\/(entry|explain|storage|sums|text)\.ts$/,
      /^src\/policy-file\/text\.ts$/,
      /^src\/service\/(audit|auth|context|parts|problems|route|tenants)\.ts$/,
      // It is loaded with the first simulation.
      /^src\/service-log\/simulation-node\.ts$/,
      /^src\/simulate\/readers\/decision-log\.ts$/,
      /^src\/service-log\/(?!.*-node\.ts$)/,
      /^valibot$/,
    ],
    never: [[/\bBuffer\b|\bprocess\.|\bsetImmediate\b/, "use what every runtime has"]],
  },
  "service of the log on Node": {
    files: /^src\/service-log\//,
    may: [
      KERNEL,
      CLOCK,
      /^src\/log\/storage\.ts$/,
      /^src\/policy-file\/text\.ts$/,
      /^src\/simulate\/(play-log|readers\/decision-log)\.ts$/,
      /^src\/service-log\//,
      /^node:/,
    ],
  },
  envoy: {
    files: /^src\/envoy\//,
    may: [
      KERNEL,
      STORE,
      CLOCK,
      /^src\/(limiter|policy-file\/yaml-text)\.ts$/,
      /^src\/envoy\//,
      /^node:fs$/,
      /^(@grpc\/grpc-js|@grpc\/proto-loader|valibot)$/,
    ],
  },
  gateway: {
    files: /^src\/gateway\//,
    may: [
      KERNEL,
      STORE,
      CLOCK,
      /^src\/(limiter|adapters\/guard|policy-file\/yaml-text)\.ts$/,
      /^src\/gateway\//,
      /^node:(buffer|child_process|crypto|fs|http|https|net|os|stream|tls)$/,
      /^valibot$/,
    ],
  },
  client: {
    files: /^src\/client(\.ts$|\/)/,
    // Without the service it decides as a limiter does without its store.
    may: [
      KERNEL,
      STORE,
      HTTP,
      CLOCK,
      /^src\/limiter(\.ts$|\/)/,
      /^src\/layers\/failover(\.ts$|\/)/,
      /^src\/client\//,
      /^valibot$/,
    ],
  },
  metrics: { files: METRICS, may: [KERNEL, STORE, /^src\/(events|limiter)\.ts$/, METRICS] },
  version: { files: VERSION, may: [] },
  otel: {
    files: /^src\/otel(\.ts$|\/)/,
    may: [KERNEL, STORE, VERSION, /^src\/limiter\.ts$/, METRICS, /^src\/otel\//, /^@opentelemetry\/api$/],
  },
  testing: {
    files: /^src\/testing\/(?!policy-test)/,
    may: [KERNEL, STORE, CLOCK, /^src\/testing\//, /^node:assert\/strict$/],
  },
  "policy tests": {
    files: /^src\/testing\/policy-test/,
    may: [
      KERNEL,
      STORE,
      CLOCK,
      /^src\/limiter\.ts$/,
      /^src\/stores\/memory\.ts$/,
      /^src\/testing\//,
      /^node:assert\/strict$/,
      /^(temporal-polyfill|valibot)$/,
    ],
    never: [
      [/\bsetTimeout\b|\bsetInterval\b|\bDate\.now\b|\bMath\.random\b/, "policy tests run in virtual time alone"],
    ],
  },
  simulator: {
    files: /^src\/simulate\//,
    may: [
      KERNEL,
      STORE,
      CLOCK,
      /^src\/limiter(\.ts$|\/)/,
      /^src\/stores\/memory\.ts$/,
      /^src\/testing\/fake-clock\.ts$/,
      /^src\/log\/(entry|storage)\.ts$/,
      /^src\/simulate\//,
      /^valibot$/,
    ],
  },
  root: {
    files: /^src\/index\.ts$/,
    may: [KERNEL, STORE, /^src\/limiter\.ts$/],
  },
  "policy entry": {
    files: /^src\/policy\.ts$/,
    may: [/^src\/policy-(file\/(file|text|watch)|warnings\/warnings)\.ts$/],
  },
  cli: { files: /^src\/cli\//, may: [/^src\/(?!index)/, /^node:/, /^commander$/, /^valibot$/, /^ioredis$/, /^pg$/] },
};

const files = sources("src/**/*.ts");
const resolve = (file: SourceFile, specifier: string) =>
  specifier.startsWith(".") ? posix.join(posix.dirname(file.path), specifier) : specifier;
const layerOf = (path: string) => Object.entries(layers).find(([, layer]) => layer.files.test(path));

/** A file without its comments and texts. */
function codeOf({ text }: SourceFile): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/g, "");
}

describe("layers", () => {
  it("cover every source file", () => {
    assert.ok(files.length > 20);
    assert.deepEqual(
      files.filter(({ path }) => layerOf(path) === undefined),
      [],
    );
  });

  for (const file of files) {
    it(`${file.path} imports only what its layer may`, () => {
      const [name, layer] = layerOf(file.path) ?? assert.fail("no layer");
      for (const specifier of importsOf(file)) {
        const target = resolve(file, specifier);
        assert.ok(
          layer.may.some((pattern) => pattern.test(target)),
          `${name} may not import ${target}`,
        );
      }
      const code = codeOf(file);
      for (const [pattern, instead] of layer.never ?? []) {
        assert.ok(!pattern.test(code), `${pattern} stands in ${file.path}: ${instead}`);
      }
    });
  }

  it("ask the runtime for the time, timers, random numbers and ids in two files alone", () => {
    const others = files.filter(({ path }) => !OF_RUNTIME.test(path));
    const asking = others.filter((file) => RUNTIME.test(codeOf(file)));
    assert.deepEqual(
      asking.map(({ path }) => path),
      [],
      "use clock.ts or ids.ts",
    );
  });

  it("have no store that imports another", () => {
    for (const file of files.filter(({ path }) => path.startsWith("src/stores/"))) {
      const own = posix.basename(file.path, ".ts");
      const others = importsOf(file).filter(
        (specifier) =>
          specifier.startsWith("./") && posix.dirname(file.path) === "src/stores" && !specifier.startsWith(`./${own}/`),
      );
      assert.deepEqual(others, [], file.path);
    }
  });

  it("have no cycle, imports of types included", () => {
    const graph = new Map(
      files.map((file) => [file.path, importsOf(file).map((specifier) => resolve(file, specifier))]),
    );
    const done = new Set<string>();
    const visit = (path: string, trail: readonly string[]) => {
      assert.ok(!trail.includes(path), `a cycle: ${[...trail, path].join(" -> ")}`);
      if (done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
  });
});

describe("house rules", () => {
  for (const file of files) {
    it(`${file.path} keeps them`, () => {
      assert.match(file.text, /^\/\/ /, "a file begins with what it knows, and what it deliberately does not");
      assert.doesNotMatch(file.text, /\bTODO\b|\bFIXME\b/, "finish it, or say in docs/ why not");
      assert.doesNotMatch(file.text, /\bexport default\b/, "use a named export");
      assert.doesNotMatch(file.path, /(utils|helpers|common|types)/, "a thing lives with what it belongs to");
    });
  }
});
