#!/usr/bin/env node
import "./require-node.js";
import { existsSync } from "node:fs";

// In a checkout the sources run as they are; the package has only dist.
const source = new URL("../src/cli/main.ts", import.meta.url);
const built = new URL("../dist/cli/main.js", import.meta.url);
if (existsSync(source) && process.features.typescript) await import(source.href);
else if (existsSync(built)) await import(built.href);
else {
  console.error(
    `tollgate: ${process.version} cannot run the sources; use \`npm run tollgate --\`, or \`npm run build\``,
  );
  process.exit(2);
}
