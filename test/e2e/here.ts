// Runs a command in this process: most of the time of a process of its own is its start.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Ran } from "./tollgate.ts";

/** What the command printed so far, and its exit code once it has asked for one. */
interface Run {
  stdout: string;
  stderr: string;
  status: number | null;
}

const runs = new AsyncLocalStorage<Run>();
let count = 0;

/** What only the command prints is kept. The test runner reports through the same streams. */
for (const name of ["stdout", "stderr"] as const) {
  const stream = process[name];
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  stream.write = (chunk: unknown, ...rest: unknown[]) => {
    const run = runs.getStore();
    if (run === undefined) return write(chunk, ...rest);
    if (run.status === null) run[name] += chunk;
    const done = rest.findLast((each) => typeof each === "function") as (() => void) | undefined;
    done?.();
    return true;
  };
}

/** Runs the whole command line, with its own arguments, folder and environment. One at a time. */
export async function runHere(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ran> {
  const before = { argv: process.argv, cwd: process.cwd(), env: { ...process.env }, exit: process.exit };
  const listeners = process.listeners("uncaughtException");
  const run: Run = { stdout: "", stderr: "", status: null };
  process.argv = [process.execPath, "tollgate", ...args];
  process.chdir(cwd);
  setEnvironment({ ...process.env, ...env });
  process.exitCode = undefined;
  process.exit = ((code?: number) => {
    run.status ??= code ?? Number(process.exitCode ?? 0);
    throw new Error("the command has ended");
  }) as typeof process.exit;
  try {
    // Another address is another evaluation: the command line begins when it is imported.
    await runs.run(run, () => import(`../../src/cli/main.ts?run=${count++}`));
    return { status: run.status ?? Number(process.exitCode ?? 0), stdout: run.stdout, stderr: run.stderr };
  } finally {
    process.exitCode = undefined;
    process.exit = before.exit;
    process.argv = before.argv;
    process.chdir(before.cwd);
    setEnvironment(before.env);
    for (const listener of process.listeners("uncaughtException")) {
      if (!listeners.includes(listener)) process.off("uncaughtException", listener);
    }
  }
}

function setEnvironment(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(process.env)) if (env[name] === undefined) delete process.env[name];
  for (const [name, value] of Object.entries(env)) if (value !== undefined) process.env[name] = value;
}
