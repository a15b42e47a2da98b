// The part of a Redis in which one script call is atomic: a server, or a shard of a cluster. It maps the names of keys to those of the
// shard. Which requests are in which shard is decided in cluster.ts.

import type { StoreRequest } from "../../kernel/request.ts";
import { MARK_KEY } from "../../kernel/receipts.ts";
import { networkLayers } from "../../layers/network.ts";
import { validTime } from "../../store/check.ts";
import type { StoreError } from "../../store/error.ts";
import { type Beat, type Member, type SharedStore, type Terms, TermsError } from "../../store/shared-store.ts";
import type { Batching, SetupCheck, StoreAnswer } from "../../store/store.ts";
import { type Part, partsOf, type ScriptCall, ScriptCalls } from "./arguments.ts";
import { beatThrough, renewalCall } from "./beat.ts";
import type { LastFault } from "./client-events.ts";
import type { ShardLink, Way } from "./link.ts";
import { scriptReplies } from "./replies.ts";
import { runScript, type Script, scriptOf } from "./run-script.ts";
import type { ShardPlace } from "./shards.ts";

/** At most 256 requests in a batch, and 4 batches in flight: while Redis decides one, the next ones are prepared. */
export const BATCHING: Batching = { size: 256, underWay: 4, spread: true };

/** A shard among others. */
export interface AmongShards extends ShardPlace {
  readonly counts: boolean;
  /** Renews the marks of all shards whose server is another one than before. */
  renewAll(): Promise<void>;
}

export class RedisShard implements SharedStore {
  readonly layers = networkLayers;
  readonly batching = BATCHING;
  readonly deadlineMs: number;
  readonly lastFault: LastFault;
  readonly #link: ShardLink;
  /** `null` for one server. */
  readonly #among: AmongShards | null;
  readonly #apply: Script;
  readonly #beat: Script;
  readonly #calls = new ScriptCalls();
  /** Whether the server may not know the script: the next beat loads it. */
  #mustLoadScript = true;
  /** As the last beat said. */
  #incarnation: string | undefined;

  constructor(link: ShardLink, among: AmongShards | null) {
    this.#link = link;
    this.#among = among;
    this.deadlineMs = link.deadlineMs;
    this.lastFault = link.lastFault;
    this.#apply = scriptOf("apply", link.clock);
    this.#beat = scriptOf("beat", link.clock);
  }

  get clock() {
    return this.#link.clock;
  }

  async apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<readonly StoreAnswer[]> {
    this.#link.checkOpen();
    return this.runAll(requests, this.#link.within(leftMs));
  }

  async book(requests: readonly StoreRequest[], terms: Terms): Promise<readonly StoreAnswer[]> {
    this.#link.checkOpen();
    // No deadline of its own, as for a beat.
    return this.runAll(requests, this.#link.unbound, terms);
  }

  async beat(member: Member): Promise<Beat> {
    this.#link.checkOpen();
    // No deadline: the failover layer decides how long it waits for a beat.
    const way = this.#link.unbound;
    const beat = await beatThrough(member, this.#among, (call) => this.#call(this.#beat, call, way));
    const before = this.#incarnation;
    this.#incarnation = beat.incarnation;
    if (this.#mustLoadScript) {
      // Books nothing, but the server knows the script afterwards.
      await this.#run({ requests: [], terms: undefined, part: 0 }, way);
      this.#mustLoadScript = false;
    } else if (before !== undefined && before !== beat.incarnation) {
      // Its server may have other shards, and know the script from an earlier time.
      this.#among?.renewAll().catch(() => {});
    }
    return beat;
  }

  /** Renews the mark, if there is one and its server is another one than when it was made. */
  async renew(): Promise<void> {
    await this.#call(this.#beat, renewalCall(this.#among), this.#link.unbound);
  }

  setup(): Promise<readonly SetupCheck[]> {
    return this.#link.setup();
  }

  /** Closes the store, where this is all of it. */
  async close(): Promise<void> {
    if (this.#among !== null) return;
    this.#link.end();
    this.#link.close();
  }

  runAll(requests: readonly StoreRequest[], way: Way, terms?: Terms): Promise<StoreAnswer[]> {
    const parts = partsOf(requests);
    // A receipt is written for an empty batch too.
    const isOne = parts.length === 1 || (parts.length === 0 && terms !== undefined);
    return isOne ? this.#run({ requests, terms, part: 0 }, way) : this.#runParts(parts, way, terms);
  }

  async #runParts(parts: readonly (readonly StoreRequest[])[], way: Way, terms?: Terms): Promise<StoreAnswer[]> {
    // Each part is a script of its own: when one fails, the others may have been booked.
    const results = await Promise.allSettled(
      parts.map((each, part) => this.#run({ requests: each, terms, part }, way)),
    );
    const [first] = results;
    const haveAllFailed = results.every(({ status }) => status === "rejected");
    // Without any answer the batch fails as one: the sender then asks the receipts what was booked.
    if (terms !== undefined && haveAllFailed && first?.status === "rejected") throw first.reason;
    return results.flatMap((result, i) =>
      result.status === "fulfilled" ? result.value : (parts[i] ?? []).map(() => result.reason as StoreError),
    );
  }

  #run(part: Part, way: Way): Promise<StoreAnswer[]> {
    const call = this.#calls.of(part);
    const beforeLoad = part.terms?.incarnation === undefined ? this.#mayLoad : this.#serverHasForgotten;
    const answered = this.#ask(this.#apply, call, way, beforeLoad);
    return answered.then((answer) => scriptReplies(part, call.keys, answer as unknown[]), this.#link.fail);
  }

  #call(script: Script, call: ScriptCall, way: Way): Promise<unknown[]> {
    return this.#ask(script, call, way).catch(this.#link.fail) as Promise<unknown[]>;
  }

  #ask(
    script: Script,
    { keys, args }: ScriptCall,
    way: Way,
    beforeLoad: () => Promise<void> = async () => {},
  ): Promise<unknown> {
    const named = this.#named(keys);
    const all = [named.length, ...named, ...args];
    if (this.clock !== undefined) all.push(validTime(this.clock.nowMs()));
    return runScript(script, way, all, beforeLoad);
  }

  /** The keys as the server has them. */
  #named(keys: readonly string[]): readonly string[] {
    if (this.#among === null) return keys;
    const { prefix } = this.#among;
    // A script without keys would go to any server.
    return keys.length === 0 ? [prefix + MARK_KEY] : keys.map((key) => prefix + key);
  }

  /**
   * Another shard of a server that does not know the script may have a mark that is out of date. While the server does not know the
   * script it refuses batches for that shard too; so the marks are renewed before it gets to know it.
   */
  readonly #mayLoad = async (): Promise<void> => {
    await this.#among?.renewAll();
  };

  /**
   * A server that does not know the script has been started, or has taken over, since the last beat. So the incarnation that the
   * sender knows may be out of date. The next beat loads the script.
   */
  readonly #serverHasForgotten = async (): Promise<never> => {
    this.#mustLoadScript = true;
    const message =
      "the server has forgotten its scripts since the sender last heard of it, and may have lost what it held";
    throw new TermsError("other-incarnation", message);
  };
}
