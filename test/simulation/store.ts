// The store of a world: one server, or the shards of a cluster on their nodes.

import { slotTag } from "../../src/stores/redis/slot-tag.ts";
import type { StoredState } from "../../src/store/api.ts";
import type { Act } from "./acts.ts";
import { Machine } from "./machine.ts";
import { StoreNode, type Successor } from "./node.ts";
import type { ClusterPlan, ServerFault } from "./schedule.ts";
import { StoreServer } from "./server.ts";
import type { World } from "./world.ts";

/** What a shard lost when another process came to answer for it. */
export interface Loss {
  readonly atMs: number;
  readonly shard: number;
  readonly before: ReadonlyMap<string, StoredState>;
  readonly after: ReadonlyMap<string, StoredState>;
  /** Whether that process knew the scripts already, or was given them by a sender that had not heard of it. */
  isUnnoticed: boolean;
}

type Move = Extract<ServerFault, { type: "move" }>;

export class SimulatedStore {
  readonly nodes: readonly StoreNode[];
  /** By shard. */
  readonly servers: readonly StoreServer[];
  readonly isCluster: boolean;
  readonly losses: Loss[] = [];
  /** Batches that a shard has decided before it was known that it had lost something. */
  readonly problems: string[] = [];

  constructor(world: World, cluster: ClusterPlan | undefined, onAct: (act: Act) => void) {
    const names = cluster === undefined ? ["server"] : Array.from({ length: cluster.nodes }, (_, i) => `node${i}`);
    this.isCluster = cluster !== undefined;
    this.nodes = names.map((name) => new StoreNode(new Machine(world, name, { drift: 0, aheadMs: 0 }, 0)));
    const places = cluster?.shards ?? [0];
    this.servers = places.map((node) => new StoreServer(this.nodeAt(node), onAct));
  }

  /** The nodes that a fault is about. */
  nodesOf({ nodes }: { readonly nodes?: readonly number[] }): readonly StoreNode[] {
    return nodes === undefined ? this.nodes : nodes.map((node) => this.nodeAt(node));
  }

  nodeAt(node: number): StoreNode {
    const found = this.nodes[node];
    if (found === undefined) throw new Error(`there is no node ${node}`);
    return found;
  }

  /** The shard of a key: all keys with one tag are in one. */
  shardOf(key: string): number {
    const count = this.servers.length;
    return count === 1 ? 0 : hashOf(slotTag(key)) % count;
  }

  at(shard: number): StoreServer {
    return this.servers[shard] as StoreServer;
  }

  of(key: string): StoreServer {
    return this.at(this.shardOf(key));
  }

  *states(): Generator<[key: string, state: StoredState]> {
    for (const { states } of this.servers) yield* states;
  }

  get largestBatch(): number {
    return Math.max(...this.servers.map(({ largestBatch }) => largestBatch));
  }

  /** Begins to move a shard to another node. Returns what ends it: if one of the nodes is not there, the shard stays. */
  move({ shard, to, answers }: Move): () => void {
    const server = this.at(shard);
    const target = this.nodeAt(to);
    const moving = { answers, waiting: [] as (() => void)[] };
    server.moving = moving;
    return () => {
      const { node } = server;
      if (server.moving === moving) {
        server.moving = null;
        if (node.isUp && target.isUp) {
          server.node = target;
          if (target.process.scripts.size > 0) this.#isNotNoticed(({ shard: lost }) => lost === shard);
        }
      }
      for (const go of moving.waiting) node.machine.world.after(0, node.machine, "message", go);
    };
  }

  /** Another process answers for a node, with what all its shards held so many ms ago. */
  restart(node: StoreNode, agoMs: number | null, successor: Successor): void {
    node.startAgain(successor);
    const isUnnoticed = node.process.scripts.size > 0;
    if (isUnnoticed) this.#isNotNoticed((loss) => this.at(loss.shard).node === node);
    for (const [shard, server] of this.servers.entries()) {
      if (server.node !== node) continue;
      const before = new Map(server.states);
      server.restart(agoMs, this.isCluster);
      const after = new Map(server.states);
      const { nowMs: atMs } = node.machine.world;
      if (this.isCluster && agoMs !== 0) this.losses.push({ atMs, shard, before, after, isUnnoticed });
    }
  }

  /** What shards have lost and no mark says yet, where a node has them that knows the script: it decides until the next beat. */
  #isNotNoticed(isThere: (loss: Loss) => boolean): void {
    for (const loss of this.losses) {
      if (isThere(loss) && this.at(loss.shard).markedAtMs < loss.atMs) loss.isUnnoticed = true;
    }
  }

  /** A shard has decided a batch of an instance that knows its mark. */
  decidedOn(shard: number, by: string): void {
    const { markedAtMs } = this.at(shard);
    const loss = this.losses.find((each) => each.shard === shard && each.atMs > markedAtMs && !each.isUnnoticed);
    if (loss === undefined) return;
    this.problems.push(
      `shard ${shard} decides a batch of ${by} by the mark from before its loss at ${loss.atMs.toFixed(0)} ms`,
    );
  }

  /** A process got its scripts from a sender that had renewed all marks before it answered. */
  loadedBlindly(node: StoreNode): void {
    const { sinceMs } = node.process;
    for (const loss of this.losses) {
      if (this.at(loss.shard).node === node && loss.atMs >= sinceMs) loss.isUnnoticed = true;
    }
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return (hash ^ (hash >>> 15)) >>> 0;
}
