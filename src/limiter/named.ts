// What is named by hand: a bucket, by its limit and dimensions. A name that is wrong is answered with how to write it.

import { formatGot, MisuseError } from "../kernel/errors.ts";
import type { Limit } from "../kernel/limit.ts";
import { typoHint } from "../kernel/spelling.ts";

/**
 * Refuses a bucket that is given as anything but one object, before what follows it is taken for options.
 *
 * @throws MisuseError `invalid-call`
 */
export function checkBucket(verb: "reset" | "grant" | "revoke", bucket: unknown): void {
  if (typeof bucket === "object" && bucket !== null) return;
  const rest = { reset: "", grant: ", { id, units, durationMs }", revoke: ", id" }[verb];
  const name = typeof bucket === "string" ? JSON.stringify(bucket.slice(0, 64)) : '"name"';
  throw new MisuseError("invalid-call", {
    path: "bucket",
    expected: "one object with the limit and its dimensions",
    got: formatGot(bucket),
    hint: `Write ${verb}({ limit: ${name}, session: "…" }${rest}), with all dimensions of the limit's per.`,
  });
}

/**
 * The limit of a name.
 *
 * @throws MisuseError `unknown-limit`
 */
export function limitNamed(limits: readonly Limit[], name: unknown): Limit {
  const limit = limits.find((each) => each.name === name);
  if (limit !== undefined) return limit;
  const names = limits.map((each) => each.name);
  const hint = name === undefined ? { hint: 'Write limit: "name" beside the dimensions.' } : typoHint(name, names);
  const expected = `one of the policy's limits: ${names.join(", ")}`;
  throw new MisuseError("unknown-limit", { path: "limit", expected, got: formatGot(name), ...hint });
}
