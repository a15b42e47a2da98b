// What the page on the service says that is also in the code.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { ROUTES } from "../../src/service/routes.ts";
import { ROOT } from "../sources.ts";

const page = readFileSync(`${ROOT}docs/service.md`, "utf8");
const rows = [...page.matchAll(/^\| `([^`]+)` *\| *([^|]*?) *\|/gm)].map(([, first = "", second = ""]) => [
  first,
  second,
]);

it("the page on the service names every route with its scope", () => {
  const said = rows.filter(([first = ""]) => /^(GET|POST) \//.test(first));
  assert.deepEqual(
    said.map(([route, scope]) => `${route} ${scope}`).sort(),
    ROUTES.map(({ method, path, scope }) => `${method} ${path} ${scope ?? "-"}`).sort(),
  );
});
