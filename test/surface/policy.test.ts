// The keys of policies and of their tests by place, with the words that they take, read from the schemas that editors check by.

import { describe, it } from "node:test";
import { policySchemaJson, policyTestSchemaJson } from "../../scripts/schema.ts";
import { keysOf } from "./schema-keys.ts";
import { assertAgreed } from "./snapshot.ts";

describe("the keys of a policy", () => {
  it("are those that were agreed on", () => {
    const { tests: _tests, ...properties } = JSON.parse(policySchemaJson()).properties;
    assertAgreed("policy", {
      Policy: keysOf({ properties }),
      Tests: keysOf(JSON.parse(policyTestSchemaJson())),
    });
  });
});
