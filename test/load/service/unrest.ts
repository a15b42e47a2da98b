// What happens to the instances during a phase: at moments that the seed decides, some are killed and replaced. Where there
// are several, one is replaced as in a deploy. Their store may pause for longer than they wait for it.

import { setTimeout as sleep } from "node:timers/promises";
import type { Balancer } from "./balancer.ts";
import type { Fleet, Instance } from "./fleet.ts";

export const HAPPENINGS = ["killed", "ended", "started", "stalled"] as const;
/** How often each has happened. */
export type Happened = Record<(typeof HAPPENINGS)[number], number>;

/** The part of the phase in which something happens, so that there is time to recover afterwards. */
const FROM = 0.05;
const UNTIL = 0.8;
/** The longest time until a killed instance is replaced. */
const NOTICED_WITHIN_MS = 400;
const LOOK_AGAIN_MS = 20;

export interface Unrest {
  readonly kills: number;
  readonly deploys: number;
  /** How often the store pauses. */
  readonly stalls: number;
  stall(): Promise<unknown>;
  readonly forMs: number;
  readonly random: () => number;
}

interface Moment {
  /** Which of the running instances: from 0 to below 1. */
  readonly victim: number;
  readonly noticedMs: number;
}

export const nothingHappened = (): Happened => ({ killed: 0, ended: 0, started: 0, stalled: 0 });

/** Resolves when everything has happened, and as many instances run as before. */
export async function disturb(fleet: Fleet, balancer: Balancer, unrest: Unrest): Promise<Happened> {
  const { kills, deploys, stalls, forMs, random } = unrest;
  const happened = nothingHappened();

  const start = async () => {
    const instance = await fleet.start();
    balancer.add(instance.url);
    happened.started++;
    return instance;
  };
  /** A running instance, but not the new one, as soon as there is one. */
  const victimOf = async ({ victim }: Moment, fresh?: Instance) => {
    for (;;) {
      const old = fleet.running.filter((each) => each !== fresh);
      const instance = old[Math.floor(victim * old.length)];
      if (instance !== undefined) return instance;
      await sleep(LOOK_AGAIN_MS);
    }
  };
  const kill = async (moment: Moment) => {
    const instance = await victimOf(moment);
    happened.killed++;
    await fleet.end(instance, "SIGKILL");
    await sleep(moment.noticedMs);
    await start();
    await balancer.remove(instance.url);
  };
  const deploy = async (moment: Moment) => {
    const instance = await victimOf(moment, await start());
    await fleet.end(instance, "SIGTERM");
    happened.ended++;
    await balancer.remove(instance.url);
  };
  const stall = async () => {
    happened.stalled++;
    await unrest.stall();
  };

  // All random numbers are drawn before, so that the seed decides them.
  const acts = [...Array(kills).fill(kill), ...Array(deploys).fill(deploy), ...Array(stalls).fill(stall)].map(
    (act) => ({
      act,
      atMs: forMs * (FROM + random() * (UNTIL - FROM)),
      moment: { victim: random(), noticedMs: random() * NOTICED_WITHIN_MS },
    }),
  );
  await Promise.all(acts.map(({ act, atMs, moment }) => sleep(atMs).then(() => act(moment))));
  return happened;
}
