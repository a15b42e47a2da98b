// A policy file that may change while the program runs.

import { unwatchFile, watchFile } from "node:fs";
import { checkOptionKeys, checkWhole, invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { loadPolicy } from "./file.ts";

/** How a policy file is watched. */
export interface WatchOptions {
  /** How often the file is looked at, 100 to 3,600,000 ms. Default 1,000. */
  readonly intervalMs?: number;
  /** Called with a `MisuseError` when the file is no policy: nothing has changed then. Default: a process warning. */
  readonly onError?: (error: unknown) => void;
}

/** What takes a policy: a limiter. */
export interface Reloads {
  reload(policy: Policy): unknown;
}

/** A limiter emits an event when the file is no policy. */
interface Refuses extends Reloads {
  policyRefused?(error: unknown): void;
}

/**
 * Lets a limiter take a policy file each time that it has changed; not when it is made, nor while the file is no policy.
 * What came of it is told by the limiter's `onEvent` (`policy.reloaded`, `policy.refused`).
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { createLimiter, loadPolicy, watchPolicy } from "tollgate";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * writeFileSync("watched.yaml", "version: 1\nlimits: [{ name: per-session, per: [session], quota: 50 }]");
 * const limiter = createLimiter({ policy: loadPolicy("watched.yaml"), store: memoryStore() });
 * const watch = watchPolicy("watched.yaml", limiter);
 * watch.close();
 * ```
 */
export function watchPolicy(path: string, limiter: Reloads, options: WatchOptions = {}): { close(): void } {
  checkOptionKeys(options, ["intervalMs", "onError"]);
  const { intervalMs = 1_000, onError = (error) => process.emitWarning(String(error), "TollgateWarning") } = options;
  if (typeof path !== "string" || path === "") throw invalidOption("path", "the path of a policy file", path);
  checkWhole("intervalMs", intervalMs, 100, 3_600_000);
  if (typeof onError !== "function") throw invalidOption("onError", "a function", onError);
  const changed = () => {
    let policy: Policy;
    try {
      policy = loadPolicy(path);
    } catch (error) {
      (limiter as Refuses).policyRefused?.(error);
      onError(error);
      return;
    }
    try {
      limiter.reload(policy);
    } catch (error) {
      onError(error);
    }
  };
  // By looking at it: editors and deploys replace a file in ways that file events miss.
  watchFile(path, { interval: intervalMs, persistent: false }, changed);
  return { close: () => unwatchFile(path, changed) };
}
