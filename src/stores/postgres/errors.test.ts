import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isConnectionLost, postgresError, SilentError } from "./errors.ts";

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
    ["P0001", "unavailable", false],
    ["P1001", "unavailable", true],
  ];
  for (const [state, code, transient] of cases) {
    it(`${state ?? "none"} is ${code}, ${transient ? "for now" : "for good"}`, () => {
      const error = postgresError(Object.assign(new Error("failed"), state === undefined ? {} : { code: state }));
      assert.deepEqual([error.code, error.transient], [code, transient]);
    });
  }

  it("are made of errors that cannot be written as JSON", () => {
    const circular: { self?: unknown } = {};
    circular.self = circular;
    for (const more of [circular, { size: 1n }]) {
      assert.equal(postgresError(Object.assign(new Error("failed"), more)).message, "Postgres: failed");
    }
  });

  it("have the cause, where Node has it only in nested errors", () => {
    const causes = ["::1", "127.0.0.1"].map((host) => new Error(`connect ECONNREFUSED ${host}:5432`));
    const message = "Postgres: connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432";
    assert.equal(postgresError(new AggregateError(causes)).message, message);
    assert.equal(postgresError(Object.assign(new Error(""), { code: "EPIPE" })).message, "Postgres: EPIPE");
  });

  it("have the SQLSTATE, the server where it is known, and what to do", () => {
    const full = Object.assign(new Error("could not extend file"), { code: "53100" });
    assert.equal(
      postgresError(full, { where: " at db:5432" }).message,
      "Postgres at db:5432: could not extend file (53100; the server's disk is full)",
    );
  });
});

describe("a connection of Postgres", () => {
  const cases: [what: unknown, isLost: boolean][] = [
    [{ code: "57P01" }, true],
    [{ code: "25006" }, true],
    [{ code: "08006" }, true],
    [{ code: "25P03" }, true],
    [{ code: "23505" }, false],
    [{ code: "40P01" }, false],
    [{ code: "57014" }, false],
    [new Error("Query read timeout"), true],
    [new SilentError("", 500), true],
  ];
  for (const [error, isLost] of cases) {
    it(`is ${isLost ? "lost" : "kept"} after ${error instanceof Error ? error.message : JSON.stringify(error)}`, () => {
      assert.equal(isConnectionLost(error), isLost);
    });
  }
});
