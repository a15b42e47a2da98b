// One journal for all units of a store: an entry's key begins with its unit. It knows nothing of what an entry says.

import { StoreError } from "../../store/error.ts";
import type { Journal } from "../failover/options.ts";

/** How the key of an entry begins. */
const OF_UNIT = /^unit (\d+) /;

export class UnitJournals {
  readonly #journal: Journal;
  /** What an earlier process has left, by unit, with the keys of one unit's journal. */
  readonly #left = new Map<number, [key: string, text: string][]>();

  /**
   * @param count how many units there are
   * @throws StoreError `invalid-reply` for an entry of no unit
   */
  constructor(journal: Journal, count: number) {
    this.#journal = journal;
    for (const [key, text] of journal.entries()) {
      const [start, unit] = OF_UNIT.exec(key) ?? [];
      if (start === undefined || Number(unit) >= count) throw ofNoUnit();
      const own = this.#left.get(Number(unit)) ?? [];
      own.push([key.slice(start.length), text]);
      this.#left.set(Number(unit), own);
    }
  }

  /** The units for which an earlier process has left something. */
  get units(): readonly number[] {
    return [...this.#left.keys()];
  }

  of(unit: number): Journal {
    return {
      entries: () => {
        const left = this.#left.get(unit) ?? [];
        this.#left.delete(unit);
        return left;
      },
      write: (changes) =>
        this.#journal.write(new Map([...changes].map(([key, text]) => [`unit ${unit} ${key}`, text] as const))),
      // It is closed once, after all units.
      close: () => {},
    };
  }

  close(): void {
    this.#journal.close();
  }
}

function ofNoUnit(): StoreError {
  const message =
    "the journal has entries of a store without units: it was used with one server, or is damaged. " +
    "Give this instance another journal; the bookings of this one are lost";
  return new StoreError("invalid-reply", message, { transient: false });
}
