// What the page on the service says that is also in the code.

import { ALL_ROUTES } from "../../scripts/log-routes.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { ROOT } from "../sources.ts";

const page = readFileSync(`${ROOT}docs/service.md`, "utf8");
const rows = [...page.matchAll(/^\| `([^`]+)` *\| *([^|]*?) *\|/gm)].map(([, first = "", second = ""]) => [
  first,
  second,
]);

it("the page on the service names every route with its scope", () => {
  const said = rows.filter(([first = ""]) => /^(GET|POST|PUT) \//.test(first));
  assert.deepEqual(
    said.map(([route, scope]) => `${route} ${scope}`).sort(),
    ALL_ROUTES.map(({ method, path, scope }) => `${method} ${path} ${scope ?? "-"}`).sort(),
  );
});
