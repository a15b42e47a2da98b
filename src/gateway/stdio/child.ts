// A server as a child process with a process group of its own, so that it can be ended with all that it has started.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { sleep } from "../../clock.ts";
import { within } from "../../deadlines.ts";
import { MisuseError } from "../../kernel/errors.ts";
import { reasonOf } from "../../kernel/reason.ts";

/** What a server ended with. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ServerProcess {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves when the process itself has ended and its output was read. */
  readonly exited: Promise<Exit>;
  /**
   * Waits for its end, then asks for it, then forces it, for all processes of the group.
   *
   * @param hurry skips the first wait when it resolves
   */
  end(hurry: Promise<unknown>): Promise<void>;
}

/** How long a server may take to end by itself once its input has ended. */
const ENDS_MS = 1_000;
/** How long its group may take after SIGTERM. */
const TERMINATES_MS = 400;
/** How often a group is looked for that has lost its first process. */
const LOOK_MS = 20;
/** How long the output of a process that has ended may stay open: what it started has it, too. */
const OUTPUT_MS = 500;

const IS_WINDOWS = process.platform === "win32";

/** @throws MisuseError `invalid-option` when the command cannot be started */
export async function startServer(
  [command, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): Promise<ServerProcess> {
  const child = spawn(command, args, { detached: !IS_WINDOWS, env: { ...env }, stdio: ["pipe", "pipe", "inherit"] });
  // A pipe to a server that has ended fails; its end is known from the process.
  child.stdin.on("error", () => {});
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(cannotStart(command, error)));
  });
  const pid = child.pid as number;
  const exited = exitOf(child);
  return {
    pid,
    stdin: child.stdin,
    stdout: child.stdout,
    exited,
    async end(hurry) {
      await within(ENDS_MS, Promise.race([exited, hurry])).catch(() => {});
      if (!isThere(pid)) return;
      signalGroup(pid, "SIGTERM");
      for (let waitedMs = 0; waitedMs < TERMINATES_MS && isThere(pid); waitedMs += LOOK_MS) await sleep(LOOK_MS);
      signalGroup(pid, "SIGKILL");
      await within(ENDS_MS, exited).catch(() => {});
    },
  };
}

function cannotStart(command: string, error: Error): MisuseError {
  const fault = {
    path: "-- COMMAND",
    expected: "the command of an MCP server, which can be started",
    got: `${JSON.stringify(command)}: ${reasonOf(error)}`,
  };
  return new MisuseError("invalid-option", fault, { cause: error });
}

async function exitOf(child: ChildProcessByStdio<Writable, Readable, null>): Promise<Exit> {
  const output = new Promise((resolve) => child.stdout.once("close", resolve));
  const exit = await new Promise<Exit>((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  await within(OUTPUT_MS, output).catch(() => {});
  child.stdout.destroy();
  return exit;
}

/** Whether a process of the group is there. */
function isThere(pid: number): boolean {
  try {
    return process.kill(IS_WINDOWS ? pid : -pid, 0);
  } catch {
    return false;
  }
}

function signalGroup(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    if (!IS_WINDOWS) process.kill(-pid, signal);
    else spawn("taskkill", ["/T", "/F", "/PID", String(pid)], { stdio: "ignore" }).on("error", () => {});
  } catch {
    // It has ended in between.
  }
}
