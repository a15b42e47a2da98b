// Limits per client address, through real servers behind a proxy of their own: the proxy's part is the field that it adds.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { getConnInfo } from "@hono/node-server/conninfo";
import express from "express";
import Fastify from "fastify";
import { type Context, Hono } from "hono";
import { createLimiter, type Limiter, MisuseError } from "tollgate";
import { type AddressOptions, addressOf } from "tollgate/adapters/address";
import { expressGuard } from "tollgate/adapters/express";
import { fastifyGuard } from "tollgate/adapters/fastify";
import { fetchGuard } from "tollgate/adapters/fetch";
import { honoGuard } from "tollgate/adapters/hono";
import { memoryStore } from "tollgate/stores/memory";

const QUOTA = 5;
const limiterPerAddress = () =>
  createLimiter({
    policy: { version: 1, limits: [{ name: "per-address", per: ["address"], quota: QUOTA }] },
    store: memoryStore(),
  });

/** What connects to a server: the address of the other end. */
interface Peer {
  readonly remoteAddress?: string | undefined;
}

const servers: Record<string, (limiter: Limiter) => Promise<Server>> = {
  async express(limiter) {
    const app = express().set("trust proxy", 1);
    app.use(expressGuard(limiter, { call: ({ ip }) => ({ tool: "chat", address: addressOf(ip) }) }));
    app.get("/", (_request, response) => {
      response.send("hello");
    });
    return createServer(app);
  },
  async fastify(limiter) {
    const app = Fastify({ trustProxy: "127.0.0.1" });
    await app.register(fastifyGuard(limiter, { call: ({ ip }) => ({ tool: "chat", address: addressOf(ip) }) }));
    app.get("/", async () => "hello");
    await app.ready();
    return app.server;
  },
  async hono(limiter) {
    const app = new Hono();
    const call = (c: Context) => {
      const forwardedFor = c.req.header("x-forwarded-for");
      return { tool: "chat", address: addressOf(getConnInfo(c).remote.address, { trustedProxies: 1, forwardedFor }) };
    };
    app.use(honoGuard(limiter, { call }));
    app.get("/", (c) => c.text("hello"));
    return createServer(getRequestListener(app.fetch));
  },
  async fetch(limiter) {
    const guard = fetchGuard(limiter, {
      call({ headers }, { remoteAddress }: Peer) {
        const forwardedFor = headers.get("x-forwarded-for");
        return { tool: "chat", address: addressOf(remoteAddress, { trustedProxies: 1, forwardedFor }) };
      },
    });
    const guarded = guard((_request: Request, _peer: Peer) => new Response("hello"));
    return createServer(getRequestListener((request, env) => guarded(request, (env as HttpBindings).incoming.socket)));
  },
};

async function passed(url: string, forwardedFor: readonly string[]): Promise<number> {
  const statuses = await Promise.all(
    forwardedFor.map(async (each) => {
      const response = await fetch(url, { headers: { "x-forwarded-for": each } });
      await response.body?.cancel();
      return response.status;
    }),
  );
  assert.deepEqual(
    statuses.filter((status) => status !== 200 && status !== 429),
    [],
  );
  return statuses.filter((status) => status === 200).length;
}

const times = (count: number, address: (i: number) => string) => Array.from({ length: count }, (_, i) => address(i));

for (const [name, serve] of Object.entries(servers)) {
  it(`counts the addresses of one client as one in ${name}, and those of others separately`, async () => {
    const server = (await serve(limiterPerAddress())).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      assert.equal(
        await passed(
          url,
          times(300, (i) => `2001:db8:7:8:${i.toString(16)}::1`),
        ),
        QUOTA,
      );
      assert.equal(
        await passed(
          url,
          times(50, (i) => `2001:db8:7:${i.toString(16)}::1`),
        ),
        0,
        "the same /56",
      );
      assert.equal(
        await passed(
          url,
          times(50, () => "2001:DB8:7:100:0:0:0:1"),
        ),
        QUOTA,
        "the next /56",
      );
      assert.equal(
        await passed(
          url,
          times(50, () => "203.0.113.7"),
        ),
        QUOTA,
      );
      assert.equal(
        await passed(
          url,
          times(50, () => "::ffff:cb00:7107"),
        ),
        0,
        "the same, mapped",
      );
      const forged = times(50, (i) => `198.51.100.${i}, 2001:db8:${i}::, 203.0.113.8`);
      assert.equal(await passed(url, forged), QUOTA, "what the client claims does not count");
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
}

describe("addressOf", () => {
  const peer = "10.0.0.5";
  const [client, cdn] = ["203.0.113.7", "198.51.100.9"];
  const cases: readonly [what: string, address: string | null | undefined, options: AddressOptions, found: string][] = [
    ["reads the other end alone by default", peer, { forwardedFor: client }, peer],
    ["counts from the end", peer, { forwardedFor: `made-up, ${client}`, trustedProxies: 1 }, client],
    ["counts further", peer, { forwardedFor: `x, ${client}:1234,${cdn}`, trustedProxies: 2 }, client],
    ["reads several fields", peer, { forwardedFor: ["x", `${client}, ${cdn}`], trustedProxies: 2 }, client],
    ["takes the first where a proxy was passed by", peer, { forwardedFor: client, trustedProxies: 2 }, client],
    ["takes the other end where no proxy was passed", peer, { trustedProxies: 1 }, peer],
    ["takes it where the field is empty", peer, { forwardedFor: ", ,", trustedProxies: 1 }, peer],
    ["knows no word", peer, { forwardedFor: "unknown", trustedProxies: 1 }, "unknown"],
    ["has one value for all that is unknown", undefined, {}, "unknown"],
    ["needs no other end behind a proxy", null, { forwardedFor: client, trustedProxies: 1 }, client],
    ["cuts by 56 bits", "2001:db8:0:1ff::1", {}, "2001:db8:0:100::/56"],
    ["cuts by other lengths", "2001:db8:0:1ff::1", { ipv6: 48 }, "2001:db8::/48"],
  ];
  for (const [what, address, options, found] of cases) {
    it(what, () => assert.equal(addressOf(address, options), found));
  }

  const refused: readonly [what: unknown, options: unknown, path: string][] = [
    [peer, { ipv6: 31 }, "ipv6"],
    [peer, { ipv6: 129 }, "ipv6"],
    [peer, { ipv6: "56" }, "ipv6"],
    [peer, { trustedProxies: -1 }, "trustedProxies"],
    [peer, { trustedProxies: 17 }, "trustedProxies"],
    [peer, { trustedProxies: true }, "trustedProxies"],
    [peer, { trustProxy: 1 }, "options"],
    [peer, { forwardedFor: 7 }, "forwardedFor"],
    [peer, { forwardedFor: [7] }, "forwardedFor"],
    [{ address: peer }, {}, "address"],
    [7, {}, "address"],
  ];
  for (const [address, options, path] of refused) {
    it(`refuses ${JSON.stringify(address)} with ${JSON.stringify(options)}`, () => {
      assert.throws(
        () => addressOf(address as string, options as AddressOptions),
        (error) => MisuseError.isInstance(error) && error.faults[0]?.path === path,
      );
    });
  }
});
