// The page of the HTTP routes, made from the OpenAPI document and the table of problems.

import { ALL_ROUTES } from "../log-routes.ts";
import { openApiDocument } from "../openapi-document.ts";
import { PROBLEMS } from "../../src/http/problem-table.ts";
import { type PublicName, publicNames } from "../../test/surface/public-names.ts";
import { type Section, sectionsText } from "./sections.ts";
import { code, headOf, table } from "./table.ts";

const ABOUT = `Every route of the service, with the bodies of requests and answers, and every problem. [The service](../service.md) explains
them. \`GET /openapi.json\` has the same as an OpenAPI document. A field with \`?\` may be absent, and \`[A]\` is a list of A. Requests with an unknown field are
refused; answers may get more fields.`;

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly description?: string;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
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
export const DOCUMENT = JSON.parse(JSON.stringify(openApiDocument(ALL_ROUTES))) as Document;

/** The operation of a route. */
export function operationOf(method: string, path: string): Operation {
  return DOCUMENT.paths[path.replace(/:(\w+)$/, "{$1}")]?.[method.toLowerCase()] as Operation;
}

/** A schema as its name, or as its keys. */
export function shapeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.replace(/^.*\//, "");
  if (schema.anyOf !== undefined) return schema.anyOf.map(shapeOf).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.items !== undefined) return `[${shapeOf(schema.items)}]`;
  if (schema.properties !== undefined) return keysOf(schema);
  const { additionalProperties: values } = schema;
  if (typeof values === "object" && Object.keys(values).length > 0) return `{ <name>: ${shapeOf(values)} }`;
  return [schema.type ?? "any"].flat().join(" | ");
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

/** What the document does not say of parameters. */
const PARAMETERS: Readonly<Record<string, { readonly shown: string; readonly what: string }>> = {
  args: { shown: "args", what: "The arguments of the calls, as JSON." },
  own: { shown: "<dimension>", what: "Any dimension of the policy's own, under its own name: `workspace=w1`." },
};

/** docs/reference/http.md. */
export async function httpPage(): Promise<string> {
  const routes = ALL_ROUTES.map(({ method, path, scope, summary }) => {
    const { requestBody, responses } = operationOf(method, path);
    const answers = Object.entries(responses).flatMap(([status, answer]) =>
      status === "default" ? [] : [`${status} ${contentOf(answer)}`.trim()],
    );
    const body = requestBody === undefined ? "" : contentOf(requestBody);
    return [code([`${method} ${path}`]), scope ?? "none", summary, body, answers.join("; ")];
  });
  const parameters = ALL_ROUTES.flatMap(({ method, path }) =>
    (operationOf(method, path).parameters ?? []).map(({ name, in: place, description = "" }) => [
      code([`${method} ${path}`]),
      code([PARAMETERS[name]?.shown ?? name]),
      place,
      PARAMETERS[name]?.what ?? description,
    ]),
  );
  const schemas = Object.entries(DOCUMENT.components.schemas).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const types = (await publicNames()).filter(({ subpath }) => subpath === "tollgate");
  const sections = schemas
    .filter(([name]) => !name.startsWith(BATCHED))
    .map(([name, schema]) => sectionOf(name, schema, types));
  const problems = Object.entries(PROBLEMS).map(([name, [status, meaning]]) => [code([name]), String(status), meaning]);
  return [
    headOf("HTTP: reference", ABOUT),
    `## Routes\n\n${table(["route", "scope", "what it does", "body", "answer"], routes)}`,
    "Every other answer is a [problem](#problems), of the type `Problem`.\n",
    `## Parameters\n\n${table(["route", "parameter", "in", "what it is"], parameters)}`,
    "## Bodies\n",
    sectionsText(["field", "type", "what it is"], "###", sections),
    `### Items of a batch\n\n\`Batch_begin\` and the others have \`op\`, and the fields of a body:\n\n${batchTable(schemas)}`,
    `## Problems\n\n${table(["code", "status", "what it means"], problems)}`,
  ].join("\n");
}

/** The types whose doc comments explain the fields of a schema: those of a decision are in two. */
const COMMENTED: Readonly<Record<string, readonly string[]>> = {
  Decision: ["Denied", "Allowed"],
  Begun: ["Denied", "Allowed"],
  Reserved: ["Denied", "Allowed"],
};

function sectionOf(name: string, schema: Schema, types: readonly PublicName[]): Section {
  const { properties = {}, required = [] } = schema;
  if (schema.anyOf !== undefined || Object.keys(properties).length === 0)
    return { name, about: `\`${shapeOf(schema)}\`\n`, rows: [] };
  const commented = types.filter((type) => (COMMENTED[name] ?? [name]).includes(type.name));
  const rows = Object.entries(properties).map(([field, inner]) => [
    code([required.includes(field) ? field : `${field}?`]),
    code([shapeOf(inner)]),
    field === "code" ? "One of [Problems](#problems)." : (commentOf(commented, field) ?? inner.description ?? ""),
  ]);
  return { name, about: "", rows };
}

function commentOf(types: readonly PublicName[], field: string): string | undefined {
  const comments = types.flatMap(({ fields }) =>
    fields.filter(({ name }) => name === field).map((each) => each.comment),
  );
  return comments.find((comment) => comment !== "");
}

/** What the schemas of a batch's items begin with. */
const BATCHED = "Batch_";

/** Each kind of item, with the body whose fields it has. */
function batchTable(schemas: readonly (readonly [name: string, schema: Schema])[]): string {
  const rows = schemas
    .filter(([name]) => name.startsWith(BATCHED))
    .map(([name, { properties = {} }]) => {
      const op = name.slice(BATCHED.length);
      const body = shapeOf(bodyOf(op));
      const whole = Object.keys(DOCUMENT.components.schemas[body]?.properties ?? {});
      return [code([op]), `[${body}](#${body.toLowerCase()})`, code(whole.filter((field) => !(field in properties)))];
    });
  return table(["op", "as", "without"], rows);
}

function bodyOf(op: string): Schema {
  return operationOf("POST", `/v1/${op}`).requestBody?.content?.["application/json"]?.schema ?? {};
}
