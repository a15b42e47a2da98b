// Statements that are prepared once on each connection of a pool, so that the server plans them once. Where a connection of
// the pool is not always the same one of the server, as behind a pooler, they are sent with all of their text.

import type { Query } from "./database.ts";
import { isPlanLost } from "./errors.ts";
import { type Asked, executed, inlined, prepared } from "./statement.ts";

/**
 * Goes before a prepared statement: it has one plan for all parameters, by the primary key. A table that was small when its
 * plan was made may be large by now.
 */
const BY_KEY = "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off";

export class Plans {
  #isKept = true;
  readonly #names = new WeakMap<object, Set<string>>();

  /**
   * Prepares the statements that a connection does not have yet.
   *
   * @param timeouts the statements that set the server's deadlines: a locked table is waited for
   */
  async prepare(
    connection: object,
    timeouts: string,
    asked: readonly Pick<Asked, "statement">[],
    ask: Query,
  ): Promise<void> {
    if (!this.#isKept) return;
    const names = this.#names.get(connection) ?? new Set();
    const missing = asked.map(({ statement }) => statement).filter(({ name }) => !names.has(name));
    if (missing.length === 0) return;
    try {
      await ask([timeouts, ...missing.map(prepared)].join("; "));
    } catch (error) {
      if (isPlanLost(error)) return;
      throw error;
    }
    for (const { name } of missing) names.add(name);
    this.#names.set(connection, names);
  }

  get isKept(): boolean {
    return this.#isKept;
  }

  /** The first message of a transaction. */
  first(start: string, asked: readonly Asked[]): string {
    return [start, ...(this.#isKept ? [BY_KEY] : []), ...asked.map((each) => this.#textOf(each))].join("; ");
  }

  /** Its last message. */
  last(asked: readonly Asked[]): string {
    return [...asked.map((each) => this.#textOf(each)), "COMMIT"].join("; ");
  }

  #textOf(asked: Asked): string {
    return this.#isKept ? executed(asked) : inlined(asked);
  }

  /** Notes an error of a message: plans that were lost once are not kept any more. */
  failed(error: unknown): void {
    if (isPlanLost(error)) this.#isKept = false;
  }
}
