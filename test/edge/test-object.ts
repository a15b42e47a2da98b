// The object of the tests.

import { TollgateObject } from "../../src/edge/edge.ts";
import { BOUNDS } from "../../src/edge/object.ts";

interface Cursor {
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

/** What ran since the rows were counted last; `null`: nothing is counted. */
let statements: Cursor[] | null = null;

/** An object that a test can look into. */
export class TestObject extends TollgateObject {
  override bounds = { ...BOUNDS };

  #fault: "fails" | "hangs" | "loses" | null = null;

  #hung = 0;

  /** How many batches have hung. */
  hung(): number {
    return this.#hung;
  }

  /** `loses`: it decides, and its answer is lost. */
  setFault(fault: "fails" | "hangs" | "loses" | null): void {
    this.#fault = fault;
  }

  override async decide(batch: string): Promise<string> {
    if (this.#fault === "fails") throw new Error("the object is away");
    if (this.#fault === "hangs") {
      this.#hung++;
      await new Promise((resolve) => setTimeout(resolve, 10_000));
    }
    const answer = await super.decide(batch);
    if (this.#fault === "loses") throw new Error("the answer is lost");
    return answer;
  }

  /** The rows that statements have read and written, which are counted from the first call on. */
  rowsCounted(): readonly [read: number, written: number] {
    const sum = (of: keyof Cursor) => (statements ?? []).reduce((count, each) => count + each[of], 0);
    const counted = [sum("rowsRead"), sum("rowsWritten")] as const;
    if (statements === null) countStatements(Object.getPrototypeOf(this.ctx.storage.sql));
    statements = [];
    return counted;
  }

  setBounds(bounds: object): void {
    Object.assign(this.bounds, bounds);
  }

  rows(statement: string): unknown[] {
    return [...this.ctx.storage.sql.exec(statement).raw()];
  }

  alarmAtMs(): Promise<number | null> {
    return this.ctx.storage.getAlarm();
  }

  async runAlarm(): Promise<void> {
    await this.alarm();
  }

  /** Ends the object at once, as the runtime does; the next call starts another on the same data. */
  evict(): void {
    (this.ctx as unknown as { abort(reason: string): void }).abort("evicted");
  }
}

function countStatements(sql: { exec(...args: unknown[]): Cursor }): void {
  const { exec } = sql;
  sql.exec = function (...args) {
    const cursor = exec.apply(this, args);
    statements?.push(cursor);
    return cursor;
  };
}
