// Reads of the decision log that wait for an entry. The log writes once a minute unless something asks for more.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { memoryLog } from "tollgate/log";
import { MAX_WAITING } from "../../src/service-log/fresh.ts";
import { logPart } from "../../src/service-log/log.ts";
import { served } from "./served.ts";

const POLICY = "version: 1\nlimits: [{ name: per-session, per: [session], quota: 2 }]";
const servedLog = () => {
  const log = memoryLog({ flushMs: 60_000 });
  return served({ policy: POLICY, log, parts: [logPart(log)] });
};
const { ask, post } = await servedLog();
const call = async (session: string, tool = "search") => (await post("/v1/consume", { call: { tool, session } })).json;
const endOf = async () => (await ask("GET", "/v1/decisions?pageSize=1")).json.lastPosition as string;
const LONG = "waitMs=20000";

describe("a read of the log", () => {
  it("sees what was decided before it", async () => {
    const { id } = await call("s1");
    const { items } = (await ask("GET", "/v1/decisions?session=s1")).json;
    assert.deepEqual([items.length, items[0]?.id], [1, id]);
    const { id: next } = await call("s1");
    assert.equal((await ask("GET", `/v1/explain/${next}`)).status, 200);
    await call("s1");
    const { items: sessions } = (await ask("GET", "/v1/sessions?prefix=s1")).json;
    assert.equal(sessions[0].calls, 3);
  });

  it("waits for an entry that it asks for", async () => {
    let isAnswered = false;
    const waiting = ask("GET", `/v1/decisions?after=${await endOf()}&allowed=false&${LONG}`).then((answer) => {
      isAnswered = true;
      return answer.json;
    });
    await call("s2");
    await call("s2");
    await ask("GET", "/v1/decisions?session=s2");
    assert.ok(!isAnswered, "two calls were allowed");
    const { id } = await call("s2");
    const page = await waiting;
    assert.deepEqual([page.items.length, page.items[0].id], [1, id]);
    const { items } = (await ask("GET", `/v1/decisions?after=${page.lastPosition}`)).json;
    assert.deepEqual(items, []);
  });

  it("waits no longer than it is asked to", async () => {
    const after = await endOf();
    const { items, lastPosition } = (await ask("GET", `/v1/decisions?after=${after}&waitMs=30`)).json;
    assert.deepEqual([items, lastPosition], [[], after]);
  });

  it("waits only for what comes after a position", async () => {
    const { status, json } = await ask("GET", "/v1/decisions?waitMs=1000");
    assert.deepEqual([status, json.faults[0].path], [400, "after"]);
    assert.equal((await ask("GET", "/v1/decisions?after=0&waitMs=30001")).status, 400);
  });

  it("is answered at once where too many wait, and makes room when its client has gone", async () => {
    const path = `/v1/decisions?after=${await endOf()}&session=s3`;
    const gone = new AbortController();
    const waiting = Array.from({ length: MAX_WAITING }, () =>
      ask("GET", `${path}&${LONG}`, { signal: gone.signal }).catch(() => null),
    );
    // It is answered at once only when all others wait.
    while ((await answerMs(`${path}&waitMs=100`)) >= 100);
    gone.abort();
    await Promise.all(waiting);
    while ((await answerMs(`${path}&waitMs=100`)) < 100);
  });

  it("does not keep the service from closing", async () => {
    const other = await servedLog();
    const { lastPosition } = (await other.ask("GET", "/v1/decisions")).json;
    const waiting = other.ask("GET", `/v1/decisions?after=${lastPosition}&${LONG}`);
    await other.ask("GET", "/v1/me");
    const fromMs = performance.now();
    await other.close();
    assert.equal((await waiting).status, 200);
    assert.ok(performance.now() - fromMs < 5_000);
  });
});

async function answerMs(path: string): Promise<number> {
  const fromMs = performance.now();
  assert.equal((await ask("GET", path)).status, 200);
  return performance.now() - fromMs;
}
