// The page of the HTTP routes, made from the OpenAPI document and the table of problems.

import { openApiDocument } from "../openapi-document.ts";
import { PROBLEMS } from "../../src/http/problem-table.ts";
import { ROUTES } from "../../src/service/routes.ts";
import { code, headOf, table } from "./table.ts";

const ABOUT = `Every route of the service, with the bodies of requests and answers, and every problem. [The service](../service.md) explains
them. \`GET /openapi.json\` has the same as an OpenAPI document. A field with \`?\` may be absent. Requests with an unknown field are
refused; answers may get more fields.`;

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly description?: string;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly description?: string }[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** The OpenAPI document, as JSON. */
export const DOCUMENT = JSON.parse(JSON.stringify(openApiDocument(ROUTES))) as Document;

/** The operation of a route. */
export function operationOf(method: string, path: string): Operation {
  return DOCUMENT.paths[path]?.[method.toLowerCase()] as Operation;
}

/** A schema as its name, or as its keys. */
export function shapeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.replace(/^.*\//, "");
  if (schema.anyOf !== undefined) return schema.anyOf.map(shapeOf).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.items !== undefined) return `[${shapeOf(schema.items)}]`;
  return schema.properties === undefined ? (schema.type ?? "any") : keysOf(schema);
}

/** The keys of an object, each with its shape. */
export function keysOf({ properties = {}, required = [] }: Schema): string {
  const keys = Object.entries(properties).map(([name, schema]) => {
    return `${name}${required.includes(name) ? "" : "?"}: ${shapeOf(schema)}`;
  });
  return `{ ${keys.join(", ")} }`;
}

/** What a body may be. */
export function contentOf({ content = {} }: Content): string {
  return Object.entries(content)
    .map(([type, { schema }]) => (type === "application/json" ? shapeOf(schema) : type))
    .join(" | ");
}

/** docs/reference/http.md. */
export function httpPage(): string {
  const routes = ROUTES.map(({ method, path, scope, summary }) => {
    const { requestBody, responses } = operationOf(method, path);
    const answers = Object.entries(responses).flatMap(([status, answer]) =>
      status === "default" ? [] : [`${status} ${contentOf(answer)}`.trim()],
    );
    const body = requestBody === undefined ? "" : contentOf(requestBody);
    return [code([`${method} ${path}`]), scope ?? "none", summary, body, answers.join("; ")];
  });
  const parameters = ROUTES.flatMap(({ method, path }) =>
    (operationOf(method, path).parameters ?? []).map(({ name, in: place, description = "" }) => [
      code([`${method} ${path}`]),
      code([name]),
      place,
      description,
    ]),
  );
  const schemas = Object.entries(DOCUMENT.components.schemas).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const problems = Object.entries(PROBLEMS).map(([name, [status, meaning]]) => [code([name]), String(status), meaning]);
  return [
    headOf("HTTP: reference", ABOUT),
    `## Routes\n\n${table(["route", "scope", "what it does", "body", "answer"], routes)}`,
    "Every other answer is a [problem](#problems), of the type `Problem`.\n",
    `## Parameters\n\n${table(["route", "parameter", "in", "what it is"], parameters)}`,
    "## Bodies\n",
    ...schemas.map(([name, schema]) => `### ${name}\n\n${fieldsTable(schema)}`),
    `## Problems\n\n${table(["code", "status", "what it means"], problems)}`,
  ].join("\n");
}

function fieldsTable(schema: Schema): string {
  const { properties = {}, required = [] } = schema;
  if (schema.anyOf !== undefined || Object.keys(properties).length === 0) return `\`${shapeOf(schema)}\`\n`;
  const rows = Object.entries(properties).map(([name, field]) => [
    code([required.includes(name) ? name : `${name}?`]),
    code([shapeOf(field)]),
    field.description ?? "",
  ]);
  return table(["field", "type", "what it is"], rows);
}
