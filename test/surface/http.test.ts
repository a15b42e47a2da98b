// The HTTP surface as one text that a reviewer can read: every route with its name, scope, parameters, and the keys of its body
// and its answer, and every problem with its status. What changes there may break a user's program.

import { ALL_ROUTES } from "../../scripts/log-routes.ts";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contentOf, DOCUMENT, keysOf, operationOf } from "../../scripts/reference/http.ts";
import { PROBLEMS } from "../../src/http/problem-table.ts";
import { assertAgreed } from "./snapshot.ts";

function sections(): Record<string, readonly string[]> {
  const routes = ALL_ROUTES.flatMap(({ method, path, scope }) => {
    const operation = operationOf(method, path);
    const { operationId, parameters = [], requestBody, responses } = operation;
    const answers = Object.entries(responses).map(([status, answer]) => `  ${status}: ${contentOf(answer)}`.trimEnd());
    return [
      `${method} ${path}  ${operationId}  ${scope ?? "open"}`,
      ...parameters.map(({ name, in: place }) => `  ${place}: ${name}`),
      ...(requestBody === undefined ? [] : [`  body: ${contentOf(requestBody)}`]),
      ...answers,
    ];
  });
  const schemas = Object.entries(DOCUMENT.components.schemas).map(([name, schema]) => `${name}: ${keysOf(schema)}`);
  const problems = Object.entries(PROBLEMS).map(([code, [status]]) => `${status} ${code}`);
  return { Routes: routes, Schemas: schemas.toSorted(), Problems: problems.toSorted() };
}

describe("the HTTP surface", () => {
  it("is as agreed", () => {
    assertAgreed("http", sections());
  });

  it("leaves answers open and closes requests", () => {
    const { schemas } = DOCUMENT.components;
    const whole = (name: string): string => {
      const text = JSON.stringify(schemas[name] ?? {});
      return [text, ...[...text.matchAll(/schemas\/(\w+)"/g)].map(([, inner = ""]) => whole(inner))].join();
    };
    const isClosed = (name: string) => whole(name).includes('"additionalProperties":false');
    for (const { method, path } of ALL_ROUTES) {
      const { requestBody, responses } = operationOf(method, path);
      if (requestBody !== undefined) assert.ok(isClosed(contentOf(requestBody)), `the body of ${path}`);
      for (const answer of Object.values(responses)) {
        for (const name of contentOf(answer).split(" | ")) assert.ok(!isClosed(name), `the answer of ${path}: ${name}`);
      }
    }
  });

  it("gives every operation a name of its own, that generated clients can call", () => {
    const names = ALL_ROUTES.map(({ operationId }) => operationId);
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, /^[a-z][a-zA-Z]+$/);
  });
});
