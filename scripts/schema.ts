// Writes policy.schema.json from the schema that policies are checked by. A test compares the two.

import { writeFileSync } from "node:fs";
import { z } from "zod";
import { policySchema } from "../src/kernel/policy-schema.ts";

/** The text of policy.schema.json. */
export function policySchemaJson(): string {
  const schema = z.toJSONSchema(policySchema, { io: "input" });
  return `${JSON.stringify({ title: "A Tollgate policy", ...schema }, null, 2)}\n`;
}

if (import.meta.main) writeFileSync(new URL("../policy.schema.json", import.meta.url), policySchemaJson());
