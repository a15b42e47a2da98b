// A process of many idle instances, each with a connection of its own. It opens some when it is told to, and says how many of
// them decide by themselves.

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createLimiter, type Limiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";

/** How many instances more there must be, and whether those are watched from now on that decide by themselves. */
export interface Task {
  readonly open: number;
  readonly watch?: boolean;
}

export interface State {
  readonly opened: number;
  /** How many of those that are watched still decide by themselves. */
  readonly away: number;
}

/** So many are opened at once. */
const AT_ONCE = 25;

const port = Number(process.argv[2]);
const limiters: Limiter[] = [];
const away = new Set<number>();
let watched = new Set<number>();

async function open(): Promise<void> {
  const client = new Redis(port, "127.0.0.1", { lazyConnect: true, autoResendUnfulfilledCommands: false });
  client.on("error", () => {});
  await client.connect();
  const number = limiters.length;
  const limiter = createLimiter({
    policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 100 }] },
    store: redisStore(client),
    onEvent: ({ type }) => {
      if (type === "store.unreachable") away.add(number);
      if (type !== "store.recovered") return;
      away.delete(number);
      watched.delete(number);
    },
  });
  limiters.push(limiter);
  await limiter.consume({ tool: "search", session: `${process.pid}-${number}` });
}

async function take(task: Task): Promise<State> {
  for (let opened = 0; opened < task.open; opened += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, task.open - opened) }, open));
    await sleep(1);
  }
  if (task.watch === true) watched = new Set(away);
  return { opened: limiters.length, away: watched.size };
}

process.on("message", async (task: Task) => process.send?.(await take(task)));
process.send?.({ opened: 0, away: 0 });
