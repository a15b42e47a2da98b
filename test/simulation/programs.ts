// What runs in a process: a limiter in front of the store, a service with such a limiter, or a client of services.

import type { Decision, LimiterEvent, PolicyInput } from "tollgate";
import { localFailover } from "../../src/client/failover.ts";
import { createRemoteLimiter } from "../../src/client.ts";
import type { CompiledPolicy } from "../../src/kernel/limit.ts";
import { createHostedLimiter, type Limiter } from "../../src/limiter.ts";
import { requestIdOf } from "../../src/service/request-ids.ts";
import { createService } from "../../src/service/handler.ts";
import { ClusterConnection } from "./cluster/connection.ts";
import { Connection } from "./connection.ts";
import type { Surroundings } from "./instance.ts";
import type { SimulatedJournal } from "./journal.ts";
import type { Machine } from "./machine.ts";
import type { InstancePlan } from "./schedule.ts";

// The id of this process is drawn once: no run must be the one that draws it.
requestIdOf(null);

/** A process that runs. */
export interface Program {
  readonly limiter: Limiter;
  /** The policy is compiled again, so that layers get other objects than before, as in a process that reads a file. */
  reload(policy: PolicyInput): void;
  close(withinMs: number): Promise<void>;
}

interface Start {
  readonly plan: InstancePlan;
  readonly machine: Machine;
  readonly policy: CompiledPolicy;
  readonly journal: SimulatedJournal | null;
  readonly around: Surroundings;
  readonly onDecision: (decision: Decision, call: { readonly toolCallId?: string | null | undefined }) => void;
  readonly onEvent: (event: LimiterEvent) => void;
}

export function startProgram(start: Start): Program {
  if (start.plan.role === "client") return startClient(start);
  return start.plan.role === "service" ? startService(start) : startLimiter(start);
}

function startLimiter(start: Start): Program {
  const limiter = createHostedLimiter(limiterOptions(start));
  return {
    limiter,
    reload: (policy) => limiter.reload(policy),
    close: (withinMs) => limiter.close({ withinMs }),
  };
}

function startService(start: Start): Program {
  const { machine, around } = start;
  const service = createService({ ...limiterOptions(start), keys: false });
  around.services.add(machine, service);
  return {
    limiter: service.limiter,
    reload: (policy) => service.reload(policy),
    async close() {
      // The balancer sends it no more requests.
      around.services.remove(machine);
      await service.close();
    },
  };
}

function startClient({ plan, machine, policy, around, onDecision, onEvent }: Start): Program {
  const { schedule, services, network } = around;
  const { deadlineMs, hasFailover } = schedule.settings;
  const clients = schedule.instances.filter(({ role }) => role === plan.role).length;
  const limiter = createRemoteLimiter({
    url: "http://service",
    deadlineMs,
    fetch: services.fetchFrom(machine, network),
    ...(hasFailover ? { failover: localFailover({ policy, instances: clients }) } : {}),
    onDecision,
    onEvent,
  });
  return {
    limiter,
    reload(next) {
      if (hasFailover) limiter.reload(next);
    },
    close: (withinMs) => limiter.close({ withinMs }),
  };
}

function limiterOptions({ machine, policy, journal, around, onDecision, onEvent }: Start) {
  const { schedule } = around;
  const { deadlineMs, batching, denyCacheMs, hasFailover, knowsInstances } = schedule.settings;
  const limiters = schedule.instances.filter(({ role }) => role !== "client").length;
  const failover = {
    deadlineMs,
    instances: knowsInstances ? limiters : undefined,
    journal: journal ?? undefined,
  };
  const Connected = around.store.isCluster ? ClusterConnection : Connection;
  const store = new Connected(machine, around, batching);
  return { policy, store, denyCacheMs, failover: hasFailover ? failover : (false as const), onDecision, onEvent };
}
