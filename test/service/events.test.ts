import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { keysOf, POLICY, type Served, served } from "./served.ts";

interface Told {
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they know to be there.
  readonly data: any;
}

/** Reads the events of a stream until there are so many, or it ends. */
class Listener {
  readonly told: Told[] = [];
  readonly ended: Promise<void>;
  beats = 0;
  readonly #abort = new AbortController();

  constructor(response: Response, abort: AbortController) {
    this.#abort = abort;
    this.ended = this.#read(response).catch(() => {});
  }

  static async open({ url }: Served, query = "", key?: string): Promise<Listener> {
    const abort = new AbortController();
    const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(`${url}/v1/events${query}`, { signal: abort.signal, headers });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    return new Listener(response, abort);
  }

  async until(count: number): Promise<readonly Told[]> {
    for (let tries = 0; this.told.length < count && tries < 400; tries++) await sleep(10);
    return this.told;
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(response: Response): Promise<void> {
    let text = "";
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += new TextDecoder().decode(chunk);
      const frames = text.split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        if (frame.startsWith(":")) this.beats++;
        const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(frame) ?? [];
        if (event !== undefined && data !== undefined) this.told.push({ event, data: JSON.parse(data) });
      }
    }
  }
}

const listeners = async (server: Served) =>
  Number(/^tollgate_event_listeners (\d+)$/m.exec((await server.ask("GET", "/metrics")).text)?.[1]);

describe("events", () => {
  it("have decisions and denials, with dimensions and numbers", async () => {
    const server = await served();
    const listener = await Listener.open(server);
    const call = { tool: "search", session: "s1", cost: { calls: 5 }, args: { secret: 1 }, toolCallId: "call_1" };
    await server.post("/v1/consume", { call });
    await server.post("/v1/peek", { call });
    await server.post("/v1/consume", { call });
    const [decision, denial] = await listener.until(2);
    assert.deepEqual([decision?.event, denial?.event], ["call.allowed", "call.denied"]);
    assert.deepEqual(decision?.data.dimensions, { tool: "search", session: "s1" });
    assert.equal(decision?.data.decision.verdicts[0].remaining, 0);
    assert.equal(denial?.data.decision.allowed, false);
    listener.close();
  });

  it("are only of the requested types", async () => {
    const server = await served();
    const denials = await Listener.open(server, "?types=call.denied,policy.reloaded");
    await server.post("/v1/consume", { call: { tool: "search", session: "s1" } });
    await server.post("/v1/consume", { call: { tool: "search", session: "s1", cost: { calls: 6 } } });
    server.service.reload(POLICY.replace("quota: 5 }", "quota: 50 }"), { actor: "ann" });
    const told = await denials.until(2);
    const { version } = (await server.ask("GET", "/v1/policy")).json;
    assert.deepEqual(told, [
      { event: "call.denied", data: told[0]?.data },
      {
        event: "policy.reloaded",
        data: { version, restarted: [], added: [], removed: [], reason: null, actor: "ann" },
      },
    ]);
    denials.close();
    const wrong = await server.ask("GET", "/v1/events?types=call.denied,all");
    assert.deepEqual([wrong.status, wrong.json.code], [400, "invalid-query"]);
  });

  it("for a bound key are only of its tenants, in its own names", async () => {
    const { keys, texts } = keysOf({
      acme: { scopes: ["decide", "read"], tenants: ["acme"] },
      globex: { scopes: ["decide", "read"], tenants: ["globex"] },
      root: { scopes: ["read"] },
    });
    const server = await served({ keys });
    const [mine, all] = [await Listener.open(server, "", texts.acme), await Listener.open(server, "", texts.root)];
    const call = { tool: "search", session: "s1", user: "acme/me" };
    await server.post("/v1/consume", { call }, { key: texts.globex });
    await server.post("/v1/consume", { call }, { key: texts.acme });
    server.service.reload(POLICY);
    const everything = await all.until(3);
    assert.deepEqual(
      everything.map(({ event, data }) => data.dimensions?.session ?? event),
      ["globex/s1", "acme/s1", "policy.reloaded"],
    );
    await mine.until(1);
    await sleep(50);
    assert.deepEqual(
      mine.told.map(({ data }) => data.dimensions),
      [{ tool: "search", session: "s1", user: "acme/me", tenant: "acme" }],
    );
    mine.close();
    all.close();
  });

  it("have buckets that are changed by hand, for a bound key only its own", async () => {
    const { keys, texts } = keysOf({
      acme: { scopes: ["decide", "read", "admin"], tenants: ["acme"] },
      globex: { scopes: ["read", "admin"], tenants: ["globex"] },
      root: { scopes: ["read"] },
    });
    const server = await served({ keys });
    const types = "?types=bucket.reset,bucket.granted,bucket.revoked";
    const [mine, all] = [
      await Listener.open(server, types, texts.acme),
      await Listener.open(server, types, texts.root),
    ];
    const bucket = { limit: "per-session", dimensions: { session: "s1" } };
    const grant = { id: "g1", units: 3, durationMs: 60_000 };
    await server.post("/v1/grant", { ...bucket, grant, reason: "globex's" }, { key: texts.globex });
    await server.post("/v1/grant", { ...bucket, grant, reason: "a ticket" }, { key: texts.acme });
    await server.post("/v1/revoke", { ...bucket, id: "none" }, { key: texts.acme });
    await server.post("/v1/revoke", { ...bucket, id: "g1" }, { key: texts.acme });
    await server.post("/v1/reset", bucket, { key: texts.acme });
    assert.deepEqual(
      (await all.until(4)).map(({ event, data }) => [event, data.after.dimensions.session, data.reason, data.actor]),
      [
        ["bucket.granted", "globex/s1", "globex's", "key:globex"],
        ["bucket.granted", "acme/s1", "a ticket", "key:acme"],
        ["bucket.revoked", "acme/s1", null, "key:acme"],
        ["bucket.reset", "acme/s1", null, "key:acme"],
      ],
    );
    const [granted, revoked, reset] = await mine.until(3);
    assert.deepEqual(granted?.data.grant, grant);
    assert.equal(granted?.data.after.granted, 3);
    for (const each of [granted, revoked, reset]) assert.deepEqual(each?.data.after.dimensions, { session: "s1" });
    assert.deepEqual([revoked?.data.id, reset?.data.before.used, mine.told.length], ["g1", 0, 3]);
    for (const { data } of mine.told) assert.deepEqual(["reason" in data, "actor" in data], [false, false]);
    for (const each of [mine, all]) each.close();
  });

  it("have heartbeats, with which a revoked key is shut out", async () => {
    const { keys, texts } = keysOf({ reader: { scopes: ["read"] } });
    let isRevoked = false;
    const revocable = { ...keys, find: (id: string) => (isRevoked ? undefined : keys.find(id)) };
    const server = await served({ keys: revocable, bounds: { heartbeatMs: 100 } });
    const listener = await Listener.open(server, "", texts.reader);
    while (listener.beats < 2) await sleep(10);
    isRevoked = true;
    await listener.ended;
    assert.equal(await listeners(server), 0);
  });

  it("end with a heartbeat for a key whose tenants have changed", async () => {
    const before = keysOf({ reader: { scopes: ["read"] } });
    const after = keysOf({ reader: { scopes: ["read"], tenants: ["acme"] } });
    let { find } = before.keys;
    const changing = { ...before.keys, find: (id: string) => find(id) };
    const server = await served({ keys: changing, bounds: { heartbeatMs: 100 } });
    const listener = await Listener.open(server, "", before.texts.reader);
    while (listener.beats < 2) await sleep(10);
    find = after.keys.find;
    await listener.ended;
    assert.equal(await listeners(server), 0);
    (await Listener.open(server, "", before.texts.reader)).close();
  });

  it("have a bound of listeners, and one that leaves makes room", async () => {
    const server = await served({ bounds: { maxListeners: 2 } });
    const [one, two] = [await Listener.open(server), await Listener.open(server)];
    const third = await server.ask("GET", "/v1/events");
    assert.deepEqual(
      [third.status, third.json.code, third.headers.get("retry-after")],
      [503, "too-many-listeners", "10"],
    );
    one.close();
    while ((await listeners(server)) === 2) await sleep(5);
    const next = await Listener.open(server);
    for (const each of [two, next]) each.close();
  });

  it("drop only a listener that does not keep up", async () => {
    const server = await served({ bounds: { maxListenerBytes: 200_000 } });
    const keepsUp = await Listener.open(server);
    const socket = connect(server.port, "127.0.0.1").on("error", () => {});
    await once(socket, "connect");
    socket.pause();
    socket.write("GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
    while ((await listeners(server)) < 2) await sleep(5);
    const items = Array.from({ length: 50 }, (_, i) => ({ op: "consume", call: { tool: "search", session: `s${i}` } }));
    let sent = 0;
    // What the kernel buffers for a connection is not the service's to bound.
    while ((await listeners(server)) === 2 && sent < 400_000) {
      await server.post("/v1/batch", { items });
      sent += items.length;
    }
    assert.equal(await listeners(server), 1);
    assert.match(
      (await server.ask("GET", "/metrics")).text,
      /tollgate_rejected_requests_total\{reason="slow-listener"\} 1/,
    );
    assert.equal((await keepsUp.until(sent)).length, sent);
    keepsUp.close();
    socket.destroy();
  });

  it("end when the service does", async () => {
    const server = await served();
    const listener = await Listener.open(server);
    await server.close();
    await listener.ended;
  });
});
