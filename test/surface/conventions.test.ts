// The rules of docs/conventions.md, held over every public name, policy key, route, problem and option.

import { ALL_ROUTES } from "../../scripts/log-routes.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { createLimiter, MisuseError, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { policySchemaJson, policyTestSchemaJson } from "../../scripts/schema.ts";
import { DERIVED_DIMENSIONS, DIMENSIONS } from "../../src/kernel/call.ts";
import { MISUSE_CODES } from "../../src/kernel/errors.ts";
import { CALL_EVENTS, EVENTS } from "../../src/events.ts";
import { METRICS, prometheusName } from "../../src/metrics/table.ts";
import { openApiDocument } from "../../scripts/openapi-document.ts";
import { PROBLEMS } from "../../src/http/problem-table.ts";
import { STORE_ERROR_CODES } from "../../src/store/error.ts";
import { type Field, publicNames } from "./public-names.ts";
import { keysOf } from "../../scripts/reference/schema-keys.ts";

const CAMEL = /^[a-z][a-zA-Z0-9]*$/;
const KEBAB = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
const SNAKE = /^[a-z][a-z0-9_]*$/;

/** Names that others gave: a client's, a schema's, a draft's, JavaScript's. */
const FOREIGN = new Set(["$queryRawUnsafe", "$transaction", "$schema", "violated-policies"]);

interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly pattern?: string;
}

/** A field, wherever it is public, and what it can be. */
interface Place {
  /** Where it is, as a reader finds it: `tollgate Verdict.quota`. */
  readonly where: string;
  readonly name: string;
  readonly isOptional: boolean;
  readonly types: readonly string[];
}

function placesOf(where: string, fields: readonly Field[]): Place[] {
  return fields.flatMap(({ name, isMethod, isOptional, types, fields: inner }) => {
    const place = { where: `${where}.${name}`, name, isOptional, types: isMethod ? ["function"] : types };
    return [place, ...placesOf(place.where, inner)];
  });
}

function placesIn(where: string, { properties = {}, required = [], anyOf = [], items }: Schema): Place[] {
  const own = Object.entries(properties).flatMap(([name, schema]) => {
    const place = { where: `${where}.${name}`, name, isOptional: !required.includes(name), types: typesOf(schema) };
    return [place, ...placesIn(place.where, schema)];
  });
  return [
    ...own,
    ...anyOf.flatMap((each) => placesIn(where, each)),
    ...(items === undefined ? [] : placesIn(where, items)),
  ];
}

function typesOf({ type, const: value, enum: values, anyOf = [] }: Schema): string[] {
  if (value !== undefined) return [JSON.stringify(value)];
  if (values !== undefined) return values.map((each) => JSON.stringify(each));
  if (anyOf.length > 0) return anyOf.flatMap(typesOf);
  return [type ?? "any"].flat().map((each) => (each === "integer" ? "number" : each));
}

function whereOf(places: readonly Place[]): string[] {
  return places.map(({ where }) => where);
}

function wordsIn(places: readonly Place[]): [where: string, word: string][] {
  return places.flatMap(({ where, types }) => {
    return types.filter((type) => type.startsWith('"')).map((type): [string, string] => [where, JSON.parse(type)]);
  });
}

describe("the conventions of docs/conventions.md", async () => {
  const names = await publicNames();
  const { schemas } = JSON.parse(JSON.stringify(openApiDocument(ALL_ROUTES))).components as {
    schemas: Readonly<Record<string, Schema>>;
  };
  const inCode = names.flatMap(({ subpath, name, fields }) => placesOf(`${subpath} ${name}`, fields));
  const overHttp = Object.entries(schemas).flatMap(([name, schema]) => placesIn(`HTTP ${name}`, schema));
  const places = [...inCode, ...overHttp];
  const inPolicies = [policySchemaJson(), policyTestSchemaJson()].map((text) => JSON.parse(text) as Schema);

  it("1. durations and instants are whole milliseconds, and end in Ms and AtMs", () => {
    const ofTime =
      /(?:after|until|since|deadline|delay|duration|timeout|interval|lease|wait|age|window|ttl|seconds?|time|at)$/i;
    const wrong = places.filter(({ name, types }) => types.includes("number") && ofTime.test(name));
    assert.deepEqual(whereOf(wrong), []);
    const inMs = places.filter(({ name }) => /(?:MS|Ms|Millis|Msec)$/.test(name));
    assert.ok(inMs.length > 40);
    for (const { where, name, types } of inMs) {
      assert.match(name, /Ms$/, where);
      assert.ok(
        types.every((type) => /^(?:number|null|function)$/.test(type)),
        where,
      );
    }
  });

  it("2. null means absent: no field is both nullable and optional", () => {
    const both = places.filter(({ isOptional, types }) => isOptional && types.includes("null"));
    // What `request.headers.get` gives is handed over as it is.
    assert.deepEqual(whereOf(both), ["tollgate/adapters/address AddressOptions.forwardedFor"]);
  });

  it("3. booleans are for yes and no: none has a third value", () => {
    const isMixed = ({ types }: Place) =>
      types.some((type) => /^(?:true|false|boolean)$/.test(type)) &&
      types.some((type) => /^(?:"|string|number)/.test(type));
    // What a test expects of a notice: that there is one, that there is none, or a part of its text.
    assert.deepEqual(whereOf(places.filter(isMixed)), ["tollgate/testing PolicyTestCall.notice"]);
  });

  it("4. unlimited is a word in input, and null in output", () => {
    const both = places.filter(({ types }) => types.includes('"unlimited"') && types.includes("null"));
    assert.deepEqual(whereOf(both), []);
    const outputs = places.filter(({ name, where }) => {
      return /^(?:quota|capacity|remaining)$/.test(name) && /(?:Verdict|Usage)\./.test(where);
    });
    assert.ok(outputs.length >= 9);
    for (const { where, types } of outputs) assert.deepEqual(types.toSorted(), ["null", "number"], where);
    const inputs = inPolicies.flatMap(keysOf).filter((line) => /(?:\bquota|\.default|\.max)(?::|$)/.test(line));
    assert.ok(inputs.length >= 3);
    for (const line of inputs) assert.match(line, /\bunlimited\b/);
  });

  it("5. keys are camelCase, words and codes kebab-case, dimensions and units snake_case, variables TOLLGATE_UPPER", () => {
    const keys = [...places, ...inPolicies.flatMap((schema) => placesIn("policy", schema))];
    assert.deepEqual(whereOf(keys.filter(({ name }) => !CAMEL.test(name) && !FOREIGN.has(name))), []);
    const words = [
      ...wordsIn(keys),
      ...names.flatMap(({ name, words: own }) => own.map((word): [string, string] => [name, word])),
      ...[...MISUSE_CODES, ...STORE_ERROR_CODES, ...Object.keys(PROBLEMS)].map((code): [string, string] => [
        "code",
        code,
      ]),
    ];
    assert.ok(words.length > 100);
    // A word that is a link, and the names of classes.
    const isForeign = ([where, word]: [string, string]) => /^https:/.test(word) || where.endsWith("Error.name");
    assert.deepEqual(
      words.filter((each) => !KEBAB.test(each[1]) && !isForeign(each)),
      [],
    );
    for (const name of [...DIMENSIONS, ...DERIVED_DIMENSIONS]) assert.match(name, SNAKE);
    for (const { name } of names) assert.match(name, /^(?:[a-z][a-zA-Z0-9]*|[A-Z][a-zA-Z0-9]*|[A-Z][A-Z_]*)$/);
    const cli = readFileSync(new URL("cli.snapshot.txt", import.meta.url), "utf8");
    for (const [, variable = ""] of cli.matchAll(/ (TOLL\w+)$/gm)) assert.match(variable, /^TOLLGATE_[A-Z_]+$/);
    for (const [, option = ""] of cli.matchAll(/^ +(--\S+)/gm)) assert.match(option, /^--[a-z]+(?:-[a-z]+)*$/);
  });

  it("5. events are a noun, a full stop and what has happened", () => {
    for (const name of [...Object.keys(EVENTS), ...Object.keys(CALL_EVENTS)])
      assert.match(name, /^[a-z]+\.[a-z]+(?:_[a-z]+)*$/);
  });

  it("5. metrics are dotted for OpenTelemetry, have underscores for Prometheus, and count time in seconds", () => {
    for (const metric of METRICS) {
      assert.match(metric.name, /^tollgate(?:\.[a-z]+(?:_[a-z]+)*)+$/);
      assert.match(prometheusName(metric), /^tollgate(?:_[a-z]+)+$/);
      assert.doesNotMatch(`${metric.name} ${metric.unit}`, /_ms\b|\bms\b|milli/);
      for (const label of metric.labels) assert.match(label, SNAKE);
    }
  });

  it("6. what happens in a case is named on and the case", () => {
    const lines = keysOf(inPolicies[0] as Schema);
    const actions = lines.filter((line) => /: .*\b(?:allow|deny|charge|refund|skip|error)\b/.test(line));
    assert.ok(actions.length >= 5);
    const isSwitch = (line: string) => /\bon[A-Z][a-zA-Z]+:/.test(line);
    assert.deepEqual(
      actions.filter((line) => !isSwitch(line)),
      [],
    );
    const listeners = places.filter(({ name }) => /^(?:listener|callback|handler|handle[A-Z]\w*)$/.test(name));
    assert.deepEqual(whereOf(listeners), []);
  });

  it("7. cost is the estimate before a call, and usage what it took", () => {
    const bodies = Object.entries(schemas).filter(([, { properties = {} }]) => "holdId" in properties);
    assert.ok(bodies.some(([, { properties = {} }]) => "usage" in properties));
    for (const [name, { properties = {} }] of bodies) assert.ok(!("cost" in properties), name);
    const ends = inCode.filter(({ where }) => /(?:PolicyTestEnd|PolicyTestEnding|Settlement)\./.test(where));
    assert.ok(ends.length > 0);
    assert.deepEqual(whereOf(ends.filter(({ name }) => name === "cost")), []);
  });

  it("8. a code is in one table", () => {
    const [misuse, store] = [new Set<string>(MISUSE_CODES), new Set<string>(STORE_ERROR_CODES)];
    assert.deepEqual(
      [...misuse].filter((code) => store.has(code)),
      [],
    );
    for (const { name, words } of names) {
      if (name === "MisuseCode") assert.deepEqual(words, [...misuse].toSorted());
      if (name === "StoreErrorCode") assert.deepEqual(words, [...store].toSorted());
    }
  });

  it("9. unknown keys of a policy or a request are refused", () => {
    const limit = { name: "calls", per: ["session"], quota: 1 };
    for (const unknown of [
      { version: 1, limits: [limit], later: 1 },
      { version: 1, limits: [{ ...limit, later: 1 }] },
      { version: 2, limits: [limit] },
    ]) {
      const make = () => createLimiter({ policy: unknown as PolicyInput, store: memoryStore() });
      assert.throws(make, (error: unknown) => MisuseError.isInstance(error) && error.code === "invalid-policy");
    }
    for (const { path } of ALL_ROUTES)
      assert.match(
        path.replace(/:(\w+)$/, "{$1}"),
        /^\/(?:v1\/[a-z-]+(?:\/[a-z-]+|\/\{\w+\})*|[a-z.-]+(?:\/[\w{}.-]+)*)?$/,
        path,
      );
  });
});
