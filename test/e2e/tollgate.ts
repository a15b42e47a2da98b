// Runs the command line as a user does.

import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { ROOT } from "../sources.ts";

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tollgate` with arguments, in a folder. */
export async function tollgate(args: readonly string[], cwd: string): Promise<Ran> {
  const child = spawn(process.execPath, [`${ROOT}bin/tollgate.js`, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const status = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { status: await status, stdout, stderr };
}
