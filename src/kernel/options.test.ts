// Tables of options: what is refused, and what is filled in.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MisuseError } from "./errors.ts";
import {
  callback,
  choice,
  flag,
  having,
  checked,
  readOptions,
  required,
  type TableOf,
  nonEmpty,
  unchecked,
  whole,
} from "./options.ts";

interface Example {
  readonly url: string;
  readonly deadlineMs?: number | undefined;
  readonly mode?: "fast" | "slow" | undefined;
  readonly loud?: boolean | undefined;
  readonly log?: { info(): void } | undefined;
  readonly onEvent?: (() => void) | undefined;
  readonly even?: number | undefined;
  readonly key?: string | undefined;
  readonly rest?: object | undefined;
}

const TABLE = {
  url: required(nonEmpty("a url")),
  deadlineMs: whole(10, 60_000, 1_000),
  mode: choice(["fast", "slow"], "fast"),
  loud: flag(false),
  log: having<{ info(): void }>("info", "a log"),
  onEvent: callback<() => void>(),
  even: checked<number>("an even number", (value) => Number(value) % 2 === 0),
  key: { ...nonEmpty("a key"), accepts: (value): value is string => value === "right", isSecret: true },
  rest: unchecked<object>(),
} satisfies TableOf<Example>;

describe("a table of options", () => {
  it("fills in missing options", () => {
    const { url, deadlineMs, mode, loud, log, onEvent, even, key, rest } = readOptions(TABLE, { url: "http://a" });
    // The types know which options have a default.
    const known: readonly [string, number, "fast" | "slow", boolean] = [url, deadlineMs, mode, loud];
    assert.deepEqual(known, ["http://a", 1_000, "fast", false]);
    assert.deepEqual([log, onEvent, even, key, rest], Array(5).fill(undefined));
  });

  it("keeps given options", () => {
    const given = {
      url: "http://a",
      deadlineMs: 10,
      mode: "slow",
      loud: true,
      log: { info() {} },
      onEvent() {},
      even: 4,
      key: "right",
      rest: {},
    };
    assert.deepEqual(readOptions(TABLE, given), given);
  });

  it("refuses values by path, with what was expected and what was found", () => {
    const cases: readonly (readonly [given: unknown, message: string])[] = [
      [null, "options: expected an object, got null"],
      [{ url: "a", speed: 1 }, `options: expected only ${Object.keys(TABLE).join(", ")}, got "speed"`],
      [{}, "url: expected a url, got nothing"],
      [{ url: "" }, 'url: expected a url, got ""'],
      [{ url: "a", deadlineMs: 9 }, "deadlineMs: expected a whole number from 10 to 60000, got 9"],
      [{ url: "a", deadlineMs: 60_001 }, "deadlineMs: expected a whole number from 10 to 60000, got 60001"],
      [{ url: "a", deadlineMs: 10.5 }, "deadlineMs: expected a whole number from 10 to 60000, got 10.5"],
      [{ url: "a", deadlineMs: null }, "deadlineMs: expected a whole number from 10 to 60000, got null"],
      [{ url: "a", mode: "quick" }, 'mode: expected fast or slow, got "quick"'],
      [{ url: "a", loud: 1 }, "loud: expected true or false, got 1"],
      [{ url: "a", log: {} }, "log: expected a log, got {}"],
      [{ url: "a", log: "info" }, 'log: expected a log, got "info"'],
      [{ url: "a", onEvent: {} }, "onEvent: expected a function, got {}"],
      [{ url: "a", even: 3 }, "even: expected an even number, got 3"],
      [{ url: "a", key: "hush" }, "key: expected a key, got another text"],
      [{ url: "a", key: "" }, 'key: expected a key, got ""'],
    ];
    for (const [given, message] of cases) {
      assert.throws(
        () => readOptions(TABLE, given),
        (error) => MisuseError.isInstance(error) && error.code === "invalid-option" && error.message === message,
        message,
      );
    }
  });

  it("names options inside an option by both", () => {
    const table = { size: whole(1, 2) };
    assert.throws(() => readOptions(table, { size: 3 }, "bounds"), /^MisuseError: bounds\.size: expected a whole/);
    assert.throws(
      () => readOptions(table, { more: 3 }, "bounds"),
      /^MisuseError: bounds: expected only size, got "more"/,
    );
  });
});
