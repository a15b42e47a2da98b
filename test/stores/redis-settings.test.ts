// What the setup check says of a client's settings: none of the clients connects.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Cluster, Redis } from "ioredis";
import { Redis as IoValkey } from "iovalkey";
import { createClient, createCluster, createSentinel } from "redis";
import type { RedisClient } from "tollgate/stores/redis";
import { clientCheck } from "../../src/stores/redis/settings.ts";

const redis = (options: object = {}) => new Redis(Object.assign({ lazyConnect: true }, options));
const node = (socket: object = {}) => createClient({ socket });
const cluster = (redisOptions: object, more: object = {}) =>
  new Cluster([{ port: 1 }], { lazyConnect: true, redisOptions, ...more });
const leaves = ({ message }: Error) => message.includes("READONLY");

const cases: readonly (readonly [name: string, client: unknown, problem: RegExp | null])[] = [
  ["ioredis by default", redis(), /set reconnectOnError to .*READONLY.*; .*set socketTimeout to 5000$/],
  ["iovalkey by default", new IoValkey({ lazyConnect: true }), /set reconnectOnError .*; .*set socketTimeout/],
  ["ioredis without a socket timeout", redis({ reconnectOnError: leaves }), /^[^;]*set socketTimeout to 5000$/],
  [
    "ioredis that reconnects for another error",
    redis({ reconnectOnError: ({ message }: Error) => message.includes("LOADING"), socketTimeout: 5_000 }),
    /^[^;]*set reconnectOnError [^;]*$/,
  ],
  [
    "ioredis whose function throws",
    redis({
      reconnectOnError: () => {
        throw new RangeError("no");
      },
      socketTimeout: 5_000,
    }),
    /^[^;]*set reconnectOnError [^;]*$/,
  ],
  ["ioredis with both", redis({ reconnectOnError: leaves, socketTimeout: 5_000 }), null],
  [
    "ioredis that never connects again",
    redis({ reconnectOnError: () => 2, socketTimeout: 5_000, retryStrategy: null }),
    /^it never connects again: leave out retryStrategy$/,
  ],
  [
    "ioredis by Sentinel without a time limit for it",
    redis({ reconnectOnError: leaves, socketTimeout: 5_000, sentinels: [{ port: 1 }], name: "x" }),
    /^[^;]*set sentinelCommandTimeout to 500$/,
  ],
  [
    "ioredis by Sentinel with all settings",
    redis({
      reconnectOnError: leaves,
      socketTimeout: 5_000,
      sentinels: [{ port: 1 }],
      name: "x",
      sentinelCommandTimeout: 500,
    }),
    null,
  ],
  ["a Cluster by default", cluster({}), /charged or given back twice .*; .*redisOptions\.socketTimeout/],
  [
    "a Cluster with all settings",
    cluster({ autoResendUnfulfilledCommands: false, socketTimeout: 5_000 }, { retryDelayOnFailover: 0 }),
    null,
  ],
  ["node-redis by default", node(), null],
  ["node-redis that never connects again", node({ reconnectStrategy: false }), /leave out socket\.reconnectStrategy/],
  ["node-redis with a socket timeout alone", node({ socketTimeout: 5_000 }), /set socket\.reconnectStrategy/],
  ["node-redis with both", node({ socketTimeout: 5_000, reconnectStrategy: () => 100 }), null],
  ["node-redis' cluster", createCluster({ rootNodes: [{ url: "redis://127.0.0.1:1" }] }), null],
  ["node-redis' Sentinel", createSentinel({ name: "x", sentinelRootNodes: [{ host: "127.0.0.1", port: 1 }] }), null],
  ["valkey-glide", { customCommand: async () => null }, null],
];

describe("the settings of a client", () => {
  for (const [name, client, problem] of cases) {
    it(`are ${problem === null ? "fine" : "named"}: ${name}`, () => {
      const check = clientCheck(client as RedisClient);
      assert.equal(check.name, "client");
      if (problem === null) assert.equal(check.problem, null);
      else assert.match(check.problem ?? "", problem);
    });
  }
});
