// JSON schemas, made from the schemas by which values are checked.

import { toJsonSchema } from "@valibot/to-json-schema";
import type { Schema } from "../src/kernel/policy/schema-kinds.ts";

type Json = Record<string, unknown>;

/** The JSON schema of what a schema reads, without the checks that JSON schemas cannot express. */
export function jsonSchemaOf(schema: Schema): Json {
  const { $schema, ...made } = toJsonSchema(
    schema as never,
    {
      target: "draft-2020-12",
      typeMode: "input",
      ignoreActions: ["check"],
      // The library refuses flags. We use only `s`, by which a dot also stands for a line break.
      overrideAction: ({ valibotAction: { requirement }, jsonSchema }: Action) =>
        requirement instanceof RegExp ? { ...jsonSchema, pattern: requirement.source } : undefined,
      overrideSchema: ({ valibotSchema, jsonSchema }: Kind) => adapted(valibotSchema, jsonSchema),
    } as never,
  ) as Json;
  return { $schema, ...made };
}

type Kind = { readonly valibotSchema: Parts; readonly jsonSchema: Json };
type Action = { readonly valibotAction: { readonly requirement?: unknown }; readonly jsonSchema: Json };

/** What a schema and the library make its JSON schema from. */
interface Parts {
  readonly type: string;
  readonly options?: readonly unknown[];
  readonly rest?: Parts;
}

/** The JSON schema of our own kinds, and of others in the form that the documents have. */
function adapted({ type, options = [], rest }: Parts, made: Json): Json | undefined {
  if (type === "integer") return { type };
  if (type === "literal") return { type: typeof made.const, ...made };
  if (type === "picklist") {
    const [first, ...more] = options;
    return { type: typeof first, ...(more.length === 0 ? { const: first } : { enum: options }) };
  }
  if (type === "nullable") {
    const [{ type: simple, ...more } = {}] = made.anyOf as readonly Json[];
    return Object.keys(more).length === 0 && simple !== undefined ? { type: [simple, "null"] } : undefined;
  }
  if ((made.required as readonly string[] | undefined)?.length === 0) delete made.required;
  // Dimensions of the policy's own stand beside words of other types, which the types of clients could not say.
  if (type === "object_with_rest" && rest?.type === "union") made.additionalProperties = true;
  return made;
}
