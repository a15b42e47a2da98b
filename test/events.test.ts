// One list of events: the pages that show them, the OpenAPI document and the names themselves follow src/events.ts.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pages, withTables } from "../scripts/events.ts";
import { CALL_EVENTS, EVENTS, STREAMED } from "../src/events.ts";
import { openApiDocument } from "../scripts/openapi-document.ts";
import { ROUTES } from "../src/service/routes.ts";

const NAMES = [...Object.keys(EVENTS), ...Object.keys(CALL_EVENTS)];

describe("events", () => {
  it("have names of the form noun.past", () => {
    for (const name of NAMES) assert.match(name, /^[a-z]+\.[a-z]+(_[a-z]+)*$/);
  });

  it("are the same in the pages as in the table", () => {
    for (const [file, text] of pages()) {
      assert.equal(text, withTables(text), `${file.pathname} has another table: npm run events`);
      for (const name of NAMES) assert.ok(text.includes(`\n| \`${name}\` |`), `${file.pathname}: ${name}`);
    }
  });

  it("for listeners are those in the OpenAPI document", () => {
    const text = JSON.stringify(openApiDocument(ROUTES));
    const [, said = ""] = /"Some of ([^"]*), with commas\. Default: all\."/.exec(text) ?? [];
    assert.deepEqual(said.split(", "), STREAMED);
    assert.deepEqual([...new Set(STREAMED.map(headOf))], ["call", "store", "policy", "bucket"]);
  });
});

function headOf(name: string): string {
  return name.slice(0, name.indexOf("."));
}
