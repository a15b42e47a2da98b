// Many acts in one request. All run at once, so that a store that takes batches gets one; each has an answer of its own.

import * as v from "valibot";
import { runFor } from "./acts/as-caller.ts";
import { problemSchema } from "../http/answers.ts";
import { parseBy } from "./body.ts";
import type { Asking } from "./context.ts";
import { invalidBody, invalidHeader, kindOf } from "./problems.ts";
import { closed, listOf, listTo, named, open, whole } from "../http/schema-parts.ts";
import { type Entries, type ObjectSchema, type Schema, wordOf } from "../kernel/policy/schema-kinds.ts";
import type { Route } from "./route.ts";

const MAX_ITEMS = 1_000;

interface ItemAnswer {
  readonly status: number;
  readonly body: unknown;
}

interface Op extends Pick<Route, "run"> {
  readonly schema: Schema;
}

type Ops = ReadonlyMap<string, Op>;

interface BatchBody {
  readonly items: readonly unknown[];
}

/** The route for batches of what these routes do. */
export function batchRoute(routes: readonly Route[]): Route {
  const ops = new Map<string, Op>();
  const items: Schema[] = [];
  const answers = new Set<Schema>();
  for (const { path, request, response, run } of routes) {
    const name = path.slice("/v1/".length);
    // A batch waits for none of its items.
    const { maxWaitMs: _, ...shape } = (request as ObjectSchema<Entries>).entries;
    const schema = named(`Batch_${name}`, closed({ op: wordOf(name, [name]), ...shape }));
    items.push(schema);
    answers.add(response as Schema);
    ops.set(name, { schema, run });
  }
  // Schemas ignore unknown fields: a decision with a hold comes before a decision.
  const answer = v.union([...[...answers].reverse(), problemSchema]);
  return {
    method: "POST",
    path: "/v1/batch",
    operationId: "batch",
    scope: "decide",
    summary: "Up to 1,000 of these at once, answered in order, each with a status and a body of its own",
    request: named("Batch", closed({ items: listTo(MAX_ITEMS, v.union(items)) })),
    // Each item is checked by itself, so that one that is wrong fails alone.
    reads: closed({ items: listTo(MAX_ITEMS, v.unknown()) }),
    response: named("BatchAnswer", open({ items: listOf(open({ status: whole(), body: answer })) })),
    run: (asking, body) => runAll(ops, asking, body as BatchBody),
  };
}

async function runAll(ops: Ops, asking: Asking, { items }: BatchBody): Promise<{ readonly items: ItemAnswer[] }> {
  if (asking.request.headers.has("idempotency-key")) {
    throw invalidHeader("an idempotencyKey in each item", "a header");
  }
  const { maxBatchItems } = asking.context.bounds;
  if (items.length > maxBatchItems) throw invalidBody("items", `at most ${maxBatchItems}`, kindOf(items));
  return { items: await Promise.all(items.map((item) => runOne(ops, asking, item))) };
}

async function runOne(ops: Ops, asking: Asking, item: unknown): Promise<ItemAnswer> {
  try {
    const name = typeof item === "object" && item !== null && "op" in item ? item.op : undefined;
    const op = typeof name === "string" ? ops.get(name) : undefined;
    if (op === undefined) throw invalidBody("op", [...ops.keys()].join(", "), kindOf(name));
    const { op: _, ...body } = parseBy(op.schema, item) as { readonly op: string };
    const answer = await runFor(asking, () => op.run(asking, body));
    return { status: answer === null ? 204 : 200, body: answer };
  } catch (error) {
    const { problem } = asking.context.problemFor(error, asking.request, "call");
    return { status: problem.status, body: problem };
  }
}
