// Folders for one test file, removed when it has run.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** A new folder. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-test-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
