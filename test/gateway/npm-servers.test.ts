// Servers that people run, each with and without the gateway: what the client reads is the same, message by message.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, it, type TestContext } from "node:test";
import { isWide } from "../length.ts";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";

/** A message to the server; several that are sent at once; or the method of a message that is awaited. */
type Step = Message | readonly Message[] | string;

interface Message {
  readonly id?: number | string;
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

interface Recorded {
  /** What the client read, in the order of the requests that it answers. */
  readonly answers: readonly string[];
  /** Requests and notifications of the server. When one comes depends on time. */
  readonly others: readonly string[];
}

const folder = temporaryFolder();
const files = join(folder, "files");
const memory = join(folder, "memory.jsonl");
const policy = join(folder, "policy.yaml");
const limits = [
  "{ name: calls, per: [user, session], quota: 1000 }",
  "{ name: at-once, per: [user], algorithm: concurrency, quota: 50 }",
];
writeFileSync(policy, `version: 1\nlimits: [${limits.join(", ")}]\n`);

/** What the client answers to requests of a server. */
const CLIENT: Readonly<Record<string, unknown>> = {
  "roots/list": { roots: [{ uri: `file://${files}`, name: "files" }] },
  "sampling/createMessage": { role: "assistant", model: "m", content: { type: "text", text: "sampled" }, extra: 1 },
  "elicitation/create": { action: "accept", content: { name: "Ada", check: true, integer: 7 } },
};

const initialize: Step[] = [
  {
    id: "init",
    method: "initialize",
    params: {
      protocolVersion: "2025-11-25",
      capabilities: {
        roots: { listChanged: true },
        sampling: { tools: {} },
        elicitation: { form: {}, url: {} },
        tasks: { requests: { sampling: { createMessage: {} }, elicitation: { create: {} } } },
      },
      clientInfo: { name: "recorder", version: "1.0.0" },
    },
  },
  { method: "notifications/initialized" },
  "roots/list",
];

let nextId = 0;
function request(method: string, params: Readonly<Record<string, unknown>> = {}): Message {
  return { id: nextId++, method, params };
}
function call(name: string, args: Readonly<Record<string, unknown>> = {}, more = {}): Message {
  return request("tools/call", { name, arguments: args, ...more });
}

const LISTS = ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping", "no/such"];
const everything: Step[] = [
  ...initialize,
  ...LISTS.map((method) => request(method)),
  call("echo", { message: "é\u2028\ud800 \\u0000" }),
  call("echo", { wrong: true }),
  call("no-such-tool"),
  call("get-sum", { a: 0.1, b: 1e21 }),
  call("get-tiny-image"),
  call("get-env"),
  call("get-roots-list"),
  call("get-structured-content", { location: "Chicago" }),
  call("get-annotated-message", { messageType: "debug", includeImage: true }),
  call("get-resource-links", { count: 3 }),
  call("get-resource-reference", { resourceType: "Text", resourceId: 2 }),
  call("gzip-file-as-resource", { name: "x.gz", data: "data:text/plain,hello", outputType: "resource" }),
  call("trigger-sampling-request", { prompt: "Say it.", maxTokens: 5 }),
  call("trigger-elicitation-request"),
  call("trigger-long-running-operation", { duration: 0.1, steps: 4 }, { _meta: { progressToken: "p-1" } }),
  call("simulate-research-query", { topic: "python" }, { task: { ttl: 60_000 } }),
  request("tasks/list"),
  { id: "long", method: "tools/call", params: { name: "trigger-long-running-operation", arguments: { duration: 1 } } },
];
// The call in the last step is not answered: it is cancelled.
everything.splice(-1, 1, [
  everything.at(-1) as Message,
  { method: "notifications/cancelled", params: { requestId: "long", reason: "too long" } },
]);
everything.push(
  request("prompts/get", { name: "args-prompt", arguments: { city: "Bern" } }),
  request("completion/complete", {
    ref: { type: "ref/prompt", name: "completable-prompt" },
    argument: { name: "department", value: "E" },
  }),
  request("resources/read", { uri: "demo://resource/dynamic/text/1" }),
  request("resources/subscribe", { uri: "demo://resource/dynamic/text/1" }),
  request("logging/setLevel", { level: "debug" }),
  Array.from({ length: 30 }, (_, n) => call("get-sum", { a: n, b: 1 })),
);
if (isWide) everything.push(call("simulate-research-query", { topic: "tea" }, { task: {} }));

const filesystem: Step[] = [
  ...initialize,
  ...LISTS.map((method) => request(method)),
  call("list_allowed_directories"),
  call("write_file", { path: join(files, "a.txt"), content: "one\r\ntwo\u2029three" }),
  call("read_text_file", { path: join(files, "a.txt"), head: 1 }),
  call("read_text_file", { path: join(files, "a.txt") }),
  call("read_media_file", { path: join(files, "dot.png") }),
  call("read_multiple_files", { paths: [join(files, "a.txt"), join(files, "missing")] }),
  call("edit_file", { path: join(files, "a.txt"), edits: [{ oldText: "two", newText: "2" }], dryRun: false }),
  call("create_directory", { path: join(files, "sub/deep") }),
  call("move_file", { source: join(files, "a.txt"), destination: join(files, "sub/b.txt") }),
  call("list_directory", { path: files }),
  call("list_directory_with_sizes", { path: files, sortBy: "size" }),
  call("directory_tree", { path: files }),
  call("search_files", { path: files, pattern: "**/*.txt" }),
  call("get_file_info", { path: join(files, "dot.png") }),
  call("read_text_file", { path: "/etc/hostname" }),
  call("read_text_file", { path: join(files, "large.txt") }),
];

const remembered: Step[] = [
  ...initialize.slice(0, 2),
  ...LISTS.map((method) => request(method)),
  call("create_entities", { entities: [{ name: "Ada", entityType: "person", observations: ["writes", "é"] }] }),
  call("create_entities", { entities: [{ name: "Bern", entityType: "city", observations: [] }] }),
  call("create_relations", { relations: [{ from: "Ada", to: "Bern", relationType: "lives in" }] }),
  call("add_observations", { observations: [{ entityName: "Ada", contents: ["counts"] }] }),
  call("add_observations", { observations: [{ entityName: "missing", contents: ["counts"] }] }),
  call("read_graph"),
  call("search_nodes", { query: "bern" }),
  call("open_nodes", { names: ["Ada"] }),
  call("delete_observations", { deletions: [{ entityName: "Ada", observations: ["counts"] }] }),
  call("delete_relations", { relations: [{ from: "Ada", to: "Bern", relationType: "lives in" }] }),
  call("delete_entities", { entityNames: ["Bern"] }),
  call("read_graph"),
];

const SERVERS: Readonly<Record<string, { readonly args: readonly string[]; readonly steps: readonly Step[] }>> = {
  everything: { args: [], steps: everything },
  filesystem: { args: [files], steps: filesystem },
  memory: { args: [], steps: remembered },
};

/** The command of a server, without `npx`. */
function commandOf(server: string, args: readonly string[]): string[] {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve(`@modelcontextprotocol/server-${server}/package.json`);
  const { bin } = require(manifest) as { readonly bin: Readonly<Record<string, string>> };
  return [process.execPath, join(dirname(manifest), Object.values(bin)[0] ?? ""), ...args];
}

function behindGateway(command: readonly string[]): string[] {
  const options = ["--policy", policy, "--store", `sqlite:${join(folder, "state.db")}`];
  return [process.execPath, `${ROOT}bin/tollgate.js`, "mcp", ...options, "--", ...command];
}

/** The lines of a stream. `readline` would also cut at U+2028. */
async function* linesOf(stream: Readable): AsyncGenerator<string> {
  let rest = "";
  for await (const part of stream.setEncoding("utf8")) {
    const lines = `${rest}${part}`.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function record(t: TestContext, command: readonly string[], steps: readonly Step[]): Promise<Recorded> {
  const [file = "", ...args] = command;
  rmSync(files, { recursive: true, force: true });
  mkdirSync(files);
  writeFileSync(join(files, "dot.png"), Buffer.from([137, 80, 78, 71, 0, 255]));
  writeFileSync(join(files, "large.txt"), "0123456789\n".repeat(100_000));
  rmSync(memory, { force: true });
  const env = { PATH: process.env.PATH, HOME: folder, MEMORY_FILE_PATH: memory };
  const child = spawn(file, args, { cwd: folder, env, stdio: ["pipe", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const said = text(child.stderr);
  const lines = linesOf(child.stdout);
  const answers: string[] = [];
  const others: string[] = [];
  const send = (message: unknown) =>
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...(message as object) })}\n`);
  /** Reads a line, answers a request of the server, and says what the line was. */
  const read = async () => {
    const { value, done } = await lines.next();
    if (done) assert.fail(`the server ended after ${answers.length} answers: ${await said}`);
    const { id, method } = JSON.parse(value) as { readonly id?: number | string; readonly method?: string };
    (method === undefined ? answers : others).push(withoutChance(value));
    if (method !== undefined && id !== undefined) send({ id, result: CLIENT[method] ?? {} });
    return { id, method };
  };
  for (const step of steps) {
    if (typeof step === "string") {
      while (!others.some((line) => line.includes(`"${step}"`))) await read();
      continue;
    }
    const messages = "method" in step ? [step] : step;
    const cancelled = messages.map(({ params }) => params?.requestId);
    const awaited = new Set(messages.flatMap(({ id }) => (id === undefined || cancelled.includes(id) ? [] : [id])));
    for (const message of messages) send(message);
    while (awaited.size > 0) {
      const { id, method } = await read();
      if (method === undefined && id !== undefined) awaited.delete(id);
    }
  }
  // Some go on when their input ends: timers of their tasks run.
  child.kill("SIGTERM");
  for await (const line of lines) others.push(withoutChance(line));
  const byId = (line: string) => Number((JSON.parse(line) as { readonly id: unknown }).id);
  return { answers: answers.sort((a, b) => byId(a) - byId(b)), others: others.sort() };
}

/** A line without times and random ids. */
function withoutChance(line: string): string {
  return line
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/\w{3} \w{3} \d\d \d{4} [\d:]+ GMT\S*( \([\w ]+\))?/g, "TIME")
    .replaceAll(/\d{1,2}:\d\d:\d\d [AP]M/g, "TIME")
    .replaceAll(/"taskId":"[^"]+"/g, '"taskId":"ID"');
}

describe("servers from npm, with and without the gateway", { timeout: 60_000 }, () => {
  for (const [server, { args, steps }] of Object.entries(SERVERS)) {
    // Fails when the gateway changes, loses or adds a message.
    it(`answers message by message as server-${server} does`, async (t) => {
      const command = commandOf(server, args);
      const alone = await record(t, command, steps);
      const limited = await record(t, behindGateway(command), steps);
      assert.ok(alone.answers.length > 15);
      assert.deepEqual(limited, alone);
    });
  }
});
