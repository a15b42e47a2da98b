// Cloudflare's rate limit binding in front of the Worker, as docs/cloudflare.md shows it, in real workerd.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { createRemoteLimiter } from "tollgate/client";
import { makeKey } from "../../src/service/key-file.ts";
import { ROOT } from "../sources.ts";
import { type RateLimit, startWorker } from "./workerd.ts";

const page = readFileSync(`${ROOT}docs/cloudflare.md`, "utf8");
const [, section = ""] = page.split("\n## The rate limit binding\n");
const [, code = ""] = /```js\n([\s\S]*?)```/.exec(section) ?? [];
const [, config = ""] = /```jsonc\n([\s\S]*?)```/.exec(section) ?? [];
const [{ name, namespace_id, simple }] = JSON.parse(`{${config}}`).ratelimits;

const keys = Array.from({ length: 4 }, () => makeKey({ scopes: ["decide", "read"] }));
const LIMIT = 5;

const worker = await startWorker({
  code,
  className: "TollgateObject",
  flags: [],
  bindings: { TOLLGATE_KEYS: JSON.stringify({ version: 1, keys: keys.map(({ stored }) => stored) }) },
  ratelimits: { [name]: { namespace_id, simple: { ...simple, limit: LIMIT } } satisfies RateLimit },
  plugins: [
    {
      name: "policy",
      setup: ({ onResolve }) =>
        onResolve({ filter: /policy\.json$/ }, () => ({ path: `${ROOT}examples/cloudflare/src/policy.json` })),
    },
  ],
});

function ask(path: string, { key }: { readonly key: string }, body?: unknown): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const posted = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return fetch(new URL(path, worker.url), { headers, ...posted });
}

/** The statuses of more calls than the limit of the binding, and what Tollgate has counted. */
async function flood(key: { readonly key: string }, session: string) {
  const statuses = [];
  const consume = async (turn: number) => {
    return (await ask("/v1/consume", key, { call: { tool: "search", session, turn } })).status;
  };
  for (let turn = 1; turn < LIMIT; turn++) statuses.push(await consume(turn));
  const usages = await (await ask(`/v1/usage?session=${session}&tool=search`, key)).json();
  const { items } = usages as { readonly items: readonly { readonly used: number }[] };
  for (let turn = 1; turn < LIMIT; turn++) statuses.push(await consume(turn));
  return { statuses, used: items.map(({ used }) => used) };
}

describe("the rate limit binding in front of the Worker", () => {
  const [one, other, ...more] = keys.map(({ key }) => ({ key })) as [{ key: string }, { key: string }];

  it("refuses the requests of one key past its limit, and asks no object for them", async () => {
    const minute = () => Math.floor(Date.now() / 60_000);
    for (const [i, key] of [one, ...more].entries()) {
      const begun = minute();
      const { statuses, used } = await flood(key, `s${i}`);
      // Its windows are whole minutes: one that has begun in between is another quota.
      if (minute() !== begun) continue;
      assert.deepEqual(statuses, [200, 200, 200, 200, 429, 429, 429, 429]);
      assert.deepEqual(used, [LIMIT - 1]);
      return;
    }
    assert.fail("each flood was at the end of a minute");
  });

  it("counts each key by itself", async () => {
    const answer = await ask("/v1/consume", other, { call: { tool: "search", session: "other", turn: 1 } });
    assert.equal(answer.status, 200);
  });

  it("is a service that does not answer for tollgate/client", async () => {
    const limiter = createRemoteLimiter({ url: worker.url, apiKey: other.key, deadlineMs: 1_000 });
    const calls = async () => {
      for (let turn = 1; turn < 2 * LIMIT; turn++) await limiter.consume({ tool: "search", session: "other", turn });
    };
    await assert.rejects(calls(), { code: "unavailable" });
    await limiter.close();
  });
});
