// Runs the command line as a user does.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { isWide } from "../length.ts";
import { LOADER, ROOT } from "../sources.ts";

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tollgate` with arguments, in a folder: in this process, but in a process of its own in wide runs. */
export async function tollgate(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  // Node reads these when it starts.
  const isForStart = env.NODE_OPTIONS !== undefined || env.NODE_EXTRA_CA_CERTS !== undefined;
  if (isWide || isForStart) return start(args, cwd, env).ran;
  const { runHere } = await import("./here.ts");
  return runHere(args, cwd, env);
}

/** Starts `tollgate`, in a process group of its own, as a shell does. */
export function start(
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): { readonly child: ChildProcess; readonly ran: Promise<Ran> } {
  const child = spawn(process.execPath, [LOADER, `${ROOT}bin/tollgate.js`, ...args], {
    cwd,
    // Colours are for people at terminals.
    env: { ...process.env, FORCE_COLOR: undefined, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const status = new Promise<number | null>((resolve) => child.once("close", resolve));
  const ran = Promise.all([status, text(child.stdout), text(child.stderr)]);
  return { child, ran: ran.then(([code, stdout, stderr]) => ({ status: code, stdout, stderr })) };
}

/** The environment in which every Node runs some code first. */
export function preload(code: string): NodeJS.ProcessEnv {
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
}

/** The environment in which every worker writes its process id into a file. */
export function noteWorkers(file: string): NodeJS.ProcessEnv {
  return preload(`
    import { appendFileSync } from "node:fs";
    if (process.argv[2] === "worker") appendFileSync(${JSON.stringify(file)}, process.pid + "\\n");
  `);
}

/** The workers' process ids, once there are so many. */
export async function workersIn(file: string, count: number): Promise<number[]> {
  return until(() => {
    const pids = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").map(Number) : [];
    return pids.length >= count ? pids : null;
  });
}

/** Waits until there is an answer, for ten seconds at most. */
export async function until<Answer>(ask: () => Answer | null | false): Promise<Answer> {
  for (let tries = 0; tries < 400; tries++) {
    const answer = ask();
    if (answer !== null && answer !== false) return answer;
    await sleep(25);
  }
  throw new Error("it did not come to that within ten seconds");
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
