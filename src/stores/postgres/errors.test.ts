import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { postgresError } from "./errors.ts";

describe("errors of Postgres", () => {
  const cases: [state: string | undefined, code: string, transient: boolean][] = [
    [undefined, "unavailable", true],
    ["ECONNREFUSED", "unavailable", true],
    ["EPIPE", "unavailable", true],
    ["08006", "unavailable", true],
    ["57P01", "unavailable", true],
    ["58030", "unavailable", true],
    ["53300", "unavailable", true],
    ["55P03", "busy", true],
    ["40001", "unavailable", true],
    ["23514", "unavailable", false],
    ["42883", "unavailable", false],
    ["0A000", "unavailable", false],
    ["42501", "unauthorized", false],
  ];
  for (const [state, code, transient] of cases) {
    it(`${state ?? "none"} is ${code}, ${transient ? "for now" : "for good"}`, () => {
      const error = postgresError(Object.assign(new Error("failed"), state === undefined ? {} : { code: state }));
      assert.deepEqual([error.code, error.transient], [code, transient]);
    });
  }
});
