// What a program and the thread that has its log's file say to each other.

import type { StoreErrorCode } from "../../store/error.ts";
import type { LogReader } from "../storage.ts";

/** What the thread can be asked: `write` has the batch in JSON. */
export type Asked = "write" | "salt" | "close" | keyof LogReader;

export interface ToThread {
  readonly number: number;
  readonly asked: Asked;
  readonly parameters: readonly unknown[];
}

export type FromThread = { readonly number: number } & ({ readonly answer: unknown } | { readonly fault: Fault });

/** A `StoreError` as a message. */
export interface Fault {
  readonly code: StoreErrorCode;
  readonly message: string;
  readonly transient: boolean;
}
