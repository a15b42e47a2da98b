// A policy file that is replaced as a whole: a text beside it takes its name, so that no reader ever sees a half of it.

import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { randomId } from "../ids.ts";
import type { PolicyFile } from "./policy-write.ts";

export interface WatchedPolicyFile extends PolicyFile {
  /** Throws where nothing can be written beside the file. */
  check(): void;
  /** What was written since the last question: to read it again would be a second change. */
  takeWritten(): string | null;
}

/** @param path a link is followed, so that its target is replaced and the link stays */
export function policyFile(path: string): WatchedPolicyFile {
  let written: string | null = null;
  return {
    read: () => {
      try {
        return readFileSync(path, "utf8");
      } catch {
        return null;
      }
    },
    write(source) {
      replaceFile(path, source);
      written = source;
    },
    check() {
      rmSync(writeBeside(realpathSync(path), ""));
    },
    takeWritten() {
      const last = written;
      written = null;
      return last;
    },
  };
}

/**
 * Replaces a file as a whole, and keeps its mode.
 *
 * @param path a link is followed, so that its target is replaced and the link stays
 */
export function replaceFile(path: string, source: string | Buffer): void {
  const target = realpathSync(path);
  const beside = writeBeside(target, source);
  try {
    renameSync(beside, target);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

/** Writes a text to the disk, with the mode of the file. Returns where it is. */
function writeBeside(target: string, source: string | Buffer): string {
  const { mode } = statSync(target);
  const beside = `${target}.${randomId()}.tmp`;
  const descriptor = openSync(beside, "wx", mode);
  try {
    fchmodSync(descriptor, mode);
    writeFileSync(descriptor, source);
    fsyncSync(descriptor);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return beside;
}
