// How a program asks its limiter: each planned call, what the log gets of it, and how its hold ends.

import type { Decision } from "tollgate";
import { inBackground, sleep } from "../../src/clock.ts";
import type { Hold, Limiter } from "../../src/limiter.ts";
import type { Instance, Surroundings } from "./instance.ts";
import { type Asked, failureOf } from "./log.ts";
import type { PlannedCall } from "./schedule.ts";

type Reserve = Extract<PlannedCall, { verb: "reserve" }>;

/** Makes a planned call on its instance, or on the next one that lives. */
export function makeCall(planned: PlannedCall, instances: readonly Instance[], around: Surroundings): void {
  const { world, log } = around;
  const inTurn = [...instances.slice(planned.instance), ...instances.slice(0, planned.instance)];
  const instance = inTurn.find(
    ({ program, isClosing, plan }) => program !== null && !isClosing && plan.role !== "service",
  );
  const machine = instance?.machine;
  const skip = () => log.add({ atMs: world.nowMs, type: "skipped", planned });
  if (instance === undefined || machine == null) skip();
  else {
    world.after(0, machine, "message", () => {
      const { program } = instance;
      if (program === null) skip();
      else void new CallOnInstance(planned, instance, program.limiter, instances, around).make();
    });
  }
}

class CallOnInstance {
  readonly #planned: PlannedCall;
  readonly #instance: Instance;
  readonly #limiter: Limiter;
  readonly #instances: readonly Instance[];
  readonly #around: Surroundings;

  constructor(
    planned: PlannedCall,
    instance: Instance,
    limiter: Limiter,
    instances: readonly Instance[],
    around: Surroundings,
  ) {
    this.#planned = planned;
    this.#instance = instance;
    this.#limiter = limiter;
    this.#instances = instances;
    this.#around = around;
  }

  async make(): Promise<void> {
    const { world, log, witness } = this.#around;
    const asked = this.#begin();
    log.add({
      atMs: world.nowMs,
      type: "asked",
      planned: this.#planned,
      on: this.#instance.name,
      policy: this.#instance.policy,
    });
    try {
      const result = await this.#ask((decision) => {
        const entry = { atMs: world.nowMs, type: "decided", decision, ...asked() } as const;
        log.add(entry);
        witness.see(entry);
      });
      if (result !== undefined) log.add({ atMs: world.nowMs, type: "done", result, ...asked() });
    } catch (error) {
      log.add({ atMs: world.nowMs, type: "failed", error: failureOf(error), ...asked() });
    }
  }

  /** Returns how the call stands at any later time. */
  #begin(): () => Asked {
    const { world } = this.#around;
    const instance = this.#instance;
    const { machine, name, policy } = instance;
    const planned = this.#planned;
    const askedAtMs = world.nowMs;
    const beganMs = machine?.monotonicMs() ?? 0;
    const pausedMs = machine?.pausedMs ?? 0;
    return () => ({
      planned,
      on: name,
      askedAtMs,
      tookMs: (machine?.monotonicMs() ?? 0) - beganMs,
      pausedMs: (machine?.pausedMs ?? 0) - pausedMs,
      policies: [policy, instance.policy],
    });
  }

  /** Asks the limiter. Returns what is no decision. */
  async #ask(decided: (decision: Decision) => void): Promise<unknown> {
    const planned = this.#planned;
    const limiter = this.#limiter;
    switch (planned.verb) {
      case "consume":
        return void decided(await limiter.consume(planned.call, { ...waitOf(planned), ...signalOf(planned) }));
      case "record":
      case "peek":
        return void decided(await limiter[planned.verb](planned.call));
      case "reserve": {
        const { call, leaseMs } = planned;
        const reserved = await limiter.reserve(call, {
          ...waitOf(planned),
          ...(leaseMs === undefined ? {} : { leaseMs }),
        });
        decided(reserved);
        if (reserved.allowed) this.#endLater(planned, reserved.hold.id);
        return;
      }
      case "run":
        return this.#run(planned, decided);
      case "usage":
        return limiter.usage({ session: planned.session, user: planned.user });
      case "reset":
        return limiter.reset(planned.bucket);
      case "grant": {
        const { bucket, grantId, units, durationMs } = planned;
        return limiter.grant(bucket, { id: grantId, units, durationMs });
      }
      case "revoke":
        return limiter.revoke(planned.bucket, planned.grantId);
    }
  }

  async #run(planned: Extract<PlannedCall, { verb: "run" }>, decided: (decision: Decision) => void): Promise<void> {
    const { world, log } = this.#around;
    const { call, lastsMs, tokens, fails } = planned;
    const on = this.#instance.name;
    let askedAtMs = 0;
    const ended = (how: string) =>
      log.add({ atMs: world.nowMs, type: "ended", planned, on, how, askedAtMs, status: "", error: null });
    const failure = new Error("the tool has failed");
    const toolCallId = `c${planned.id}`;
    this.#instance.decisions.set(toolCallId, decided);
    try {
      const ran = await this.#limiter.run(
        { ...call, toolCallId },
        async ({ addUsage }) => {
          await sleep(lastsMs);
          askedAtMs = world.nowMs;
          if (fails) throw failure;
          if (tokens > 0) addUsage({ tokens });
        },
        waitOf(planned),
      );
      if (ran.allowed) ended("run");
    } catch (error) {
      if (error !== failure) throw error;
      ended("run failed");
    } finally {
      this.#instance.decisions.delete(toolCallId);
    }
  }

  /** Ends a hold later, perhaps through another process. */
  #endLater(planned: Reserve, holdId: string): void {
    const { world, log } = this.#around;
    const { ending, lastsMs, endsOn, call, tokens } = planned;
    if (ending === "never") return;
    world.after(lastsMs, null, "turn", () => {
      const instance = this.#instances[endsOn];
      const machine = instance?.machine;
      if (instance === undefined || machine == null) return;
      world.after(0, machine, "message", async () => {
        const { program, name: on } = instance;
        if (program === null) return;
        const ended = { type: "ended", planned, on, how: ending, askedAtMs: world.nowMs } as const;
        try {
          const hold = program.limiter.getHold(holdId, call);
          const status = ending === "extend" ? await hold.extend() : await settled(hold, ending, tokens);
          log.add({ atMs: world.nowMs, ...ended, status: String(status), error: null });
        } catch (error) {
          log.add({ atMs: world.nowMs, ...ended, status: "failed", error: failureOf(error) });
        }
      });
    });
  }
}

async function settled(hold: Hold, ending: "settle" | "release", tokens: number) {
  const usage = tokens === 0 ? {} : { tokens };
  const { status } = ending === "settle" ? await hold.settle(usage) : await hold.release();
  return status;
}

function waitOf({ maxWaitMs }: { readonly maxWaitMs?: number }): { maxWaitMs?: number } {
  return maxWaitMs === undefined ? {} : { maxWaitMs };
}

function signalOf({ abortAfterMs }: { readonly abortAfterMs?: number }): { signal?: AbortSignal } {
  if (abortAfterMs === undefined) return {};
  const controller = new AbortController();
  inBackground(abortAfterMs, () => controller.abort(new Error("the caller has gone")));
  return { signal: controller.signal };
}
