// One of the processes of race.test.ts: callers that all want the same quota, for a bounded time.

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { createLimiter, type PolicyInput, StoreError } from "tollgate";
import type { Store } from "tollgate/store";
import { counterStore } from "tollgate/stores/counter";
import { columnOf, documentStore } from "tollgate/stores/document";
import { postgresStore } from "tollgate/stores/postgres";
import { redisStore } from "tollgate/stores/redis";
import { type ClusterClient, connectToCluster } from "../cluster-clients.ts";

/** On a cluster: by which client. */
export type Kind = "postgres" | "column" | "counter" | ClusterClient;

export interface Race {
  readonly kind: Kind;
  /** Where: the URL of a Postgres or a Redis, or `host:port` of one of a cluster. */
  readonly home: string;
  readonly policy: PolicyInput;
  readonly callers: number;
  /** Sessions that the callers are of, by turns. */
  readonly sessions: readonly string[];
  /** When all processes begin, epoch ms. */
  readonly startMs: number;
  readonly forMs: number;
}

export interface RaceResult {
  readonly decisions: number;
  readonly admitted: Readonly<Record<string, number>>;
  /** Calls that failed, by code. */
  readonly failed: Readonly<Record<string, number>>;
}

/** When a caller ends that was not denied. */
const LATEST_MS = 20_000;

const opened: (() => unknown)[] = [];

async function storeAt(kind: Kind, home: string): Promise<Store> {
  if (kind === "postgres" || kind === "column") {
    const pool = new pg.Pool({ connectionString: home, max: 10 });
    opened.push(() => pool.end());
    if (kind === "postgres") return postgresStore(pool, { deadlineMs: 10_000 });
    return documentStore(columnOf(pool, { table: "sessions", column: "state", deadlineMs: 10_000 }));
  }
  if (kind === "counter") {
    const client = new Redis(home, { autoResendUnfulfilledCommands: false });
    opened.push(() => client.disconnect());
    return counterStore({
      async increment(key, by, ttlSeconds) {
        const answers = await client.multi().incrby(key, by).expire(key, ttlSeconds, "NX").exec();
        return Number(answers?.[0]?.[1]);
      },
    });
  }
  const [host = "", port] = home.split(":");
  const { client, close } = await connectToCluster(kind, { addresses: [{ host, port: Number(port) }] });
  opened.push(close);
  return redisStore(client, { deadlineMs: 10_000 });
}

async function race({ kind, home, policy, callers, sessions, startMs, forMs }: Race): Promise<RaceResult> {
  const limiter = createLimiter({ policy, store: await storeAt(kind, home), failover: { deadlineMs: 10_000 } });
  const admitted: Record<string, number> = {};
  const failed: Record<string, number> = {};
  let decisions = 0;
  await sleep(startMs - Date.now());
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      const session = sessions[caller % sessions.length] ?? "";
      let isDenied = false;
      // On a slow machine, until the quota is used up.
      while (Date.now() < startMs + (isDenied ? forMs : LATEST_MS)) {
        try {
          const { allowed } = await limiter.consume({ tool: "search", session, user: "u1" });
          decisions++;
          isDenied ||= !allowed;
          if (allowed) admitted[session] = (admitted[session] ?? 0) + 1;
        } catch (error) {
          const code = StoreError.isInstance(error) ? error.code : String(error);
          failed[code] = (failed[code] ?? 0) + 1;
        }
      }
    }),
  );
  await limiter.close();
  for (const close of opened.splice(0)) await close();
  return { decisions, admitted, failed };
}

process.on("message", async (message: Race) => process.send?.(await race(message)));
process.on("disconnect", () => process.exit());
process.send?.("ready");
