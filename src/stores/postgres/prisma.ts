// A generated Prisma client. It does not allow to destroy a connection, nor to see how its pool is set up.

import { answered, type Database, firstColumns, patienceMs, type Query, SELECT_TIMEOUTS } from "./database.ts";
import type { Asked } from "./statement.ts";

/** A generated Prisma client on Postgres. */
export interface PrismaLike {
  $queryRawUnsafe(text: string, ...values: unknown[]): PromiseLike<unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: its own types are generated.
  $transaction(run: (client: any) => Promise<any>, options?: any): Promise<any>;
}

/** How many deadlines a transaction may take after it has its connection. */
const DEADLINES_PER_TRANSACTION = 4;

/** @param deadlineMs for each statement */
export function prismaDatabase(prisma: PrismaLike, deadlineMs: number): Database {
  const waitMs = patienceMs(deadlineMs);
  const queryOn = (client: PrismaLike): Query => {
    return async (text, values = []) => firstColumns(await answered(waitMs, client.$queryRawUnsafe(text, ...values)));
  };
  // In no transaction of its own, which would be four more statements: its pool says how long the server may take for one.
  const query = queryOn(prisma);
  const transaction = <Value>(run: (query: Query) => Promise<Value>): Promise<Value> => {
    const timeout = DEADLINES_PER_TRANSACTION * deadlineMs;
    const options = { maxWait: deadlineMs, timeout, isolationLevel: "ReadCommitted" };
    const transacted = prisma.$transaction(async (client: PrismaLike) => {
      const ask = queryOn(client);
      await ask(SELECT_TIMEOUTS, [String(deadlineMs)]);
      return run(ask);
    }, options);
    return answered(deadlineMs + timeout + waitMs, transacted);
  };
  return {
    query,
    transaction,
    often: (asked) => (asked.length === 1 ? lastOf(query, asked) : transaction((ask) => lastOf(ask, asked))),
    keepsPlans: false,
    exchange: (asked, write, decide) =>
      transaction(async (ask) => {
        const [value, written] = decide(await lastOf(ask, asked));
        if (written !== null) await ask(write.text, written);
        return value;
      }),
    settings: () => [],
  };
}

async function lastOf(ask: Query, asked: readonly Asked[]): Promise<readonly unknown[]> {
  let answer: readonly unknown[] = [];
  for (const {
    statement: { text },
    values,
  } of asked)
    answer = await ask(text, values);
  return answer;
}
