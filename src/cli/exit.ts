// What the exit codes say. They are documented in docs/cli.md and in `tollgate --help`.

import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import { AddressError } from "./address.ts";
import { asOptions } from "./as-options.ts";
import { WorkerError } from "./worker-pool.ts";

/** Exit codes of every subcommand. `unforeseen` is a fault of Tollgate's own, and must not look like a finding. */
export const EXIT = { fine: 0, finding: 1, misuse: 2, store: 3, unforeseen: 70 } as const;

/** A file that the command was given cannot be used. */
export class FileError extends Error {}

/** A service refuses what it is asked: its key or its URL is not the right one. */
export class RefusedError extends Error {}

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): number {
  if (StoreError.isInstance(error)) return EXIT.store;
  if (MisuseError.isInstance(error) && error.code === "grant-exists") return EXIT.finding;
  if (MisuseError.isInstance(error) || error instanceof FileError || error instanceof AddressError) return EXIT.misuse;
  if (error instanceof RefusedError) return EXIT.misuse;
  if (!(error instanceof WorkerError)) return EXIT.unforeseen;
  const { kind } = error.fault;
  return kind === "misuse" ? EXIT.misuse : kind === "unforeseen" ? EXIT.unforeseen : EXIT.store;
}

/** What ended a command, as its user is told: in the words of its options, with the stack where it is Tollgate's fault. */
export function messageOf(error: unknown): string {
  const shown = MisuseError.isInstance(error) ? asOptions(error) : error;
  const isError = shown instanceof Error;
  if (exitCodeOf(error) !== EXIT.unforeseen) return `tollgate: ${isError ? shown.message : shown}`;
  return `tollgate: a fault of its own, please report it:\n${isError ? shown.stack : shown}`;
}
