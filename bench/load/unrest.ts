// What happens to the instances while calls come: at moments that a seed says they are killed, and new ones take their place;
// where there are several, one is replaced as in a deploy. Their store may stand still for longer than they wait.

import { setTimeout as sleep } from "node:timers/promises";
import type { Balancer } from "./balancer.ts";
import type { Fleet, Instance } from "./fleet.ts";

export interface Happened {
  readonly atMs: number;
  readonly what: "killed" | "started" | "ended" | "stalled";
}

/** The part of the phase in which something happens: afterwards there is time to come back. */
const FROM = 0.05;
const UNTIL = 0.8;
/** The longest time until another one is started. */
const NOTICED_WITHIN_MS = 400;
const LOOK_AGAIN_MS = 20;

export interface Unrest {
  readonly kills: number;
  readonly deploys: number;
  /** How often the store stands still. */
  readonly stalls: number;
  stall(): Promise<unknown>;
  readonly forMs: number;
  readonly random: () => number;
}

interface Moment {
  /** Which of the instances that run then: from 0, and less than 1. */
  readonly victim: number;
  readonly noticedMs: number;
}

/** Resolves when everything that was to happen has, and as many instances run as before. */
export async function disturb(fleet: Fleet, balancer: Balancer, unrest: Unrest): Promise<Happened[]> {
  const { kills, deploys, stalls, forMs, random } = unrest;
  const startedMs = performance.now();
  const happened: Happened[] = [];
  const tell = (what: Happened["what"]) => happened.push({ what, atMs: Math.round(performance.now() - startedMs) });

  const start = async () => {
    const instance = await fleet.start();
    balancer.add(instance.url);
    tell("started");
    return instance;
  };
  /** One of those that run, but for a new one: as soon as there is one. */
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
    tell("killed");
    await fleet.end(instance, "SIGKILL");
    await sleep(moment.noticedMs);
    await start();
    await balancer.remove(instance.url);
  };
  const deploy = async (moment: Moment) => {
    const instance = await victimOf(moment, await start());
    await fleet.end(instance, "SIGTERM");
    tell("ended");
    await balancer.remove(instance.url);
  };

  const stall = async () => {
    tell("stalled");
    await unrest.stall();
  };

  // All that is left to chance is drawn beforehand, so that a seed says it.
  const acts = [...Array(kills).fill(kill), ...Array(deploys).fill(deploy), ...Array(stalls).fill(stall)].map(
    (act) => ({
      act,
      atMs: forMs * (FROM + random() * (UNTIL - FROM)),
      moment: { victim: random(), noticedMs: random() * NOTICED_WITHIN_MS },
    }),
  );
  await Promise.all(
    acts.map(async ({ act, atMs, moment }) => {
      await sleep(atMs);
      await act(moment);
    }),
  );
  return happened.sort((a, b) => a.atMs - b.atMs);
}
