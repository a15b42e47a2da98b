// One section in a process of its own: `section-process.ts NAME [--short]` prints what it comes to as JSON.

import { parseArgs } from "node:util";
import { sectionNamed } from "./sections.ts";

// Servers are ended with the process: it must end in the ordinary way.
process.once("SIGTERM", () => process.exit(1));

const { values, positionals } = parseArgs({
  options: { short: { type: "boolean", default: false } },
  allowPositionals: true,
});
const section = await sectionNamed(positionals[0] ?? "");
const measured = await section.measure(values.short);
process.stdout.write(JSON.stringify(measured), () => process.exit());
