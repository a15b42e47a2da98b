// What is counted of the service itself, as Prometheus text. Labels are the service's own words and the policy's names of
// limits, so that their number is bounded.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Decision } from "../kernel/decision.ts";

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** The numbers of one service. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #decisions;
  readonly #denials;
  readonly #requests;
  readonly #durations;
  readonly #refusals;
  readonly #inFlight;
  readonly #listeners;
  readonly #storeAway;
  readonly #reloads;
  readonly #byRequest = new Map<string, (seconds: number) => void>();
  readonly #byDecision: { inc(): void }[];

  constructor() {
    const registers = [this.#registry];
    const of = (name: string, help: string) => ({ name: `tollgate_${name}`, help, registers });
    this.#decisions = new Counter({
      ...of("decisions_total", "Decisions, also of items of batches."),
      labelNames: ["allowed", "degraded", "replayed"] as const,
    });
    this.#denials = new Counter({
      ...of("denials_total", "Denials by each limit that denied."),
      labelNames: ["limit"] as const,
    });
    this.#requests = new Counter({
      ...of("requests_total", "Requests by route and status."),
      labelNames: ["route", "status"] as const,
    });
    this.#durations = new Histogram({
      ...of("request_seconds", "From the whole header to the answer."),
      labelNames: ["route"] as const,
      buckets: SECONDS,
    });
    this.#refusals = new Counter({
      ...of("refusals_total", "What was refused before it came to a route."),
      labelNames: ["why"] as const,
    });
    this.#inFlight = new Gauge(of("requests_in_flight", "Requests under way."));
    this.#listeners = new Gauge(of("event_listeners", "Listeners to events."));
    this.#storeAway = new Gauge(of("store_away", "1 while this instance decides without the store."));
    this.#reloads = new Counter({
      ...of("policy_reloads_total", "Policies that were taken, or refused."),
      labelNames: ["taken"] as const,
    });
    const words = ["false", "true"];
    this.#byDecision = Array.from({ length: 8 }, (_, i) => {
      const [allowed = "", degraded = "", replayed = ""] = [i & 1, (i >> 1) & 1, i >> 2].map((bit) => words[bit]);
      return this.#decisions.labels({ allowed, degraded, replayed });
    });
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** @param inFlight requests under way */
  text(inFlight: number): Promise<string> {
    this.#inFlight.set(inFlight);
    return this.#registry.metrics();
  }

  decided({ allowed, degraded, replayed, verdicts }: Decision): void {
    this.#byDecision[Number(allowed) + 2 * Number(degraded !== null) + 4 * Number(replayed)]?.inc();
    if (allowed) return;
    for (const verdict of verdicts) if (!verdict.allowed) this.#denials.inc({ limit: verdict.limit });
  }

  answered(route: string, status: number, seconds: number): void {
    const key = `${route} ${status}`;
    let count = this.#byRequest.get(key);
    if (count === undefined) {
      const requests = this.#requests.labels({ route, status: String(status) });
      const durations = this.#durations.labels({ route });
      count = (taken) => {
        requests.inc();
        durations.observe(taken);
      };
      this.#byRequest.set(key, count);
    }
    count(seconds);
  }

  refused(why: "connections" | "malformed" | "slow-listener"): void {
    this.#refusals.inc({ why });
  }

  listeners(count: number): void {
    this.#listeners.set(count);
  }

  storeAway(isAway: boolean): void {
    this.#storeAway.set(isAway ? 1 : 0);
  }

  reloaded(taken: boolean): void {
    this.#reloads.inc({ taken: `${taken}` });
  }
}
