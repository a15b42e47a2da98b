// One run: a Redis, some instances, and calls: to warm up, as many as can be, at a rate, at that rate while instances are
// killed, as many as can be while instances are killed. Then what ran is compared with what the limits allow and with what the
// store counts.

import type { Histogram } from "hdr-histogram-js";
import { Redis } from "ioredis";
import { createLimiter, parsePolicy } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { seededRandom } from "../calls.ts";
import { startRedis } from "../redis-server.ts";
import { Balancer, nothingResent, type Resent } from "./balancer.ts";
import { type Closed, Driver } from "./drive.ts";
import { Fleet } from "./fleet.ts";
import { type Bucket, type Judgement, Ledger } from "./ledger.ts";
import { policyText, quotasFor } from "./policy.ts";
import { repeat, type Trace } from "./trace.ts";
import { disturb, type Happened } from "./unrest.ts";

/** How long and how much. */
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
  /** In each of the phases in which instances are killed. */
  kills(instances: number): number;
}

/** Calls at a rate. */
export interface AtRate {
  /** From the moment a call was due until it was decided, µs. */
  readonly latency: Histogram;
  readonly unrest: Unrest;
}

/** What happened to instances and calls in a phase. */
export interface Unrest {
  readonly happened: readonly Happened[];
  readonly resent: Resent;
  /** Calls that were decided before by an instance that could not say so any more. */
  readonly replayed: number;
  readonly doubled: number;
}

export interface Run {
  readonly instances: number;
  readonly perSecond: number;
  readonly calm: AtRate;
  readonly disturbed: AtRate;
  readonly storm: Unrest;
  readonly judgement: Judgement;
}

const CALLERS = 64;
/** In the storm. */
const DOUBLE_EACH = 20;
const STALLS = 3;
/** Longer than an instance waits for its store. */
const STALL_MS = 350;
/** More than can be answered. */
const MOST_PER_SECOND = 20_000;
/** Buckets that the store is asked about together. */
const ASKED_TOGETHER = 500;

export async function runLoad(instances: number, size: Size, trace: Trace, seed: number): Promise<Run> {
  const quotas = quotasFor(trace);
  const policy = policyText(quotas);
  const redis = await startRedis();
  const url = `redis://127.0.0.1:${redis.port}`;
  const fleet = new Fleet(policy, url);
  const balancer = new Balancer();
  const ledger = new Ledger(quotas);
  const driver = new Driver(balancer, ledger);
  try {
    await driver.ready();
    for (let i = 0; i < instances; i++) balancer.add((await fleet.start()).url);
    const phases = await play({
      fleet,
      balancer,
      driver,
      trace,
      size,
      instances,
      random: seededRandom(seed),
      redis: redis.control,
    });
    return { instances, ...phases, judgement: ledger.judge(await usedIn(policy, url, ledger)) };
  } finally {
    await Promise.allSettled([driver.close(), balancer.close()]);
    await fleet.stop();
    await redis.stop();
  }
}

interface Stage {
  readonly fleet: Fleet;
  readonly balancer: Balancer;
  readonly driver: Driver;
  readonly trace: Trace;
  readonly size: Size;
  readonly instances: number;
  readonly random: () => number;
  readonly redis: Redis;
}

async function play(stage: Stage): Promise<Omit<Run, "instances" | "judgement">> {
  const { fleet, balancer, driver, trace, size, instances, random, redis } = stage;
  const callsOf = (name: string, perSecond: number, forMs: number) =>
    repeat(trace, name, Math.ceil((perSecond * forMs) / 1_000), size.beside, random);
  const saturate = (name: string, forMs: number, more: Partial<Closed> = {}) =>
    driver.closed(callsOf(name, MOST_PER_SECOND, forMs), { callers: CALLERS, forMs, ...more });
  const atRate = (name: string, forMs: number) =>
    driver.open(callsOf(name, size.perSecond, forMs), size.perSecond, random);
  const stall = () => redis.call("CLIENT", "PAUSE", String(STALL_MS), "ALL");
  const kills = { kills: size.kills(instances), deploys: instances > 1 ? 1 : 0, stalls: 0, stall, random };
  const noted = async <Came>(phase: Promise<Came>, unrest: Promise<Happened[]> = Promise.resolve([])) => {
    balancer.resent = nothingResent();
    [driver.replayed, driver.doubled] = [0, 0];
    const [came, happened] = await Promise.all([phase, unrest]);
    return { came, unrest: { happened, resent: balancer.resent, replayed: driver.replayed, doubled: driver.doubled } };
  };

  await saturate("warm-up", size.warmUpMs);
  const perSecond = await saturate("saturated", size.saturatedMs);
  const calm = await noted(atRate("calm", size.calmMs));
  const disturbed = await noted(
    atRate("disturbed", size.disturbedMs),
    disturb(fleet, balancer, { ...kills, forMs: size.disturbedMs }),
  );
  const storm = await noted(
    saturate("storm", size.stormMs, { doubleEach: DOUBLE_EACH }),
    disturb(fleet, balancer, { ...kills, stalls: STALLS, forMs: size.stormMs }),
  );
  return {
    perSecond,
    calm: { latency: calm.came, unrest: calm.unrest },
    disturbed: { latency: disturbed.came, unrest: disturbed.unrest },
    storm: storm.unrest,
  };
}

/** What the store counts, bucket by bucket, asked without any of the instances. */
async function usedIn(policy: string, url: string, ledger: Ledger): Promise<Map<Bucket, number>> {
  const client = new Redis(url);
  const limiter = createLimiter({ policy: parsePolicy(policy), store: redisStore(client), failover: false });
  const used = new Map<Bucket, number>();
  const places = [...ledger.places];
  for (let first = 0; first < places.length; first += ASKED_TOGETHER) {
    await Promise.all(
      places.slice(first, first + ASKED_TOGETHER).map(async ({ call, bucket }) => {
        const usages = await limiter.usage({ ...call });
        for (let each: Bucket | null = bucket; each !== null; each = each.within) {
          const usage = usages.find(({ limit }) => limit === each?.limit);
          if (usage !== undefined) used.set(each, usage.used);
        }
      }),
    );
  }
  await limiter.close();
  client.disconnect();
  return used;
}
