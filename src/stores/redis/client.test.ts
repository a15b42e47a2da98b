import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GlideClient, GlideClusterClient } from "@valkey/valkey-glide";
import { connectionOf, type RedisClient } from "./client.ts";

/** A client that was never connected, of a class or of one that a program makes of it. */
const clientOf = (prototype: object) => Object.create(prototype) as RedisClient;

describe("a client of valkey-glide", () => {
  const classes = { single: GlideClient.prototype, cluster: GlideClusterClient.prototype };
  for (const [name, prototype] of Object.entries(classes)) {
    const isCluster = name === "cluster";

    it(`is recognised by its shape: ${name}`, () => {
      const { kind, isCluster: found } = connectionOf(clientOf(prototype));
      assert.deepEqual([kind, found], [isCluster ? "valkey-glide, a cluster" : "valkey-glide", isCluster]);
    });

    it(`is recognised by its shape in a subclass, and where a bundler has renamed its class: ${name}`, () => {
      for (const value of [class Mine {}, class t {}, class GlideClusterClient {}]) {
        const inherited = Object.create(prototype, { constructor: { value } });
        assert.equal(connectionOf(clientOf(inherited)).isCluster, isCluster);
      }
    });

    it(`is recognised by its shape behind a proxy that traces it: ${name}`, () => {
      const traced = new Proxy(clientOf(prototype), { get: (client, key) => Reflect.get(client, key) });
      assert.equal(connectionOf(traced).isCluster, isCluster);
    });
  }
});

describe("a cluster's client of ioredis or iovalkey", () => {
  it("gets names of commands in lower case, by which each of its versions finds the keys", async () => {
    for (const isCluster of [true, false]) {
      const sent: string[] = [];
      const { send } = connectionOf({ isCluster, call: async (command) => sent.push(command) });
      await send("{a}", "EVALSHA", "0".repeat(40), 1, "{a}");
      assert.deepEqual(sent, [isCluster ? "evalsha" : "EVALSHA"]);
    }
  });
});
