// Writes policy.schema.json and policy-test.schema.json from the schemas that policies and their tests are checked by, and
// from the comments of their types. A test compares the files with what is written here.

import { writeFileSync } from "node:fs";
import { policySchema } from "../src/kernel/policy/schema.ts";
import { impliedAlgorithm } from "../src/kernel/algorithms/registry.ts";
import type { Schema } from "../src/kernel/policy/schema-kinds.ts";
import { policyTestFileSchema } from "../src/testing/policy-test-schema.ts";
import { jsonSchemaOf } from "./json-schema.ts";
import { describe, type JsonSchema } from "./schema-descriptions.ts";

type ObjectSchema = JsonSchema & Required<Pick<JsonSchema, "properties" | "required">>;

/** The text of policy.schema.json. */
export function policySchemaJson(): string {
  const schema = described(policySchema, "src/kernel/policy/input.ts", "PolicyInput");
  const { limits, tools, ...others } = schema.properties as {
    readonly limits: { readonly items: unknown };
    readonly tools: { readonly additionalProperties?: unknown };
  };
  const { oneOf } = limits.items as { readonly oneOf: readonly ObjectSchema[] };
  const properties = {
    ...others,
    tools: { ...tools, additionalProperties: extensible(tools.additionalProperties as ObjectSchema) },
    limits: { ...limits, items: { anyOf: oneOf.flatMap(limitSchemas).map(extensible) } },
    tests: testFileSchema().properties.tests,
  };
  return textOf({ title: "A Tollgate policy", ...extensible(schema), properties });
}

/** The text of policy-test.schema.json. */
export function policyTestSchemaJson(): string {
  return textOf({ title: "Tests of a Tollgate policy", ...extensible(testFileSchema()) });
}

function testFileSchema(): ObjectSchema {
  return described(policyTestFileSchema, "src/testing/policy-test-input.ts", "PolicyTestFile");
}

/** The JSON schema of what is written, with the descriptions of its type. */
function described(schema: Schema, file: string, type: string): ObjectSchema {
  return describe(jsonSchemaOf(schema) as JsonSchema, file, type) as ObjectSchema;
}

function textOf(schema: object): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** A limit, and what it may look like without its algorithm. */
function limitSchemas(limit: ObjectSchema): ObjectSchema[] {
  const { const: name } = limit.properties.algorithm as { readonly const: string };
  const required = limit.required.filter((key) => key !== "algorithm");
  const { algorithm: _left, ...rest } = limit.properties;
  if (name === impliedAlgorithm({})) return [{ ...limit, required }];
  if (name === impliedAlgorithm({ burst: 1 })) {
    return [limit, { ...limit, properties: rest, required: [...required, "burst"] }];
  }
  if (name !== impliedAlgorithm({ window: "day" })) return [limit];
  const window = { description: rest.window?.description, type: "string", enum: ["day", "week", "month"] };
  return [limit, { ...limit, properties: { ...rest, window }, required }];
}

/** An object with keys that Tollgate ignores. */
function extensible(schema: ObjectSchema): ObjectSchema {
  return { ...schema, patternProperties: { "^x-": {} } };
}

if (import.meta.main) {
  writeFileSync(new URL("../policy.schema.json", import.meta.url), policySchemaJson());
  writeFileSync(new URL("../policy-test.schema.json", import.meta.url), policyTestSchemaJson());
}
