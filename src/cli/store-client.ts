// What the clients of Redis and Postgres share: their packages are optional, and their errors name the server.

import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";

export interface OpenClient<Client> {
  readonly client: Client;
  close(): Promise<void>;
}

/**
 * Imports the package that a store's URL asks for.
 *
 * @throws MisuseError when it is not installed
 */
export async function importPeer<Module>(load: () => Promise<Module>, name: string, server: string): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    const expected = `the package ${name} to be there for a ${server} URL (npm install ${name})`;
    throw new MisuseError("invalid-option", { path: "--store", expected, got: "no such package" });
  }
}

/** The error of a server, with the server's URL. */
export function labelledError(label: string, { code, message, transient }: StoreError, cause: unknown): StoreError {
  return new StoreError(code, `${label}: ${message}`, { transient, cause });
}
