// Writes the pages in docs/reference that are made from the code. A test sees when a page has another text.

import { writeFileSync } from "node:fs";
import { commandsPage } from "./reference/commands.ts";
import { httpPage } from "./reference/http.ts";
import { optionsPage } from "./reference/options.ts";
import { policyKeysPage } from "./reference/policy-keys.ts";

/** The pages by their names, as they should be. */
export const REFERENCE = {
  "commands.md": commandsPage,
  "http.md": httpPage,
  "options.md": optionsPage,
  "policy-keys.md": policyKeysPage,
} as const satisfies Readonly<Record<string, () => string | Promise<string>>>;

/** The folder of the pages. */
export const FOLDER = new URL("../docs/reference/", import.meta.url);

if (import.meta.main) {
  for (const [name, page] of Object.entries(REFERENCE)) writeFileSync(new URL(name, FOLDER), await page());
}
