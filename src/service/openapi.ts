// The API as an OpenAPI 3.1 document, made from the same schemas by which requests are checked.

import { z } from "zod";
import type { Route } from "./routes.ts";
import { problemSchema } from "./schemas.ts";

const VERSION = "1.0.0";
const PROBLEM = "application/problem+json";
const REF = "#/components/schemas/";

/** The document. */
export function openApiDocument(routes: readonly Route[]): object {
  const named = new Map<string, z.ZodType>();
  const reference = (schema: z.ZodType): object => {
    const id = schema.meta()?.id;
    if (id === undefined) throw new RangeError("a schema of a route needs an id");
    named.set(id, schema);
    return { $ref: `${REF}${id}` };
  };
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route, reference) };
  }
  reference(problemSchema);
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
      schemas: componentsOf(named),
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "An API key: tg_<id>_<secret>." } },
    },
  };
}

function operation(route: Route, reference: (schema: z.ZodType) => object): object {
  const { operationId, scope, summary, request, response, query, isOnce } = route;
  const parameters = [...queryParameters(query), ...(isOnce === true ? [IDEMPOTENCY_KEY] : [])];
  return {
    operationId,
    summary,
    security: scope === null ? [] : [{ key: [] }],
    ...(scope === null ? {} : { description: `Needs a key with the scope \`${scope}\`.` }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(request === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: reference(request) } } } }),
    responses: { ...answers(route.path, response, reference), default: problemAnswer(reference) },
  };
}

function answers(path: string, response: Route["response"], reference: (schema: z.ZodType) => object): object {
  if (typeof response === "string") {
    return { 200: { description: "Fine", content: { [response]: { schema: { type: "string" } } } } };
  }
  if (response instanceof z.ZodNull) return { 204: { description: "Done" } };
  const content = { "application/json": { schema: reference(response) } };
  const fine = { 200: { description: "Fine", content } };
  if (path === "/v1/policy") return { ...fine, 304: { description: "The version that is known" } };
  if (path === "/readyz") return { ...fine, 503: { description: "Not to be sent requests", content } };
  return fine;
}

function problemAnswer(reference: (schema: z.ZodType) => object): object {
  return { description: "A problem", content: { [PROBLEM]: { schema: reference(problemSchema) } } };
}

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "Names this wish for ten minutes: sent again under the same key it is charged once.",
  schema: { type: "string", minLength: 1 },
};

function queryParameters(query: z.ZodObject | undefined): object[] {
  if (query === undefined) return [];
  const fixed = Object.entries(query.shape).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    ...(schema.meta()?.description === undefined ? {} : { description: schema.meta()?.description }),
    schema: { type: "string", minLength: 1 },
  }));
  if (query.def.catchall === undefined) return fixed;
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

/** The schemas by name, each as the others refer to it. */
function componentsOf(named: ReadonlyMap<string, z.ZodType>): object {
  const schemas: Record<string, object> = {};
  for (const schema of named.values()) collect(schema, schemas);
  return schemas;
}

/** A schema that has a name, and those within it that have one. */
function collect(schema: z.ZodType, schemas: Record<string, object>): void {
  const whole = z.toJSONSchema(schema, { io: "input", override: opened });
  const inner = whole.$ref === undefined ? { [schema.meta()?.id ?? ""]: whole, ...whole.$defs } : { ...whole.$defs };
  for (const [name, { id: _, $schema: __, $defs: ___, ...each }] of Object.entries(inner))
    schemas[name] ??= referring(each);
}

/** Dimensions of the policy's own stand beside words of other types, which the types of clients could not say. */
function opened({
  zodSchema,
  jsonSchema,
}: {
  readonly zodSchema: z.core.$ZodTypes;
  readonly jsonSchema: object;
}): void {
  const { def } = zodSchema._zod;
  if (def.type === "object" && def.catchall?._zod.def.type === "union") {
    Object.assign(jsonSchema, { additionalProperties: true });
  }
}

function referring(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', `"${REF}`));
}
