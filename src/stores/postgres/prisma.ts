// A generated Prisma client. It does not allow to destroy a connection, nor to see how its pool is set up.

import type { SetupCheck } from "../../store/store.ts";
import { answered, type Database, firstColumns, patienceMs, type Query, SELECT_TIMEOUTS } from "./database.ts";

/** A generated Prisma client on Postgres. */
export interface PrismaLike {
  $queryRawUnsafe(text: string, ...values: unknown[]): PromiseLike<unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: its own types are generated.
  $transaction(run: (client: any) => Promise<any>, options?: any): Promise<any>;
}

/** How many deadlines a transaction may take after it has its connection. */
const WAITS = 4;

export class PrismaDatabase implements Database {
  readonly #prisma: PrismaLike;
  readonly #deadlineMs: number;
  readonly #patienceMs: number;

  constructor(prisma: PrismaLike, deadlineMs: number) {
    this.#prisma = prisma;
    this.#deadlineMs = deadlineMs;
    this.#patienceMs = patienceMs(deadlineMs);
  }

  // In no transaction of its own, which would be four more statements: its pool says how long the server may take for one.
  readonly query: Query = (text, values) => this.#ask(this.#prisma, text, values);

  async run(text: string, value: string): Promise<void> {
    await this.query(text, [value]);
  }

  transaction<Value>(run: (query: Query) => Promise<Value>): Promise<Value> {
    const timeout = WAITS * this.#deadlineMs;
    const options = { maxWait: this.#deadlineMs, timeout, isolationLevel: "ReadCommitted" };
    const transaction = this.#prisma.$transaction(async (client: PrismaLike) => {
      const query: Query = (text, values) => this.#ask(client, text, values);
      await query(SELECT_TIMEOUTS, [String(this.#deadlineMs)]);
      return run(query);
    }, options);
    return answered(this.#deadlineMs + timeout + this.#patienceMs, transaction);
  }

  settings(): readonly SetupCheck[] {
    return [];
  }

  async #ask(client: PrismaLike, text: string, values: readonly string[] = []): Promise<readonly unknown[]> {
    return firstColumns(await answered(this.#patienceMs, client.$queryRawUnsafe(text, ...values)));
  }
}
