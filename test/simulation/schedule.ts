// A schedule: all that will happen in a run, as data. It is made from a seed (make-schedule.ts), run (run.ts), and made smaller by
// leaving out items (shrink.ts). Times are of the world, ms.

import type { PolicyInput } from "tollgate";
import type { Batching } from "../../src/store/api.ts";
import type { ClockFault } from "./machine.ts";
import type { NetworkRules } from "./network.ts";
import type { Refusal, Successor } from "./node.ts";

export interface Schedule {
  readonly seed: string;
  readonly settings: Settings;
  /** The policy that all instances begin with, and those that they may reload. */
  readonly policies: readonly PolicyInput[];
  readonly instances: readonly InstancePlan[];
  readonly faults: readonly Fault[];
  readonly calls: readonly PlannedCall[];
  /** From then on nothing is wrong, and calls have ended. */
  readonly calmAtMs: number;
}

/** What holds for the whole run. */
export interface Settings {
  readonly deadlineMs: number;
  readonly batching: Batching;
  readonly denyCacheMs: number;
  readonly hasFailover: boolean;
  /** Whether instances are told how many they are. */
  readonly knowsInstances: boolean;
  /** How late timers may be, ms. */
  readonly jitterMs: number;
  readonly messageMs: readonly [least: number, most: number];
  /** Absent: the store is one server. */
  readonly cluster?: ClusterPlan;
}

export interface ClusterPlan {
  readonly nodes: number;
  /** The node that each shard is on at first. */
  readonly shards: readonly number[];
}

/** Which nodes of a cluster a fault is about. Absent: all; and the server, where there is only one. */
interface OfNodes {
  readonly nodes?: readonly number[];
}

export interface InstancePlan {
  /** What runs in it: a limiter in front of the store, a service with one, or a client of services. */
  readonly role: "limiter" | "service" | "client";
  readonly startMs: number;
  readonly clock: ClockFault;
  readonly hasJournal: boolean;
}

/** Something that goes wrong, or that an operator does to a process. */
export type Fault =
  | ServerFault
  | { readonly type: "clock"; readonly atMs: number; readonly instance: number; readonly jumpMs: number }
  | { readonly type: "pause"; readonly atMs: number; readonly forMs: number; readonly instance: number }
  /** The process ends at once. `losesWrites`: its machine does too, with what the journal last wrote. `againAfterMs`: it starts again. */
  | {
      readonly type: "kill";
      readonly atMs: number;
      readonly instance: number;
      readonly againAfterMs: number | null;
      readonly losesWrites: number;
    }
  | {
      readonly type: "close";
      readonly atMs: number;
      readonly instance: number;
      readonly withinMs: number;
      readonly againAfterMs: number | null;
    }
  | { readonly type: "reload"; readonly atMs: number; readonly instance: number; readonly policy: number }
  | { readonly type: "full-disk"; readonly atMs: number; readonly forMs: number; readonly instance: number };

/** What happens to the server, to nodes of the cluster, or on the way there. */
export type ServerFault = OfNodes &
  (
    | {
        readonly type: "network";
        readonly atMs: number;
        readonly forMs: number;
        readonly rules: NetworkRules;
        readonly instances: readonly number[];
      }
    /** The server ends. It, or another process, starts again with what it held `agoMs` ago; `null`: with nothing. */
    | {
        readonly type: "restart";
        readonly atMs: number;
        readonly forMs: number;
        readonly agoMs: number | null;
        /** Default: itself. */
        readonly successor?: Successor;
      }
    | { readonly type: "refuse"; readonly atMs: number; readonly forMs: number; readonly refusal: Refusal }
    /** Of the buckets that the server holds, in the order of their keys, one becomes unreadable. */
    | { readonly type: "damage"; readonly atMs: number; readonly nth: number }
    | { readonly type: "server-clock"; readonly atMs: number; readonly jumpMs: number }
    | { readonly type: "server-pause"; readonly atMs: number; readonly forMs: number }
    /** A shard moves to another node. Meanwhile its calls are to be tried again, or have no answer. */
    | {
        readonly type: "move";
        readonly atMs: number;
        readonly forMs: number;
        readonly shard: number;
        readonly to: number;
        readonly answers: boolean;
      }
  );

export type FaultType = Fault["type"];

/** A call of an agent. */
export interface Call {
  readonly tool: string;
  readonly session: string;
  readonly turn: string;
  readonly user: string;
  readonly cost?: Readonly<Record<string, number>>;
  readonly idempotencyKey?: string;
}

/** A bucket by its limit and the limit's dimensions. */
export type NamedBucket = { readonly limit: string } & Readonly<Record<string, string>>;

/** What a program asks of its limiter. */
export type PlannedCall = { readonly id: number; readonly atMs: number; readonly instance: number } & (
  | {
      readonly verb: "consume" | "record" | "peek";
      readonly call: Call;
      readonly maxWaitMs?: number;
      readonly abortAfterMs?: number;
    }
  | {
      readonly verb: "reserve";
      readonly call: Call;
      readonly maxWaitMs?: number;
      readonly leaseMs?: number;
      /** How the hold ends, after how long, and through which instance. */
      readonly ending: "settle" | "release" | "extend" | "never";
      readonly lastsMs: number;
      readonly endsOn: number;
      readonly tokens: number;
    }
  | {
      readonly verb: "run";
      readonly call: Call;
      readonly maxWaitMs?: number;
      readonly lastsMs: number;
      readonly tokens: number;
      readonly fails: boolean;
    }
  | { readonly verb: "usage"; readonly session: string; readonly user: string }
  | { readonly verb: "reset"; readonly bucket: NamedBucket }
  | {
      readonly verb: "grant";
      readonly bucket: NamedBucket;
      readonly grantId: string;
      readonly units: number;
      readonly durationMs: number;
    }
  | { readonly verb: "revoke"; readonly bucket: NamedBucket; readonly grantId: string }
);

export type Verb = PlannedCall["verb"];
