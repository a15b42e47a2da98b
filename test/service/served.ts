// A service that listens, for tests: made on a free port, closed with the test file, asked over HTTP.

import { hash } from "node:crypto";
import { after } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { readBy, type Schema } from "../../src/kernel/policy/schema-kinds.ts";
import { createService, type Service, type ServiceOptions } from "../../src/service/handler.ts";
import type { Key, Keys, Scope } from "../../src/service/keys.ts";
import { type Listening, type ListenOptions, listen, prometheusMetrics } from "../../src/service/node.ts";
import type { Route } from "../../src/service/route.ts";
import { ROUTES } from "../../src/service/routes.ts";
import { memoryStore } from "../../src/stores/memory.ts";

const endings: (() => Promise<void>)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

export interface Served extends Listening {
  readonly service: Service;
  ask(method: string, path: string, more?: AskOptions): Promise<Answer>;
  post(path: string, body: unknown, more?: AskOptions): Promise<Answer>;
}

export interface AskOptions {
  readonly body?: unknown;
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they know to be there.
  readonly json: any;
}

export const POLICY = `
version: 1
tools: { search: { group: T1 }, book: { group: T2, cost: { tokens: 10 } } }
limits:
  - { name: per-session, per: [session], quota: 5 }
  - { name: tokens, per: [session], unit: tokens, quota: 100 }
  - { name: user-rate, per: [user], onMissing: skip, algorithm: token-bucket, quota: 10, window: 1s, burst: 2 }
  - { name: failing, per: [session, tool], algorithm: streak, of: errors, quota: 3, resetAfterIdle: 1h }
  - { name: per-tool, per: [tool], quota: 1000000 }
`;

/** Serves a policy, on memory and without keys unless told otherwise. */
export async function served(options: Partial<ServiceOptions> = {}, listening: ListenOptions = {}): Promise<Served> {
  const service = createService({
    policy: POLICY,
    store: memoryStore(),
    keys: false,
    metrics: prometheusMetrics(),
    ...options,
  });
  const listener = await listen(service, { port: 0, ...listening });
  endings.push(() => listener.close());
  const ask = async (method: string, path: string, more: AskOptions = {}): Promise<Answer> => {
    const { body, key, headers, signal } = more;
    const response = await fetch(listener.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    const text = await response.text();
    const isJson = text !== "" && /json/.test(response.headers.get("content-type") ?? "");
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
  };
  return { ...listener, service, ask, post: (path, body, more) => ask("POST", path, { ...more, body }) };
}

/** Keys of a test's own, by what they may do. */
export function keysOf(granted: Readonly<Record<string, { scopes: readonly Scope[]; tenants?: readonly string[] }>>): {
  readonly keys: Keys;
  readonly texts: Readonly<Record<string, string>>;
} {
  const known = new Map<string, Key>();
  const texts: Record<string, string> = {};
  for (const [id, { scopes, tenants = null }] of Object.entries(granted)) {
    const secret = Buffer.from(id.padEnd(32, "x")).toString("base64url");
    texts[id] = `tg_${id}_${secret}`;
    known.set(id, { id, sha256: hashOf(secret), scopes: new Set(scopes), tenants });
  }
  return { keys: { find: (id) => known.get(id), close: () => {} }, texts };
}

function hashOf(secret: string): Uint8Array {
  return hash("sha256", secret, "buffer");
}

export function routeOf(path: string): Route {
  const route = ROUTES.find((each) => each.path === path);
  if (route === undefined) throw new Error(`no route ${path}`);
  return route;
}

/** Whether a body is what the route says that it answers, without further fields. */
export function fits(path: string, body: unknown): boolean {
  return isExactly(routeOf(path).response as Schema, body);
}

/** Whether a body fits a schema, without further fields, which the schema leaves out. */
export function isExactly(schema: Schema, body: unknown): boolean {
  const read = readBy(schema, body);
  return "value" in read && isDeepStrictEqual(read.value, body);
}

/** A body that a route takes. */
export function bodyFor(path: string): unknown {
  const call = { tool: "search", session: "s1", user: "u1" };
  const bucket = { limit: "per-session", dimensions: { session: "s1" } };
  const hold = { holdId: "h-1", call: { ...call, tool: "book" } };
  const bodies: Record<string, unknown> = {
    "/v1/consume": { call },
    "/v1/record": { call },
    "/v1/peek": { call },
    "/v1/reserve": { call: { tool: "book", session: "s2" } },
    "/v1/begin": { call: { tool: "book", session: "s2" } },
    "/v1/settle": { ...hold, usage: { calls: 1 } },
    "/v1/release": hold,
    "/v1/extend": hold,
    "/v1/report": { call, error: true },
    "/v1/end": { ...hold, holdId: "run-1", error: true },
    "/v1/batch": { items: [{ op: "peek", call }] },
    "/v1/grant": { ...bucket, grant: { id: "g1", units: 5, durationMs: 60_000 } },
    "/v1/revoke": { ...bucket, id: "g1" },
    "/v1/reset": bucket,
  };
  return bodies[path];
}
