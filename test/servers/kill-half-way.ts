// Kills a master half way of a quota, and holds what was admitted in the end against what its replica knew.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { RedisCluster } from "../redis-cluster.ts";
import type { RedisServer } from "../servers.ts";
import { type Load, type Seen, until } from "./load.ts";

export interface HalfWay {
  /** All calls of the bucket that may be admitted, by the names of their clients. */
  readonly loads: Readonly<Record<string, Load>>;
  /** Units that the store counts in the bucket now. */
  used(): Promise<number | undefined>;
  readonly quota: number;
  /** So many calls are acknowledged before the kill. */
  readonly beforeKill: number;
  kill(): Promise<void>;
  readonly replica: { readonly server: RedisServer; readonly key: string };
}

export const words = ({ acknowledged, denied, failed, codes }: Seen) =>
  `${acknowledged} acknowledged, ${denied} denied, ${failed} failed (${[...codes].join(", ")})`;

/** No more is admitted than the quota and what the dead master had acknowledged and its replica had not yet heard of. */
export async function killHalfWay(context: TestContext, { loads, used, quota, beforeKill, kill, replica }: HalfWay) {
  const total = (of: "acknowledged" | "denied" | "failed") =>
    Object.values(loads).reduce((sum, { seen }) => sum + seen[of], 0);
  await until("half of the quota is used", () => total("acknowledged") >= beforeKill);
  const { acknowledgedBefore, failedBefore, replicated } = await killedWith({ kill, replica }, () => {
    return { acknowledgedBefore: total("acknowledged"), failedBefore: total("failed") };
  });
  const lost = Math.max(0, acknowledgedBefore - replicated);
  const killedMs = Date.now();
  await until("calls are acknowledged again", () => total("acknowledged") > acknowledgedBefore);
  const downMs = Date.now() - killedMs;
  for (const [name, { seen }] of Object.entries(loads)) {
    await until(`${name} sees the end of the quota`, () => seen.denied > 0);
  }
  const ends = await Promise.all(Object.values(loads).map((load) => load.end()));
  const admitted = total("acknowledged");
  for (const [i, name] of Object.keys(loads).entries()) context.diagnostic(`${name}: ${words(ends[i] as Seen)}`);
  context.diagnostic(
    `${acknowledgedBefore} acknowledged before the kill, ${replicated} replicated, ${lost} lost with the master; ` +
      `again after ${downMs} ms; ${admitted} admitted of ${quota}, over it ${Math.max(0, admitted - quota)}`,
  );
  assert.deepEqual(
    ends.flatMap((end) => end.others),
    [],
  );
  assert.ok(replicated > 0);
  assert.ok(admitted <= quota + lost, `${admitted} were admitted of ${quota}, and ${lost} were lost`);
  const admittedAfter = admitted - acknowledgedBefore;
  const least = quota - replicated - total("failed");
  assert.ok(admittedAfter >= least, "what came after was counted from what was replicated");
  assert.equal(await used(), quota);
  return { lost, admitted, failedBefore };
}

/** The same where instances go on by their shares, and the units that they have seen come back. */
export async function killWithShares(
  context: TestContext,
  { loads, used, quota, beforeKill, kill, replica }: HalfWay,
  mayCountMore: () => number,
) {
  const seen = Object.values(loads).map((load) => load.seen);
  const total = (of: "acknowledged" | "byShares" | "denied" | "failed") =>
    seen.reduce((sum, each) => sum + each[of], 0);
  const byStore = () => total("acknowledged") - total("byShares");
  await until("a part of the quota is used", () => byStore() >= beforeKill);
  const { acknowledged, replicated } = await killedWith({ kill, replica }, () => ({ acknowledged: byStore() }));
  const lost = Math.max(0, acknowledged - replicated);
  await until("shares are used", () => total("byShares") > 0);
  await until("the store decides again", () => byStore() > acknowledged, 30_000);
  const backAfter = total("byShares");
  await until("the end of the quota", () => Object.values(loads).every(({ seen: { denied } }) => denied > 0), 60_000);
  const ends = await Promise.all(Object.values(loads).map((load) => load.end()));
  const [admitted, shares] = [total("acknowledged"), total("byShares")];
  const stated = Math.min(...seen.map(({ statedOvershoot }) => statedOvershoot));
  let counted = 0;
  const isCounted = async () => {
    counted = (await used()) ?? 0;
    return counted >= admitted;
  };
  // A client may find the new master seconds after another. Instances that live then give the store back what it had not heard of.
  await until("what was admitted is counted", isCounted, 30_000);
  context.diagnostic(
    `admitted ${admitted}, quota ${quota}, lost ${lost}, shares ${shares} (${backAfter} until the store was back), ` +
      `stated overshoot ${stated}, counted ${counted}, failed ${total("failed")}`,
  );
  assert.deepEqual(
    ends.flatMap(({ others, codes }) => [...others, ...codes]),
    [],
  );
  assert.ok(admitted <= quota + lost + Math.min(shares, stated), `${admitted} were admitted`);
  assert.ok(counted <= admitted + mayCountMore(), `${counted} counted, ${admitted} admitted`);
  return { admitted, lost, shares, counted };
}

/** Kills a master whose replica has heard of something. Returns what was counted then, and what the replica has before it takes over. */
async function killedWith<Counts extends object>(
  { kill, replica }: Pick<HalfWay, "kill" | "replica">,
  counted: () => Counts,
): Promise<Counts & { readonly replicated: number }> {
  const client = replica.server.ioredis();
  await client.readonly().catch(() => {});
  const unitsOnReplica = async () => Number(await client.get(replica.key));
  await until("the replica has heard of some", async () => (await unitsOnReplica()) > 0);
  await kill();
  // Answers that were on their way arrive, and what the replica has heard of; no replica is elected so soon.
  await sleep(150);
  const counts = counted();
  const replicated = await unitsOnReplica();
  const [role] = (await client.call("ROLE")) as unknown[];
  assert.equal(role, "slave", "the replica was asked before it took over");
  return { ...counts, replicated };
}

export function replicaOf(master: RedisServer, { servers }: RedisCluster): RedisServer {
  const port = Number(/slave0:ip=[^,]+,port=(\d+)/.exec(master.cli("INFO", "replication"))?.[1]);
  const found = servers.find((server) => server.port === port);
  if (found === undefined) throw new Error("the master has no replica");
  return found;
}

/** Kills a master whose replica has not heard of its last writes. */
export async function killAhead(master: RedisServer, replica: RedisServer): Promise<void> {
  replica.pause();
  master.cli("CLIENT", "KILL", "TYPE", "replica");
  await sleep(200);
  await master.kill();
  replica.resume();
}
