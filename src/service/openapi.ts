// The API as an OpenAPI 3.1 document, made from the same schemas by which requests are checked. Requests are closed: an unknown
// field is refused. Answers are open: within /v1 they may get more fields, and none goes away.

import { z } from "zod";
import { problemSchema } from "./answer-schemas.ts";
import type { Route } from "./route.ts";

const VERSION = "1.0.0";
const PROBLEM = "application/problem+json";
const REF = "#/components/schemas/";

/** The document. */
export function openApiDocument(routes: readonly Route[]): object {
  const [requests, answers] = [new Map<string, z.ZodType>(), new Map<string, z.ZodType>()];
  const into =
    (named: Map<string, z.ZodType>): Reference =>
    (schema) => {
      const id = schema.meta()?.id;
      if (id === undefined) throw new RangeError("a schema of a route needs an id");
      named.set(id, schema);
      return { $ref: `${REF}${id}` };
    };
  const reference = { request: into(requests), answer: into(answers) };
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route, reference) };
  }
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
      schemas: { ...componentsOf(requests, widened), ...componentsOf(answers, opened) },
      headers: { RequestId: REQUEST_ID },
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "An API key: tg_<id>_<secret>." } },
    },
  };
}

type Reference = (schema: z.ZodType) => object;

interface References {
  readonly request: Reference;
  readonly answer: Reference;
}

const REQUEST_ID = {
  description: "Names the request: the one that it came with, else one that the service made. Its log has it, too.",
  schema: { type: "string" },
};
const HEADERS = { "x-request-id": { $ref: "#/components/headers/RequestId" } };

function operation(route: Route, reference: References): object {
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
      : { requestBody: { required: true, content: { "application/json": { schema: reference.request(request) } } } }),
    responses: { ...answers(route.path, response, reference.answer), default: problemAnswer(reference.answer) },
  };
}

function answers(path: string, response: Route["response"], reference: Reference): object {
  const headers = HEADERS;
  if (typeof response === "string") {
    return { 200: { description: "Fine", headers, content: { [response]: { schema: { type: "string" } } } } };
  }
  if (response instanceof z.ZodNull) return { 204: { description: "Done", headers } };
  const content = { "application/json": { schema: reference(response) } };
  const fine = { 200: { description: "Fine", headers, content } };
  if (path === "/v1/policy") return { ...fine, 304: { description: "The version that is known", headers } };
  if (path === "/readyz") return { ...fine, 503: { description: "Not to be sent requests", headers, content } };
  return fine;
}

function problemAnswer(reference: Reference): object {
  const content = { [PROBLEM]: { schema: reference(problemSchema) } };
  return { description: "A problem: its code says which one", headers: HEADERS, content };
}

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description:
    'Names this wish for ten minutes: sent again under the same key it is charged once. A string in quotes ("job-17"), or a bare key (job-17).',
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
function componentsOf(named: ReadonlyMap<string, z.ZodType>, override: Override): object {
  const schemas: Record<string, object> = {};
  for (const schema of named.values()) collect(schema, override, schemas);
  return schemas;
}

/** A schema that has a name, and those within it that have one. */
function collect(schema: z.ZodType, override: Override, schemas: Record<string, object>): void {
  const whole = z.toJSONSchema(schema, { io: "input", override });
  const inner = whole.$ref === undefined ? { [schema.meta()?.id ?? ""]: whole, ...whole.$defs } : { ...whole.$defs };
  for (const [name, { id: _, $schema: __, $defs: ___, ...each }] of Object.entries(inner))
    schemas[name] ??= referring(each);
}

type Override = (made: { readonly zodSchema: z.core.$ZodTypes; readonly jsonSchema: object }) => void;

/** Of answers: objects may get more fields. The service's tests say that it sends no others than these. */
const opened: Override = ({ jsonSchema }) => {
  if ("additionalProperties" in jsonSchema && jsonSchema.additionalProperties === false) {
    delete jsonSchema.additionalProperties;
  }
};

/** Of requests: dimensions of the policy's own stand beside words of other types, which the types of clients could not say. */
const widened: Override = ({ zodSchema, jsonSchema }) => {
  const { def } = zodSchema._zod;
  if (def.type === "object" && def.catchall?._zod.def.type === "union") {
    Object.assign(jsonSchema, { additionalProperties: true });
  }
};

function referring(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', `"${REF}`));
}
