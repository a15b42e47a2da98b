// What the exit codes say. They are documented in docs/cli.md and in `tollgate --help`.

import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import { asOptions } from "./as-options.ts";
import type { WorkerFault } from "./worker.ts";
import { WorkerError } from "./worker-pool.ts";

/** Exit codes of every subcommand. `unforeseen` is a fault of Tollgate's own, and must not look like a finding. */
export const EXIT = { fine: 0, finding: 1, misuse: 2, store: 3, unforeseen: 70 } as const;

const WORKER_EXITS: Readonly<Record<WorkerFault["kind"], number>> = {
  misuse: EXIT.misuse,
  store: EXIT.store,
  ended: EXIT.store,
  unforeseen: EXIT.unforeseen,
};

/** A file, an address or a key that the command was given cannot be used: the message is for the user as it is. */
export class CommandError extends Error {}

export function exitCodeOf(error: unknown): number {
  if (StoreError.isInstance(error)) return EXIT.store;
  if (error instanceof WorkerError) return WORKER_EXITS[error.fault.kind];
  if (error instanceof CommandError) return EXIT.misuse;
  if (!MisuseError.isInstance(error)) return EXIT.unforeseen;
  return error.code === "grant-exists" ? EXIT.finding : EXIT.misuse;
}

/** The message for an error that ended a command: it names the command's options, and has the stack for a fault of Tollgate. */
export function messageOf(error: unknown): string {
  const shown = MisuseError.isInstance(error) ? asOptions(error) : error;
  const isError = shown instanceof Error;
  if (exitCodeOf(error) !== EXIT.unforeseen) return `tollgate: ${isError ? shown.message : shown}`;
  return `tollgate: a fault of its own, please report it:\n${isError ? shown.stack : shown}`;
}
