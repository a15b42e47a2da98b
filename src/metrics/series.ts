// The series of a metric, by the values of its labels. Each series is made once.

import { OTHER } from "./attributes.ts";
import type { Metric } from "./table.ts";

/** The value of a label; `null`: the series does not have it. */
export type Value = string | boolean | null;

/** One series of a metric. */
export interface Series {
  /** Adds to a counter, sets a gauge, or takes a value into a histogram. */
  put(value: number): void;
}

/** Where metrics go: OpenTelemetry, or Prometheus. */
export interface Exporter {
  /** @param values of the metric's labels, and then of those that OpenTelemetry alone has */
  series(metric: Metric, values: readonly Value[]): Series;
}

type Level = Map<Value, Level | Series>;

/** The series of one metric. */
export class Family {
  readonly #exporter: Exporter;
  readonly #metric: Metric;
  readonly #levels: Level = new Map();

  constructor(exporter: Exporter, metric: Metric) {
    this.#exporter = exporter;
    this.#metric = metric;
  }

  /** The series with these values. Callers bound how many values there are. */
  of(...values: readonly Value[]): Series {
    let level = this.#levels;
    const last = values.length - 1;
    for (let i = 0; i < last; i++) {
      const value = values[i] as Value;
      let next = level.get(value) as Level | undefined;
      if (next === undefined) {
        next = new Map();
        level.set(value, next);
      }
      level = next;
    }
    const value = values[last] ?? null;
    let series = level.get(value) as Series | undefined;
    if (series === undefined) {
      series = this.#exporter.series(this.#metric, values);
      level.set(value, series);
    }
    return series;
  }
}

/** Bounds the values of a label that come from outside: further values become `_OTHER`. */
export class Names {
  readonly #max: number;
  readonly #known = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  of(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= this.#max) return OTHER;
    this.#known.add(name);
    return name;
  }
}
