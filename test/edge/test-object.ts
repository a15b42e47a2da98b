// The object of the tests.

import { TollgateObject } from "../../src/edge/edge.ts";
import { BOUNDS } from "../../src/edge/object.ts";

/** An object that a test can look into. */
export class TestObject extends TollgateObject {
  override bounds = { ...BOUNDS };

  setBounds(bounds: object): void {
    Object.assign(this.bounds, bounds);
  }

  rows(statement: string): unknown[] {
    return [...this.ctx.storage.sql.exec(statement).raw()];
  }

  alarmAtMs(): Promise<number | null> {
    return this.ctx.storage.getAlarm();
  }

  /** Ends the object at once, as the runtime does; the next call starts another on the same data. */
  evict(): void {
    (this.ctx as unknown as { abort(reason: string): void }).abort("evicted");
  }
}
