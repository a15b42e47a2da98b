// A process with many idle instances, each with a connection of its own. It answers how many decide without Redis.

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createLimiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { answerParent } from "../children.ts";

export interface Task {
  /** How many more instances to open. */
  readonly open: number;
  /** From now on, watch the instances that decide without Redis. */
  readonly watch?: boolean;
}

export interface State {
  /** How many of the watched instances still decide without Redis. */
  readonly away: number;
}

const OPENED_TOGETHER = 25;

const port = Number(process.argv[2]);
const away = new Set<number>();
let watched = new Set<number>();
let count = 0;

async function open(): Promise<void> {
  const client = new Redis(port, "127.0.0.1", { lazyConnect: true, autoResendUnfulfilledCommands: false });
  await client.on("error", () => {}).connect();
  const number = count++;
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
  await limiter.consume({ tool: "search", session: `${process.pid}-${number}` });
}

answerParent(async (task: Task): Promise<State> => {
  for (let opened = 0; opened < task.open; opened += OPENED_TOGETHER) {
    await Promise.all(Array.from({ length: Math.min(OPENED_TOGETHER, task.open - opened) }, open));
    await sleep(1);
  }
  if (task.watch === true) watched = new Set(away);
  return { away: watched.size };
});
