// The masters of a Redis Cluster of a benchmark, without replicas.

import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type RedisServer, startRedis } from "./servers.ts";

const SLOTS = 16_384;

export interface Masters extends AsyncDisposable {
  readonly servers: readonly RedisServer[];
  /** The first name whose slot is on the n-th server. */
  nameOn(n: number, named: (i: number) => string): Promise<string>;
}

export async function clusterOf(count: number): Promise<Masters> {
  const settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "30000"];
  const servers = await Promise.all(Array.from({ length: count }, () => startRedis({ settings })));
  const nodes = servers.map(({ port }) => `127.0.0.1:${port}`);
  const made = spawnSync("redis-cli", ["--cluster", "create", ...nodes, "--cluster-yes"], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`the cluster was not made: ${made.stdout}${made.stderr}`);
  const isReady = async ({ control }: RedisServer) => /cluster_state:ok/.test(await control.cluster("INFO"));
  while (!(await Promise.all(servers.map(isReady))).every(Boolean)) await sleep(25);
  return {
    servers,
    async nameOn(n, named) {
      for (let i = 0; ; i++) {
        const slot = (await servers[0]?.control.cluster("KEYSLOT", named(i))) ?? 0;
        if (Math.floor((slot * count) / SLOTS) === n) return named(i);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server[Symbol.asyncDispose]();
    },
  };
}
