import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SCOPES } from "../../src/service/keys.ts";
import { ROUTES } from "../../src/service/routes.ts";
import { bodyFor, keysOf, served } from "./served.ts";

const { keys, texts } = keysOf({
  decide: { scopes: ["decide"] },
  read: { scopes: ["read"] },
  admin: { scopes: ["admin"] },
  quotas: { scopes: ["quotas"] },
  all: { scopes: SCOPES },
});
const { ask } = await served({ keys });
const [id, secret] = [texts.all?.split("_")[1], texts.all?.split("_")[2]];
const wrong: Record<string, string | undefined> = {
  "no key": undefined,
  "an unknown id": `tg_unknown_${secret}`,
  "another's secret": `tg_${id}_${texts.read?.split("_")[2]}`,
  "half a secret": `tg_${id}_${secret?.slice(0, 20)}`,
  "no key at all": "secret",
};

/** A caller that closes a stream when it gets one. */
async function statusOf(method: string, path: string, key: string | undefined): Promise<number> {
  const ends = new AbortController();
  const body = bodyFor(path);
  const more = { key, signal: ends.signal, ...(body === undefined ? {} : { body }) };
  if (path !== "/v1/events") return (await ask(method, path, more)).status;
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(`${url}${path}`, { headers, signal: ends.signal });
  ends.abort();
  return response.status;
}

const { url } = await served({ keys });

describe("access", () => {
  for (const { method, path, scope } of ROUTES) {
    if (scope === null) {
      it(`${method} ${path} needs no key`, async () => {
        assert.ok((await statusOf(method, path, undefined)) < 400);
      });
      continue;
    }
    it(`${method} ${path} needs a key`, async () => {
      for (const [what, key] of Object.entries(wrong)) assert.equal(await statusOf(method, path, key), 401, what);
    });
    for (const each of SCOPES) {
      it(`${method} ${path} ${each === scope ? "accepts" : "refuses"} the scope ${each}`, async () => {
        const status = await statusOf(method, path, texts[each]);
        // What a made-up hold comes to is not about who asks.
        if (each === scope) assert.ok(status < 400 || status === 409, String(status));
        else assert.equal(status, 403);
      });
    }
  }

  it("is refused with problems that explain how to send a key", async () => {
    const { json, headers } = await ask("POST", "/v1/consume", { body: bodyFor("/v1/consume") });
    assert.equal(headers.get("content-type"), "application/problem+json");
    assert.equal(headers.get("www-authenticate"), "Bearer");
    assert.deepEqual([json.status, json.code], [401, "unauthorized"]);
    assert.doesNotMatch(JSON.stringify(json), new RegExp(secret ?? "none"));
  });

  it("is checked before the body is read", async () => {
    const { status } = await ask("POST", "/v1/consume", { body: "{", key: "tg_no_body" });
    assert.equal(status, 401);
  });
});
