// Many acts in one request. All are asked at once, so that a store that takes batches gets one; each has an answer of its own.

import { z } from "zod";
import { runFor } from "./acts/scope.ts";
import { problemSchema } from "./answer-schemas.ts";
import { parseBy } from "./body.ts";
import type { Asking, ServiceContext } from "./context.ts";
import { invalidBody, kindOf, ProblemError } from "./problems.ts";
import { words } from "./request-schemas.ts";
import type { Route } from "./route.ts";

const MAX_ITEMS = 1_000;

interface Item {
  readonly status: number;
  readonly body: unknown;
}

interface Op {
  readonly schema: z.ZodType;
  readonly run: Route["run"];
}

/** The route of batches of what these routes do. */
export function batchRoute(routes: readonly Route[]): Route {
  const ops = new Map<string, Op>();
  const items: z.ZodObject[] = [];
  const answers = new Set<z.ZodType>();
  for (const { path, request, item = request, response, run } of routes) {
    const name = path.slice("/v1/".length);
    const schema = words({ op: z.literal(name), ...(item as z.ZodObject).shape }).meta({ id: `Batch_${name}` });
    items.push(schema);
    answers.add(response as z.ZodType);
    ops.set(name, { schema, run });
  }
  const answer = z.union([...answers, problemSchema]);
  return {
    method: "POST",
    path: "/v1/batch",
    operationId: "batch",
    scope: "decide",
    summary: "Up to 1,000 of these at once, answered in order, each with a status and a body of its own",
    request: words({ items: z.array(z.union(items)).min(1).max(MAX_ITEMS) }).meta({ id: "Batch" }),
    // Each item is checked by itself, so that one that is wrong fails alone.
    reads: words({ items: z.array(z.unknown()).min(1).max(MAX_ITEMS) }),
    response: z
      .strictObject({ items: z.array(z.strictObject({ status: z.int(), body: answer })) })
      .meta({ id: "BatchAnswer" }),
    run: (context, asking, body) => runAll(ops, context, asking, body as { readonly items: readonly unknown[] }),
  };
}

async function runAll(
  ops: ReadonlyMap<string, Op>,
  context: ServiceContext,
  asking: Asking,
  { items }: { readonly items: readonly unknown[] },
): Promise<{ readonly items: readonly Item[] }> {
  if (asking.request.headers.has("idempotency-key")) {
    const faults = [{ path: "Idempotency-Key", expected: "an idempotencyKey in each item", got: "a header" }];
    throw new ProblemError("invalid-header", "A batch has a key for each item, and none for all.", { faults });
  }
  const { maxBatchItems } = context.bounds;
  if (items.length > maxBatchItems) {
    throw invalidBody([{ path: "items", expected: `at most ${maxBatchItems}`, got: kindOf(items) }]);
  }
  return { items: await Promise.all(items.map((item) => runOne(ops, context, asking, item))) };
}

async function runOne(
  ops: ReadonlyMap<string, Op>,
  context: ServiceContext,
  asking: Asking,
  item: unknown,
): Promise<Item> {
  try {
    const named = typeof item === "object" && item !== null && "op" in item ? item.op : undefined;
    const op = typeof named === "string" ? ops.get(named) : undefined;
    if (op === undefined) throw invalidBody([{ path: "op", expected: [...ops.keys()].join(", "), got: kindOf(named) }]);
    const { op: _, ...body } = parseBy(op.schema, item) as { readonly op: string };
    const answer = await runFor(context, asking.caller, () => op.run(context, asking, body));
    return { status: answer === null ? 204 : 200, body: answer };
  } catch (error) {
    const { problem } = context.failed(error, { request: asking.request, place: "call" });
    return { status: problem.status, body: problem };
  }
}
