// Runs the examples in the given folders, one after the other, in one process. An example begins when the one before has left
// nothing to wait for: then a process of its own would have ended.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** Printed before the output of each example. */
export const BEGINS = "begins: ";
/** Printed after an example that threw. */
export const FAILED = "failed";

const folders = process.argv.slice(2);

function next(): void {
  const folder = folders.shift();
  if (folder === undefined) return;
  process.chdir(folder);
  console.log(BEGINS + folder);
  // Keeps the process while the import is pending, and for one turn of the event loop more: otherwise the process would exit
  // after an example that needs no turn.
  const pending = setInterval(() => {}, 60_000);
  import(pathToFileURL(join(folder, "example.js")).href)
    .catch((error) => {
      console.error(error);
      console.log(FAILED);
    })
    .finally(() => setImmediate(() => clearInterval(pending)));
}

if (import.meta.main) {
  process.on("beforeExit", next);
  next();
}
