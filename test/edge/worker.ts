// The Worker of the tests: each route runs something inside workerd, and answers with JSON.

import { DurableObject } from "cloudflare:workers";
import { storeCases } from "../../src/testing/store-cases.ts";
import { fakeClock } from "../../src/testing/fake-clock.ts";
import { durableObjectStore, type ObjectNamespace, TollgateObject } from "../../src/edge/edge.ts";
import { inPartition } from "../stores/in-partition.ts";

interface Env {
  readonly TOLLGATE: ObjectNamespace;
  readonly COUNTER: ObjectNamespace;
}

export class TestObject extends TollgateObject {}

export class CounterObject extends DurableObject {}

type Route = (env: Env, body: never) => unknown;

const routes: Record<string, Route> = {
  async case({ TOLLGATE: namespace }, name: string) {
    const found = storeCases.find((each) => each.name === name);
    const clock = fakeClock();
    const partition = crypto.randomUUID();
    const open = () => inPartition(durableObjectStore({ namespace, clock, deadlineMs: 10_000 }), partition);
    const store = open();
    await found?.run({ store, advance: clock.advance, another: open });
    await store.close();
    return found?.name ?? null;
  },
};

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const route = routes[new URL(request.url).pathname.slice(1)];
    if (route === undefined) return new Response("There is no such route.", { status: 404 });
    try {
      return Response.json((await route(env, (await request.json()) as never)) ?? null);
    } catch (error) {
      return new Response(error instanceof Error ? error.stack : String(error), { status: 500 });
    }
  },
};
