// Writes policy.schema.json and policy-test.schema.json from the schemas that policies and their tests are checked by. A test
// compares them.

import { writeFileSync } from "node:fs";
import { z } from "zod";
import { policySchema } from "../src/kernel/policy-schema.ts";
import { policyTestFileSchema, policyTestsSchema } from "../src/testing/policy-test-schema.ts";

/** The text of policy.schema.json. */
export function policySchemaJson(): string {
  return jsonOf("A Tollgate policy", policySchema.extend({ tests: policyTestsSchema.optional() }));
}

/** The text of policy-test.schema.json. */
export function policyTestSchemaJson(): string {
  return jsonOf("Tests of a Tollgate policy", policyTestFileSchema);
}

function jsonOf(title: string, schema: z.ZodType): string {
  return `${JSON.stringify({ title, ...z.toJSONSchema(schema, { io: "input" }) }, null, 2)}\n`;
}

if (import.meta.main) {
  writeFileSync(new URL("../policy.schema.json", import.meta.url), policySchemaJson());
  writeFileSync(new URL("../policy-test.schema.json", import.meta.url), policyTestSchemaJson());
}
