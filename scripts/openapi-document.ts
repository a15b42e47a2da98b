// The API as an OpenAPI 3.1 document, made from the same schemas by which requests are checked. Requests are closed: an unknown
// field is refused. Answers are open: within /v1 they may get more fields, and none goes away.

import { problemSchema } from "../src/http/answers.ts";
import type { Entries, ObjectSchema, Schema } from "../src/kernel/policy/schema-kinds.ts";
import { PROBLEM_TYPE } from "../src/service/problems.ts";
import type { OpenApi } from "../src/service/parts.ts";
import type { Route } from "../src/service/route.ts";
import { jsonSchemaOf } from "./json-schema.ts";

const VERSION = "1.0.0";
const REF = "#/components/schemas/";

/** The schemas of the document by name. Operations refer to them, and so do other schemas. */
type Schemas = Record<string, object>;

export function openApiDocument(routes: readonly Route[]): object {
  const { paths, components } = openApiPart(routes);
  return {
    openapi: "3.1.0",
    info: {
      title: "Tollgate",
      version: VERSION,
      description:
        "Rate limits and budgets for the tool calls of AI agents. A denied call is a value: 200 with allowed false. Errors are problem documents (RFC 9457).",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      ...components,
      headers: { RequestId: REQUEST_ID },
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "An API key: tg_<id>_<secret>." } },
    },
  };
}

/** The part of a document that routes are, for a part of a service. */
export function openApiPart(routes: readonly Route[]): OpenApi {
  const schemas: Schemas = {};
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)$/, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, schemas) };
  }
  return { paths, components: { schemas } };
}

const REQUEST_ID = {
  description: "Names the request: the one that it came with, else one that the service made. Its log has it, too.",
  schema: { type: "string" },
};
const headers = { "x-request-id": { $ref: "#/components/headers/RequestId" } };

function operation(route: Route, schemas: Schemas): object {
  const { operationId, scope, summary, request, query, takesKey, takesMatch } = route;
  const parameters = [
    ...pathParameters(route.path),
    ...queryParameters(query),
    ...(takesKey === true ? [IDEMPOTENCY_KEY] : []),
    ...(takesMatch === true ? [IF_MATCH] : []),
  ];
  return {
    operationId,
    summary,
    security: scope === null ? [] : [{ key: [] }],
    ...(scope === null ? {} : { description: neededKey(scope) }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(request === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: reference(request, schemas) } } } }),
    responses: { ...answers(route, schemas), default: problemAnswer(schemas) },
  };
}

function neededKey(scope: NonNullable<Route["scope"]>): string {
  return scope === "any" ? "Needs a key, whatever its scopes." : `Needs a key with the scope \`${scope}\`.`;
}

function pathParameters(path: string): object[] {
  const [, name] = /:(\w+)$/.exec(path) ?? [];
  return name === undefined ? [] : [{ name, in: "path", required: true, schema: { type: "string", minLength: 1 } }];
}

function answers({ response, also = {} }: Route, schemas: Schemas): object {
  if (typeof response !== "string" && response.type === "null") return { 204: { description: "Done", headers } };
  const content =
    typeof response === "string"
      ? { [response]: { schema: { type: "string" } } }
      : { "application/json": { schema: reference(response, schemas) } };
  const others = Object.entries(also).map(([status, description]) => {
    return [status, { description, headers, ...(status === "304" ? {} : { content }) }];
  });
  return { 200: { description: "Fine", headers, content }, ...Object.fromEntries(others) };
}

function problemAnswer(schemas: Schemas): object {
  const content = { [PROBLEM_TYPE]: { schema: reference(problemSchema, schemas) } };
  return { description: "A problem: its code says which one", headers, content };
}

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description:
    'Names the call for ten minutes: sent again under the same key it is charged once. A string in quotes ("job-17"), or a bare key (job-17).',
  schema: { type: "string", minLength: 1 },
};

const IF_MATCH = {
  name: "If-Match",
  in: "header",
  required: true,
  description: "The ETag of what is replaced, in quotes or bare.",
  schema: { type: "string", minLength: 1 },
};

function queryParameters(query: ObjectSchema<Entries> | undefined): object[] {
  if (query === undefined) return [];
  const fixed = Object.entries(query.entries).map(([name, schema]) => {
    const { description } = jsonSchemaOf(schema as Schema);
    const text = { type: "string", minLength: 1 };
    return { name, in: "query", required: false, ...(description === undefined ? {} : { description }), schema: text };
  });
  if (query.type !== "object_with_rest") return fixed;
  const own = {
    name: "own",
    in: "query",
    required: false,
    description: "Dimensions of the policy's own, each by its name.",
    style: "form",
    explode: true,
    schema: { type: "object", additionalProperties: { type: "string" } },
  };
  return [...fixed, own];
}

/** A reference to a schema that has a name. Adds the schema and those within it that have a name to the document. */
function reference(schema: Schema, schemas: Schemas): object {
  const { $schema: _, ...whole } = jsonSchemaOf(schema);
  if (typeof whole.id !== "string") throw new RangeError("a schema of a route needs an id");
  return referred(whole, schemas);
}

/** A part of a JSON schema, in which references stand for the schemas that have a name. */
function referred<Part>(part: Part, schemas: Schemas): Part | { readonly $ref: string } {
  if (typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map((each) => referred(each, schemas)) as Part;
  const { id, ...unnamed } = part as { readonly id?: unknown };
  // A property may have the name `id`, too: its value is no text.
  const isNamed = typeof id === "string";
  const walk = () =>
    Object.fromEntries(Object.entries(isNamed ? unnamed : part).map(([key, inner]) => [key, referred(inner, schemas)]));
  if (!isNamed) return walk() as Part;
  if (!(id in schemas)) {
    // A schema stands before those within it.
    schemas[id] = {};
    schemas[id] = walk();
  }
  return { $ref: `${REF}${id}` };
}
