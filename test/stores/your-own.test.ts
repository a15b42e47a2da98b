// The stores of docs/stores/your-own.md keep the contracts that the page explains.

import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { fakeClock } from "tollgate/testing";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { testSharedStore, testStore } from "./store-suite.ts";

const folder = temporaryFolder();
const page = readFileSync(join(ROOT, "docs/stores/your-own.md"), "utf8");
const [own, shared] = await Promise.all(
  [...page.matchAll(/```ts\n([\s\S]*?)\n```/g)].map(async ([, code = ""], i) => {
    const file = join(folder, `example-${i}.js`);
    // The last lines use the store, and print what examples.test.ts looks at.
    const store = stripTypeScriptTypes(code.slice(0, code.indexOf("\nconst policy =")));
    const resolved = store.replace(/from "(tollgate[^"]*)"/g, (_, name) => `from "${import.meta.resolve(name)}"`);
    writeFileSync(file, resolved);
    return import(pathToFileURL(file).href);
  }),
);

testStore("the page's first store", () => {
  const clock = fakeClock();
  const table = new Map();
  const open = () => own.tableStore(table, clock);
  return { store: open(), another: open, advance: clock.advance };
});

testSharedStore("the page's shared store", () => {
  const clock = fakeClock();
  const [table, instances] = [new Map(), new Map()];
  const open = () => shared.sharedTableStore(table, instances, clock);
  return { store: open(), another: open, advance: clock.advance };
});
