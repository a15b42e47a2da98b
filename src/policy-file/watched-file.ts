// A file that is read again when it changes. Its time and size are polled: a file that is mounted or replaced does not always
// cause a file event.

import { callback, type OptionsOf, readOptions, whole } from "../kernel/options.ts";
import { filesFor } from "./files.ts";

const OPTIONS = {
  /** How often the file is checked, 100 to 3,600,000 ms. Default 1,000. */
  intervalMs: whole(100, 3_600_000, 1_000),
  /** Called with the error when the changed file cannot be used; what was read before stays in force. Default: a process warning. */
  onError: callback<(error: unknown) => void, (error: unknown) => void>((error) =>
    process.emitWarning(String(error), "TollgateWarning"),
  ),
};

/** Who changes a policy that is read from a file: the file, by the end of its path. */
export function fileActor(path: string): string {
  return `file:${path.slice(-195)}`;
}

/** How a file is watched. */
export interface WatchOptions extends OptionsOf<typeof OPTIONS> {}

/**
 * Calls `read` after each change of a file, and `onError` with what it throws.
 *
 * @throws MisuseError `invalid-option`
 */
export function watchedFile(path: string, options: WatchOptions, read: () => void): { close(): void } {
  const { intervalMs, onError } = readOptions(OPTIONS, options);
  const changed = () => {
    try {
      read();
    } catch (error) {
      onError(error);
    }
  };
  const { watchFile, unwatchFile } = filesFor(path);
  watchFile(path, { interval: intervalMs, persistent: false }, changed);
  return { close: () => unwatchFile(path, changed) };
}
