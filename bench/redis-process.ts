// One contender on Redis in a process of its own, so that it has no other's garbage, and its code is compiled for it alone.

import { Redis } from "ioredis";
import { type Limit, scheduleOf, THREE } from "./calls.ts";
import { answerParent } from "./children.ts";
import { secondsHere } from "./race.ts";
import { type ClientName, redisContenders } from "./redis-contenders.ts";
import { leaveLastCore } from "./servers.ts";

/** One round. */
export interface RedisRound {
  readonly port: number;
  readonly client: ClientName;
  readonly contender: string;
  readonly limits: readonly Pick<Limit, "name" | "quota">[];
  readonly inFlight: number;
  readonly sessions: number;
  readonly calls: number;
  /** So many of the calls are decided, from the first. */
  readonly used: number;
}

leaveLastCore();
let control: Redis | undefined;
const schedules = new Map<string, ReturnType<typeof scheduleOf>>();

function callsOf({ sessions, calls, used }: RedisRound) {
  const name = `${sessions} ${calls}`;
  const all = schedules.get(name) ?? scheduleOf(sessions, calls);
  schedules.set(name, all);
  return all.slice(0, used);
}

/** How many seconds it took. */
answerParent(async (round: RedisRound): Promise<number> => {
  const { port, client, inFlight } = round;
  control ??= new Redis(port);
  const limits = round.limits.map(({ name, quota }) => {
    const limit = THREE.find((each) => each.name === name);
    if (limit === undefined) throw new Error(`there is no limit ${name}`);
    return { ...limit, quota };
  });
  const contenders = redisContenders(client, "", { server: { port, control }, limits, inFlight });
  const contender = contenders.find(({ name }) => name === round.contender);
  if (contender === undefined) throw new Error(`there is no contender ${round.contender}`);
  return secondsHere(contender, callsOf(round));
});
