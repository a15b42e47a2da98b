// Where the console's files are: in the package, or built at once where the command runs on its sources.

import { existsSync } from "node:fs";
import type { ConsoleFile } from "../service-log/console.ts";

/** What the build has; the package has no build. */
interface Builder {
  buildConsole(): Promise<{ readonly files: readonly { readonly name: string; readonly content: Uint8Array }[] }>;
}

const BUILT = new URL("../console/", import.meta.url);
const BUILDER = new URL("../../scripts/package/console.ts", import.meta.url);

export async function consoleFiles(): Promise<readonly ConsoleFile[]> {
  const { consoleFile, readConsole } = await import("../service-log/console-node.ts");
  if (existsSync(BUILT)) return readConsole(BUILT);
  const { buildConsole } = (await import(BUILDER.href)) as Builder;
  return (await buildConsole()).files.map(({ name, content }) => consoleFile(name, content));
}
