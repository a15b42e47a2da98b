// A policy file that may change while the program runs.

import { invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { loadPolicy } from "./file.ts";
import { fileActor, type WatchOptions, watchedFile } from "./watched-file.ts";

export type { WatchOptions } from "./watched-file.ts";

/** What takes a policy: a limiter, which emits an event when the file is no policy. */
export interface Reloads {
  reload(policy: Policy, options?: { readonly actor: string }): unknown;
  policyRefused?(error: unknown): void;
}

/**
 * Lets a limiter take a policy file each time that it has changed; not when it is made, nor while the file is no policy.
 * The limiter's `onEvent` gets the outcome (`policy.reloaded`, `policy.refused`).
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { createLimiter } from "tollgate";
 * import { loadPolicy, watchPolicy } from "tollgate/policy";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * writeFileSync("watched.yaml", "version: 1\nlimits: [{ name: per-session, per: [session], quota: 50 }]");
 * const limiter = createLimiter({ policy: loadPolicy("watched.yaml"), store: memoryStore() });
 * const watch = watchPolicy("watched.yaml", limiter);
 * watch.close();
 * ```
 */
export function watchPolicy(path: string, limiter: Reloads, options: WatchOptions = {}): { close(): void } {
  if (typeof path !== "string" || path === "") throw invalidOption("path", "the path of a policy file", path);
  return watchedFile(path, options, () => {
    let policy: Policy;
    try {
      policy = loadPolicy(path);
    } catch (error) {
      limiter.policyRefused?.(error);
      throw error;
    }
    limiter.reload(policy, { actor: fileActor(path) });
  });
}
