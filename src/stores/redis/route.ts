// Which client the commands go through: the user's, or a spare that the store makes while the user's client gives no answers
// or its server has become a replica. The user's client is never touched: its other commands go on.

import { within } from "../../clock.ts";
import { MARK_KEY } from "../../kernel/receipts.ts";
import { type Connection, connectionOf, type RedisClient, type Send } from "./client.ts";
import { isServerError } from "./errors.ts";
import { Lane } from "./lane.ts";
import { type Life, type LifeListener, lifeOf } from "./life.ts";
import { OPEN_MS, type Spare, spareMaker } from "./spare.ts";

/** After so long without an answer the store asks a client once more; then it waits for so long, ms. */
const SILENT_MS = 1_500;
const PROBE_MS = 500;
/** The pause before the next spare doubles up to `most`. It starts again after a client has answered for `startsAgainAfter`. */
const PAUSE_MS = { first: 250, most: 1_500, startsAgainAfter: 10_000 };

export class Route implements LifeListener {
  readonly isCluster: boolean;
  readonly #user: Connection;
  readonly #life: Life;
  readonly #makeSpare: (() => Spare) | null;
  #lane: Lane;
  #laneSinceMs = performance.now();
  #pauseMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isSeeking = false;
  /** Spares that are not closed yet. */
  readonly #spares = new Set<Spare>();
  #isClosed = false;

  constructor(client: RedisClient) {
    this.#user = connectionOf(client);
    this.isCluster = this.#user.isCluster;
    this.#life = lifeOf(client);
    this.#makeSpare = spareMaker(client);
    this.#lane = this.#laneOf(this.#user, null);
  }

  readonly send: Send = (key, command, ...args) => {
    this.#watch();
    return this.#lane.send(key, command, ...args);
  };

  /** Ends what the store has made. The user's client stays as it is. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#life.listeners.delete(this);
    this.#closeSpares();
  }

  /** The user's client has connected again: it goes to the server that its user wants. */
  connected(): void {
    this.#use(this.#laneOf(this.#user, null));
  }

  ended(): void {
    this.#use(this.#laneOf(this.#user, null));
    this.#closeSpares();
  }

  #laneOf(connection: Connection, spare: Spare | null): Lane {
    return new Lane(connection, spare, (lane, key) => {
      if (lane !== this.#lane || this.isCluster) return;
      lane.isUnfit = true;
      void this.#seek("", key);
    });
  }

  #watch(afterMs: number = SILENT_MS): void {
    if (this.#timer !== undefined || this.#makeSpare === null || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      // Where this process itself was blocked, the answers may have arrived without being read.
      setImmediate(() => {
        this.#timer = undefined;
        this.#look();
      });
    }, afterMs).unref();
  }

  #look(): void {
    const silence = this.#lane.longestSilence();
    if (silence === null || this.#isSeeking || this.#isClosed || this.#life.isEnded) return;
    const leftMs = silence.sinceMs + SILENT_MS - performance.now();
    if (leftMs > 0) this.#watch(Math.ceil(leftMs));
    else void this.#seek(silence.tag, silence.key);
  }

  /** Makes one spare after the other until one answers, or the present client does. */
  async #seek(tag: string, key: string | undefined): Promise<void> {
    if (this.#isSeeking || this.#makeSpare === null) return;
    this.#isSeeking = true;
    this.#life.listeners.add(this);
    const lane = this.#lane;
    const isStuck = () => {
      const isOver = this.#isClosed || this.#life.isEnded || lane !== this.#lane;
      return !isOver && (lane.isUnfit || lane.isSilent(tag, SILENT_MS));
    };
    if (!lane.isUnfit) await isAnswering(lane, key, PROBE_MS);
    if (performance.now() - this.#laneSinceMs > PAUSE_MS.startsAgainAfter) this.#pauseMs = 0;
    while (isStuck()) {
      await this.#pause();
      if (!isStuck()) break;
      const next = await this.#open(this.#makeSpare, key);
      if (next === null) continue;
      if (isStuck()) {
        this.#use(next);
        // A cluster's other servers still answer.
        if (!this.isCluster) lane.abandon();
      } else this.#close(next.spare);
    }
    this.#isSeeking = false;
    this.#look();
  }

  /** Pauses, longer each time. The pause keeps no process alive. */
  async #pause(): Promise<void> {
    const ms = this.#pauseMs * (0.5 + Math.random() / 2);
    this.#pauseMs = Math.min(Math.max(2 * this.#pauseMs, PAUSE_MS.first), PAUSE_MS.most);
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms).unref());
  }

  #use(lane: Lane): void {
    const before = this.#lane;
    this.#lane = lane;
    this.#laneSinceMs = performance.now();
    const { spare } = before;
    if (spare === null || lane.spare === spare) return;
    // Some answers may still be in flight.
    setTimeout(() => this.#close(spare), OPEN_MS).unref();
  }

  /** A spare that has answered in time; else `null`. */
  async #open(makeSpare: () => Spare, key: string | undefined): Promise<Lane | null> {
    const endsAtMs = performance.now() + OPEN_MS;
    let spare: Spare | null = null;
    try {
      spare = makeSpare();
      this.#spares.add(spare);
      const lane = this.#laneOf(connectionOf(await within(OPEN_MS, spare.opened, { isAwaited: false })), spare);
      if (await isAnswering(lane, key, endsAtMs - performance.now())) return lane;
    } catch {
      // The caller tries the next one.
    }
    this.#close(spare);
    return null;
  }

  #close(spare: Spare | null): void {
    if (spare !== null && this.#spares.delete(spare)) spare.close();
  }

  #closeSpares(): void {
    for (const spare of this.#spares) this.#close(spare);
  }
}

/** Whether a server answers within `ms`, whatever it says. EXISTS is one of the commands that the user's rights include. */
async function isAnswering(lane: Lane, key: string | undefined, ms: number): Promise<boolean> {
  try {
    await within(ms, lane.send(key, "EXISTS", key ?? MARK_KEY), { isAwaited: false });
    return true;
  } catch (error) {
    return isServerError(error);
  }
}
