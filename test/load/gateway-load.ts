// Many sessions through the gateway, over HTTP and over stdio. It exits with 1 unless memory is flat and nothing is left: no child
// process, no socket, no timer.
//
// npm run test:load:gateway -- [--short]

import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { parseArgs } from "node:util";
import { startChildren } from "../../bench/children.ts";
import { boundRun, progress } from "../../bench/harness.ts";
import { temporaryFolder } from "../../bench/servers.ts";
import { ask, openSession, toolCall } from "../gateway/http-gateway.ts";
import { isAlive, RAW_SERVER, request } from "../gateway/stdio-gateway.ts";
import { ROOT } from "../sources.ts";
import type { Look, Question } from "./gateway/process.ts";

const { values } = parseArgs({ options: { short: { type: "boolean", default: false } } });
const { sessions, calls } = values.short ? { sessions: 10, calls: 50 } : { sessions: 100, calls: 1_000 };
/** Sessions at a time. */
const AT_ONCE = 10;
/** Processes of gateways at a time: each has a server beside it. */
const PROCESSES_AT_ONCE = 2;
/** What a process may hold more after all sessions than after the first tenth of them. */
const MOST_GROWTH_BYTES = 4_000_000;
const MOST_GROWTH_OF_PROCESS = 1.5;
boundRun(values.short ? 2 : 20);

const checks: Record<string, boolean> = {};

async function overHttp(): Promise<void> {
  using gateway = await startChildren<Question, Look | string>(new URL("gateway/process.ts", import.meta.url));
  const [url] = (await gateway.ask(["url"])) as string[];
  const look = async (question: Question) => (await gateway.ask([question]))[0] as Look;
  const play = async (count: number) => {
    let left = count;
    const client = async () => {
      while (left-- > 0) await session(url ?? "");
    };
    await Promise.all(Array.from({ length: AT_ONCE }, client));
  };
  const fresh = await look("look");
  await play(sessions / 10);
  const first = await look("look");
  await play((sessions * 9) / 10);
  const last = await look("look");
  const closed = await look("close");
  const grown = last.heapBytes - first.heapBytes;
  progress(
    `HTTP: ${sessions} sessions of ${calls} calls; ${megabytes(first.heapBytes)} to ${megabytes(last.heapBytes)}`,
  );
  progress(`HTTP: open at first: ${words(fresh.open)}; after all: ${words(last.open)}; closed: ${words(closed.open)}`);
  checks["memory is flat over HTTP"] = grown < MOST_GROWTH_BYTES;
  checks["no socket or timer is left over HTTP"] = !closed.open.some((name) => /^(TCP|Timeout|Immediate)/.test(name));
}

async function session(url: string): Promise<void> {
  const headers = await openSession(url);
  for (let id = 1; id <= calls; id++) {
    const { body } = await ask(url, toolCall(id), headers);
    if (body.result === undefined || body.result.isError === true) throw new Error(JSON.stringify(body));
  }
  await ask(url, null, headers, "DELETE");
}

async function overStdio(): Promise<void> {
  using folder = temporaryFolder();
  const policy = join(folder.path, "policy.json");
  const limits = [{ name: "calls", per: ["session"], quota: 1_000_000 }];
  writeFileSync(policy, JSON.stringify({ version: 1, limits }));
  const own = ["--policy", policy, "--store", `sqlite:${join(folder.path, "state.db")}`, "--session-per-process"];
  const args = [`${ROOT}bin/tollgate.js`, "mcp", ...own, "--", process.execPath, RAW_SERVER];
  const growths: number[] = [];
  const pids: number[] = [];
  let left = sessions;
  const client = async () => {
    while (left-- > 0) {
      const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "ignore"] });
      const { growth, server } = await callsOver(child);
      growths.push(growth);
      pids.push(server, child.pid ?? 0);
    }
  };
  await Promise.all(Array.from({ length: PROCESSES_AT_ONCE }, client));
  const highest = Math.max(...growths);
  progress(
    `stdio: ${sessions} processes of ${calls} calls; memory grew by at most ${(highest * 100 - 100).toFixed(0)} %`,
  );
  checks["memory is flat over stdio"] = values.short || highest < MOST_GROWTH_OF_PROCESS;
  const watchdogs = watchdogsOf(pids);
  checks["no process is left"] = !pids.some(isAlive) && watchdogs === 0;
}

/** A session of a process: how much its memory grew in the last nine tenths of its calls, and its server's process id. */
async function callsOver(child: ChildProcessByStdio<Writable, Readable, null>) {
  const ended = new Promise((resolve) => child.once("close", resolve));
  const lines = linesOf(child.stdout);
  const answerTo = async (line: string) => {
    child.stdin.write(`${line}\n`);
    const { value } = await lines.next();
    return JSON.parse(value ?? "{}") as { readonly result?: { readonly pid: number; readonly isError?: boolean } };
  };
  const { result } = await answerTo(request(0, "ping"));
  let before = 0;
  for (let id = 1; id <= calls; id++) {
    const answer = await answerTo(toolCall(id));
    if (answer.result === undefined || answer.result.isError) throw new Error(JSON.stringify(answer));
    if (id === calls / 10) before = memoryOf(child.pid);
  }
  const growth = memoryOf(child.pid) / before;
  child.stdin.end();
  await ended;
  return { growth, server: result?.pid ?? 0 };
}

async function* linesOf(stream: Readable): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const part of stream.setEncoding("utf8")) {
    const lines = `${rest}${part}`.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** Resident pages of a process, from /proc. */
function memoryOf(pid: number | undefined): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
}

/** The shells that watch over the servers have their process ids as the last argument. */
function watchdogsOf(servers: readonly number[]): number {
  const all = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }).split("\n");
  return all.filter((args) => servers.some((pid) => args.endsWith(` sh ${pid}`))).length;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const words = (names: readonly string[]) => {
  const counts = Map.groupBy(names, (name) => name);
  return [...counts].map(([name, { length }]) => `${length} ${name}`).join(", ");
};

await overHttp();
await overStdio();
const failed = Object.entries(checks).filter(([, isRight]) => !isRight);
for (const [name] of failed) console.error(`not so: ${name}`);
console.log(`${Object.keys(checks).length - failed.length} of ${Object.keys(checks).length} checks hold`);
process.exitCode = failed.length === 0 ? 0 : 1;
