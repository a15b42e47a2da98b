// What the exit codes say. They are documented in docs/cli.md and in `tollgate --help`.

import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import { asOptions } from "./as-options.ts";
import type { WorkerFault } from "./worker.ts";
import { WorkerError } from "./worker-pool.ts";

/** Exit codes of every subcommand. `unforeseen` is a bug in Tollgate, and must not look like a finding. */
export const EXIT = { fine: 0, finding: 1, misuse: 2, store: 3, unforeseen: 70 } as const;

/** What the exit codes mean, for `tollgate --help` and docs/cli.md. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  fine: "fine",
  finding:
    "a finding: the policy is wrong, one of its tests failed, `policy upgrade` has something left to do, a grant does not exist or its id is taken, the store may break a promise, or what the demo shows is not true. Also when a `reset` was answered with no",
  misuse:
    "misuse: an option, a variable, a file or a policy that cannot be used; with `--url` also a key or a path that the service refuses (401, 403, 404)",
  store:
    "the store or the service is unreachable or fails, or a process that the command started has ended unexpectedly; one line says which",
  unforeseen: "a bug in Tollgate: the stack is printed. It is never 1, so that no script takes it for a finding",
};

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
