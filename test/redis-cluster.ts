// Real Redis Clusters and Sentinels for tests, made of the servers of servers.ts.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { shardOf, shardPlaces } from "../src/stores/redis/shards.ts";
import { freePort } from "./free-port.ts";
import { type RedisServer, startRedis } from "./servers.ts";
import { temporaryFolder } from "./temporary.ts";
import type { Certificates } from "./certificates.ts";

/** A cluster of a test's own. */
export interface RedisCluster {
  readonly servers: readonly RedisServer[];
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** Runs redis-cli on the cluster, where the key is. */
  cli(...args: string[]): string;
  /** The server of a key's slot, as the others know it now. */
  masterOf(key: string): Promise<RedisServer>;
  empty(): Promise<void>;
}

const HOST = "127.0.0.1";

const CLUSTER = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"];
const SERVERS = 6;

/** The name of a key on a cluster: it has the tag of its shard in front. */
export function keyOnCluster(key: string): string {
  return (shardPlaces()[shardOf(key)] as { prefix: string }).prefix + key;
}

/** Three masters, each with a replica. */
export async function startCluster(...settings: string[]): Promise<RedisCluster> {
  const servers = await Promise.all(Array.from({ length: SERVERS }, () => startRedis(...CLUSTER, ...settings)));
  return makeCluster(
    servers,
    servers.map(({ port }) => port),
  );
}

/** The same, whose servers speak TLS with clients and with each other. They also listen without TLS, for redis-cli. */
export async function startTlsCluster({ ca, certificate, key }: Certificates): Promise<RedisCluster> {
  const files = ["--tls-ca-cert-file", ca, "--tls-cert-file", certificate, "--tls-key-file", key];
  const tls = [...files, "--tls-auth-clients", "no", "--tls-cluster", "yes", "--tls-replication", "yes"];
  const ports = await Promise.all(Array.from({ length: SERVERS }, () => freePort()));
  const servers = await Promise.all(ports.map((port) => startRedis(...CLUSTER, ...tls, "--tls-port", String(port))));
  return makeCluster(servers, ports, "--tls", "--cacert", ca);
}

/** @param ports at which the servers are asked, with these options of redis-cli */
async function makeCluster(
  servers: readonly RedisServer[],
  ports: readonly number[],
  ...options: string[]
): Promise<RedisCluster> {
  const addresses = ports.map((port) => ({ host: HOST, port }));
  const cli = (...args: string[]) =>
    spawnSync("redis-cli", [...options, "-c", "-p", String(ports[0]), ...args], { encoding: "utf8" }).stdout.trim();
  const nodes = addresses.map(({ host, port }) => `${host}:${port}`);
  const create = [...options, "--cluster", "create", ...nodes, "--cluster-replicas", "1", "--cluster-yes"];
  const made = spawnSync("redis-cli", create, { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`the cluster was not made: ${made.stdout}${made.stderr}`);
  for (let tries = 0; !servers.every((server) => /cluster_state:ok/.test(server.cli("CLUSTER", "INFO"))); tries++) {
    if (tries > 400) throw new Error("the cluster does not work");
    await sleep(25);
  }
  const serverAt = (port: number) => servers[ports.indexOf(port)] as RedisServer;
  return {
    servers,
    addresses,
    cli,
    async masterOf(key) {
      const slot = Number(cli("CLUSTER", "KEYSLOT", key));
      for (const line of cli("CLUSTER", "NODES").split("\n")) {
        const [, address = "", flags = "", , , , , , ...ranges] = line.split(" ");
        const owns = ranges.some((range) => {
          const [from, to] = range.split("-").map(Number);
          return slot >= (from ?? 0) && slot <= (to ?? from ?? 0);
        });
        if (owns && flags.includes("master") && !flags.includes("fail")) {
          return serverAt(Number(/:(\d+)@/.exec(address)?.[1]));
        }
      }
      throw new Error(`no node has the slot of ${key}`);
    },
    async empty() {
      const ends = await Promise.allSettled(servers.map((server) => server.empty()));
      // A replica refuses, and follows its master.
      const faults = ends.filter((end) => end.status === "rejected").map(({ reason }) => String(reason));
      const others = faults.filter((fault) => !fault.includes("READONLY"));
      if (others.length > 0) throw new Error(others.join("; "));
    },
  };
}

/** Moves a slot key by key, as redis-cli's reshard does. Returns how many keys it had. Nothing else waits for it. */
export async function moveSlot(
  { servers }: RedisCluster,
  slot: string,
  from: RedisServer,
  to: RedisServer,
): Promise<number> {
  const clients = new Map(servers.map((server) => [server, server.ioredis()]));
  const ask = async (server: RedisServer, ...args: [string, ...string[]]) => clients.get(server)?.call(...args);
  const idOf = async (server: RedisServer) => String(await ask(server, "CLUSTER", "MYID"));
  const [fromId, toId] = [await idOf(from), await idOf(to)];
  assert.equal(await ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromId), "OK");
  assert.equal(await ask(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toId), "OK");
  await sleep(100);
  let moved = 0;
  for (;;) {
    const [key] = (await ask(from, "CLUSTER", "GETKEYSINSLOT", slot, "1")) as string[];
    if (key === undefined) break;
    const answer = await ask(from, "MIGRATE", HOST, String(to.port), key, "0", "5000");
    assert.match(String(answer), /^(OK|NOKEY)$/);
    moved++;
    await sleep(30);
  }
  await sleep(100);
  for (const server of [to, from, ...servers]) {
    const isMaster = String(await ask(server, "ROLE")).startsWith("master");
    if (isMaster) await ask(server, "CLUSTER", "SETSLOT", slot, "NODE", toId);
  }
  for (const client of clients.values()) client.disconnect();
  return moved;
}

/** Three Sentinels that watch a master and its replica. */
export interface SentinelTrio {
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  readonly name: string;
}

const sentinels: { kill(): Promise<void> }[] = [];
after(async () => {
  for (const each of sentinels) await each.kill();
});

export async function startSentinels(): Promise<SentinelTrio> {
  const master = await startRedis();
  const replica = await startRedis("--replicaof", HOST, String(master.port), "--repl-diskless-sync-delay", "0");
  const name = "limits";
  const ports = await Promise.all(Array.from({ length: 3 }, () => freePort()));
  for (const port of ports) {
    const file = join(temporaryFolder(), "sentinel.conf");
    writeFileSync(
      file,
      [
        `port ${port}`,
        `bind ${HOST}`,
        `sentinel monitor ${name} ${HOST} ${master.port} 2`,
        `sentinel down-after-milliseconds ${name} 500`,
        `sentinel failover-timeout ${name} 3000`,
        "",
      ].join("\n"),
    );
    const child = spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" });
    sentinels.push({
      async kill() {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill("SIGKILL");
        await once(child, "exit");
      },
    });
  }
  const known = (port: number) =>
    spawnSync("redis-cli", ["-p", String(port), "SENTINEL", "MASTER", name], { encoding: "utf8" }).stdout;
  for (
    let tries = 0;
    !ports.every((port) => /num-slaves\n1\n/.test(known(port)) && /num-other-sentinels\n2\n/.test(known(port)));
    tries++
  ) {
    if (tries > 400) throw new Error("the Sentinels do not know each other");
    await sleep(50);
  }
  return { master, replica, name, sentinels: ports.map((port) => ({ host: HOST, port })) };
}
