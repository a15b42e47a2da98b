// What a report draws beside the sums of a simulation: how use adds up call by call, and how long sessions are.

import type { Judgement } from "../../kernel/answer.ts";
import type { TracedCall } from "../traced-call.ts";

/** Points of a line. */
const MAX_POINTS = 200;

/** How many units calls had taken by then: those that were allowed, and all. */
export interface Point {
  readonly calls: number;
  readonly allowed: number;
  readonly all: number;
}

export interface Line {
  readonly unit: string;
  readonly points: readonly Point[];
}

export class Series {
  readonly #every: number;
  readonly #sums = new Map<string, { allowed: number; all: number; points: Point[] }>();
  readonly #sessions = new Map<string, number>();
  #calls = 0;

  /** @param total how many calls there will be */
  constructor(total: number) {
    this.#every = Math.max(1, Math.ceil(total / MAX_POINTS));
  }

  add({ call }: TracedCall, { allowed, verdicts }: Judgement): void {
    this.#calls++;
    const session = String(call.session ?? "");
    this.#sessions.set(session, (this.#sessions.get(session) ?? 0) + 1);
    this.#take("calls", 1, allowed);
    const costs = new Map(verdicts.flatMap(({ unit, cost }) => (cost > 0 ? [[unit, cost] as const] : [])));
    costs.delete("calls");
    for (const [unit, cost] of costs) this.#take(unit, cost, allowed);
    if (this.#calls % this.#every === 0) this.#mark();
  }

  lines(): readonly Line[] {
    this.#mark();
    return [...this.#sums].map(([unit, { points }]) => ({ unit, points }));
  }

  /** How many calls each session made. */
  sessionLengths(): readonly number[] {
    return [...this.#sessions.values()];
  }

  #take(unit: string, units: number, isAllowed: boolean): void {
    const sum = this.#sums.get(unit) ?? { allowed: 0, all: 0, points: [] };
    this.#sums.set(unit, sum);
    sum.all += units;
    if (isAllowed) sum.allowed += units;
  }

  #mark(): void {
    for (const { points, allowed, all } of this.#sums.values()) {
      if (points.at(-1)?.calls !== this.#calls) points.push({ calls: this.#calls, allowed, all });
    }
  }
}
