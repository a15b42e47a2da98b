// The keys of policies and of their tests by place, with the words that they take, read from the schemas that editors check by.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { policySchemaJson, policyTestSchemaJson } from "../../scripts/schema.ts";
import { type KeySchema, keysOf } from "../../scripts/reference/schema-keys.ts";
import { assertAgreed } from "./snapshot.ts";

describe("the keys of a policy", () => {
  it("are as agreed", () => {
    const { tests: _tests, ...properties } = JSON.parse(policySchemaJson()).properties;
    assertAgreed("policy", {
      Policy: keysOf({ properties }),
      Tests: keysOf(JSON.parse(policyTestSchemaJson())),
    });
  });

  it("are all described", () => {
    // Each algorithm is a type of its own, and a bucket's limit has no meaning but its name.
    const isKnown = (path: string) => /\.(?:algorithm|bucket\.limit|grant\.limit|reset\.limit)$/.test(path);
    for (const text of [policySchemaJson(), policyTestSchemaJson()]) {
      assert.deepEqual(
        withoutDescription(JSON.parse(text)).filter((path) => !isKnown(path)),
        [],
      );
    }
  });
});

/** The keys of a schema that have no description. */
function withoutDescription(schema: unknown, path = ""): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  const { properties = {} } = schema as { readonly properties?: Readonly<Record<string, KeySchema>> };
  const bare = Object.entries(properties).flatMap(([key, value]) =>
    "description" in value || value.not !== undefined ? [] : [`${path}.${key}`],
  );
  return [...bare, ...Object.entries(schema).flatMap(([key, inner]) => withoutDescription(inner, `${path}.${key}`))];
}
