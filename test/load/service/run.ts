// One run: a Redis, some instances, and calls in phases: warm-up; as many as possible; at a rate; at that rate while instances
// are killed; as many as possible while instances are killed. Then what ran is compared with what the limits allow and
// with the store's counts.

import type { Histogram } from "hdr-histogram-js";
import { Redis } from "ioredis";
import { createLimiter } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { redisStore } from "tollgate/stores/redis";
import { seededRandom } from "../../../bench/calls.ts";
import { OpenLoop } from "../../../bench/open-loop.ts";
import { startRedis } from "../../../bench/servers.ts";
import { Balancer, nothingResent, type Resent } from "./balancer.ts";
import { type Closed, Driver } from "./drive.ts";
import { Fleet } from "./fleet.ts";
import { type Bucket, type Judgement, Ledger } from "./ledger.ts";
import { policyText, quotasFor } from "./policy.ts";
import { repeat, type Trace } from "./trace.ts";
import { disturb, type Happened, nothingHappened } from "./unrest.ts";

/** How long the phases take, and how much happens in them. */
export interface Size {
  readonly warmUpMs: number;
  readonly saturatedMs: number;
  /** Calls a second of the phases at a rate. */
  readonly perSecond: number;
  readonly calmMs: number;
  readonly disturbedMs: number;
  readonly stormMs: number;
  /** Repetitions of the trace whose sessions run beside each other. */
  readonly beside: number;
  /** Instances killed in each of the last two phases. */
  kills(instances: number): number;
}

/** A phase, and what happened in it. `latency` is for phases at a rate: from the instant of a call to its decision, µs. */
export interface Phase<Latency = Histogram> {
  readonly latency: Latency;
  readonly happened: Happened;
  readonly resent: Resent;
  /** Calls that were decided before by an instance that could not answer any more. */
  readonly replayed: number;
  readonly doubled: number;
}

export interface Run {
  readonly instances: number;
  readonly perSecond: number;
  readonly calm: Phase;
  readonly disturbed: Phase;
  readonly storm: Phase<unknown>;
  readonly judgement: Judgement;
}

const CALLERS = 64;
/** In the storm. */
const DOUBLE_EACH = 20;
const STALLS = 3;
/** Longer than an instance waits for its store. */
const STALL_MS = 350;
/** More than can be answered. */
const MAX_PER_SECOND = 20_000;
/** Buckets that are read from the store together. */
const READ_TOGETHER = 500;

export async function runLoad(instances: number, size: Size, trace: Trace, seed: number): Promise<Run> {
  const quotas = quotasFor(trace);
  const policy = policyText(quotas);
  const random = seededRandom(seed);
  await using redis = await startRedis();
  await using fleet = new Fleet(policy, redis.url);
  await using balancer = new Balancer();
  await using loop = new OpenLoop();
  await loop.ready();
  const ledger = new Ledger(quotas);
  const driver = new Driver(balancer, ledger, loop);
  for (let i = 0; i < instances; i++) balancer.add((await fleet.start()).url);

  const callsOf = (name: string, perSecond: number, forMs: number) =>
    repeat(trace, name, Math.ceil((perSecond * forMs) / 1_000), size.beside, random);
  const saturate = (name: string, forMs: number, more: Partial<Closed> = {}) =>
    driver.closed(callsOf(name, MAX_PER_SECOND, forMs), { callers: CALLERS, forMs, ...more });
  const atRate = (name: string, forMs: number) =>
    driver.open(callsOf(name, size.perSecond, forMs), size.perSecond, random);
  const disturbFor = (forMs: number, stalls = 0) => {
    const stall = () => redis.control.call("CLIENT", "PAUSE", String(STALL_MS), "ALL");
    const deploys = instances > 1 ? 1 : 0;
    return disturb(fleet, balancer, { kills: size.kills(instances), deploys, stalls, stall, forMs, random });
  };
  const noted = async <Latency>(calls: Promise<Latency>, unrest: Promise<Happened>): Promise<Phase<Latency>> => {
    balancer.resent = nothingResent();
    [driver.replayed, driver.doubled] = [0, 0];
    const [latency, happened] = await Promise.all([calls, unrest]);
    return { latency, happened, resent: balancer.resent, replayed: driver.replayed, doubled: driver.doubled };
  };

  await saturate("warm-up", size.warmUpMs);
  const perSecond = await saturate("saturated", size.saturatedMs);
  const calm = await noted(atRate("calm", size.calmMs), Promise.resolve(nothingHappened()));
  const disturbed = await noted(atRate("disturbed", size.disturbedMs), disturbFor(size.disturbedMs));
  const storm = await noted(
    saturate("storm", size.stormMs, { doubleEach: DOUBLE_EACH }),
    disturbFor(size.stormMs, STALLS),
  );
  const judgement = ledger.judge(await usedIn(policy, redis.url, ledger));
  return { instances, perSecond, calm, disturbed, storm, judgement };
}

/** The store's count of each bucket, read without any of the instances. */
async function usedIn(policy: string, url: string, ledger: Ledger): Promise<Map<Bucket, number>> {
  const client = new Redis(url);
  const limiter = createLimiter({ policy: parsePolicy(policy), store: redisStore(client), failover: false });
  const used = new Map<Bucket, number>();
  const read = async ([bucket, call]: readonly [Bucket, object]) => {
    const usages = await limiter.usage({ ...call });
    for (let each: Bucket | null = bucket; each !== null; each = each.within) {
      const usage = usages.find(({ limit }) => limit === each?.limit);
      if (usage !== undefined) used.set(each, usage.used);
    }
  };
  const innermost = [...ledger.calls];
  for (let first = 0; first < innermost.length; first += READ_TOGETHER) {
    await Promise.all(innermost.slice(first, first + READ_TOGETHER).map(read));
  }
  await limiter.close();
  client.disconnect();
  return used;
}
