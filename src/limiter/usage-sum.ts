// The usage of a call so far, as its function adds it with `addUsage`. The work is done already by then, so nothing here throws.
// An unusable figure leaves the estimate that was held in place.

import type { Cost } from "../kernel/call.ts";
import { costFault, unitNameFault, unitCountFault } from "../kernel/charge.ts";
import { type Fault, formatGot } from "../kernel/errors.ts";

/** Options of `addUsage`. */
export interface AddUsageOptions {
  /**
   * Whether the figures are a lower bound: more was used, and it is unknown how much, as when a stream breaks off. Every held
   * unit is then charged at least what was held. Default `false`: the figures are the usage since the last ones.
   */
  readonly atLeast?: boolean | undefined;
  /** Whether units that no limit of the policy counts are skipped without an event. Default `false`. */
  readonly skipUnknown?: boolean | undefined;
  /** With `atLeast`, the reason: emits `usage.unusable` with what was expected and what was found. */
  readonly fault?: Pick<Fault, "expected" | "got"> | undefined;
}

/** Adds to the usage of a call, by unit. Never throws: a wrong figure emits `usage.unusable`. */
export type AddUsage<Unit extends string = string> = {
  // As a method it also fits where one for any unit is expected.
  addUsage(usage: Cost<Unit>, options?: AddUsageOptions): void;
}["addUsage"];

/** The fault of a usage. `unit` is `null` when the usage as a whole is wrong. */
export interface UnusableUsage extends Pick<Fault, "expected" | "got"> {
  readonly unit: string | null;
}

/** The most faults that are emitted for one call: a function that adds in a loop must not flood the listener. */
const MAX_EMITTED = 16;
/** Characters of a unit's name that an event shows. */
const MAX_NAME = 64;

export class UsageSum {
  readonly #units: ReadonlySet<string>;
  readonly #held: Cost;
  readonly #emit: (unusable: UnusableUsage) => void;
  readonly #sums = new Map<string, number>();
  /** Units that are charged at least what was held. */
  readonly #uncertain = new Set<string>();
  /** Faults that were emitted, each once. */
  readonly #emitted = new Set<string>();
  #isOver = false;

  /**
   * @param units the units that some limit of the policy counts
   * @param held how much of each unit is held
   */
  constructor(units: ReadonlySet<string>, held: Cost, emit: (unusable: UnusableUsage) => void) {
    this.#units = units;
    this.#held = held;
    this.#emit = emit;
  }

  readonly add: AddUsage = (usage, options) => {
    ignoreRejection(usage);
    if (this.#isOver) {
      this.#unusable(null, { expected: "addUsage before the function of run has ended", got: "one after it" });
      return;
    }
    try {
      this.#add(usage, options ?? {});
    } catch (error) {
      // A getter of the usage threw.
      this.#holdAll();
      this.#unusable(null, { expected: "an object of whole numbers by unit", got: formatGot(error) });
    }
  };

  /** The usage as far as it is known. Units that are not named are charged what was held. */
  soFar(): Cost {
    const actual: Record<string, number> = Object.fromEntries(this.#sums);
    for (const unit of this.#uncertain) actual[unit] = Math.max(this.#sums.get(unit) ?? 0, this.#held[unit] ?? 0);
    return actual;
  }

  end(): Cost {
    this.#isOver = true;
    return this.soFar();
  }

  #add(usage: Cost, { atLeast = false, skipUnknown = false, fault }: AddUsageOptions): void {
    if (atLeast) this.#holdAll();
    if (fault !== undefined) this.#unusable(null, fault);
    const whole = costFault(usage);
    if (whole !== null) {
      this.#holdAll();
      this.#unusable(null, whole);
      return;
    }
    for (const [unit, units] of Object.entries(usage)) {
      const unknown = unitNameFault(this.#units, unit);
      const wrong = unknown ?? unitCountFault(unit, units);
      if (wrong === null) {
        this.#sums.set(unit, Math.min((this.#sums.get(unit) ?? 0) + units, Number.MAX_SAFE_INTEGER));
        continue;
      }
      ignoreRejection(units);
      if (unknown !== null && skipUnknown) continue;
      if (Object.hasOwn(this.#held, unit)) this.#uncertain.add(unit);
      this.#unusable(unit, wrong);
    }
  }

  #holdAll(): void {
    for (const unit of Object.keys(this.#held)) this.#uncertain.add(unit);
  }

  #unusable(unit: string | null, { expected, got }: Pick<Fault, "expected" | "got">): void {
    const key = JSON.stringify([unit, expected]);
    if (this.#emitted.size >= MAX_EMITTED || this.#emitted.has(key)) return;
    this.#emitted.add(key);
    this.#emit({ unit: unit?.slice(0, MAX_NAME) ?? null, expected, got });
  }
}

/** A promise is no usage. A rejected one must not end the process. */
function ignoreRejection(value: unknown): void {
  try {
    if (value instanceof Promise) value.catch(() => {});
  } catch {
    // A proxy that throws.
  }
}
