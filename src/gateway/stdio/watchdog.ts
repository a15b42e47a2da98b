// Ends the server's process group when this process was killed and could not: a shell outlives it, and notices by a pipe that closes.

import { spawn } from "node:child_process";
import type { Writable } from "node:stream";

/** A line says that all is well; without one, the other end has died. */
const SCRIPT = "read line <&3 && exit 0; kill -TERM -$1; sleep 1; kill -KILL -$1";

/**
 * Watches over a process group. Windows has no groups: there nothing watches.
 *
 * @returns ends the watch; the group is left alone
 */
export function watchOver(pid: number): () => void {
  if (process.platform === "win32") return () => {};
  const shell = spawn("/bin/sh", ["-c", SCRIPT, "sh", String(pid)], {
    detached: true,
    env: { PATH: process.env.PATH },
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const line = shell.stdio[3] as Writable & { unref(): void };
  // Without a shell there is no watch, and the server runs anyway.
  shell.on("error", () => {});
  line.on("error", () => {});
  shell.unref();
  line.unref();
  return () => line.end("well\n");
}
