// Which client the commands go through: the user's, or a spare that the store makes while the user's client gives no answers
// or its server has become a replica. The user's client is never touched: its other commands go on.

import { inBackground, inNextTurn, monotonicClock, spread, type Timer } from "../../clock.ts";
import { within } from "../../deadlines.ts";
import { MARK_KEY } from "../../kernel/receipts.ts";
import { type Connection, connectionOf, type RedisClient, type Send } from "./client.ts";
import { wordOf } from "./errors.ts";
import { type ClientListener, eventsOf } from "./client-events.ts";
import { ClientInUse } from "./client-in-use.ts";
import { OPEN_MS, type Spare, spareMaker } from "./spare.ts";

/** After so long without an answer the store asks a client once more; then it waits for so long, ms. */
const SILENT_MS = 1_500;
const PROBE_MS = 500;
/** The pause before the next spare doubles up to `most`. It starts again after a client was in use for `startsAgainAfter`. */
const PAUSE_MS = { first: 250, most: 1_500, startsAgainAfter: 10_000 };

export class Route implements ClientListener {
  readonly isCluster: boolean;
  readonly #user: Connection;
  readonly #events: ReturnType<typeof eventsOf>;
  readonly #makeSpare: (() => Spare) | null;
  #client: ClientInUse;
  #clientSinceMs = monotonicClock.nowMs();
  #pauseMs = 0;
  #timer: Timer | undefined;
  #isOpening = false;
  /** Spares that are not closed yet. */
  readonly #spares = new Set<Spare>();
  #isClosed = false;

  constructor(client: RedisClient) {
    this.#user = connectionOf(client);
    this.isCluster = this.#user.isCluster;
    this.#events = eventsOf(client);
    this.#makeSpare = spareMaker(client);
    this.#client = this.#through(this.#user, null);
  }

  readonly send: Send = (key, command, ...args) => {
    this.#scheduleCheck();
    return this.#client.send(key, command, ...args);
  };

  /** Ends what the store has made. The user's client stays as it is. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#events.listeners.delete(this);
    this.#closeSpares();
  }

  /** The user's client has connected again: it goes to the server that its user wants. */
  connected(): void {
    this.#backToUser();
  }

  ended(): void {
    this.#backToUser();
    this.#closeSpares();
  }

  #backToUser(): void {
    this.#use(this.#through(this.#user, null));
  }

  #through(connection: Connection, spare: Spare | null): ClientInUse {
    const client = new ClientInUse(connection, spare, (key) => {
      if (client === this.#client) void this.#openSpares("", key);
    });
    return client;
  }

  #scheduleCheck(afterMs: number = SILENT_MS): void {
    if (this.#timer !== undefined || this.#makeSpare === null || this.#isClosed) return;
    const check = () => {
      // Where this process itself was blocked, the answers may have arrived without being read.
      inNextTurn(() => {
        this.#timer = undefined;
        this.#checkSilence();
      });
    };
    this.#timer = inBackground(afterMs, check);
  }

  #checkSilence(): void {
    const silence = this.#client.longestSilence();
    if (silence === null || this.#isOpening || this.#isClosed || this.#events.isEnded) return;
    const leftMs = silence.sinceMs + SILENT_MS - monotonicClock.nowMs();
    if (leftMs > 0) this.#scheduleCheck(Math.ceil(leftMs));
    else void this.#openSpares(silence.tag, silence.key);
  }

  /** Makes one spare after the other until one answers, or the present client does. */
  async #openSpares(tag: string, key: string | undefined): Promise<void> {
    if (this.#isOpening || this.#makeSpare === null) return;
    this.#isOpening = true;
    // Not before: most stores never need a spare, and a client has few listeners.
    this.#events.listeners.add(this);
    const current = this.#client;
    const isStuck = () => {
      const isOver = this.#isClosed || this.#events.isEnded || current !== this.#client;
      return !isOver && (current.isUnfit || current.isSilent(tag, SILENT_MS));
    };
    if (!current.isUnfit) await isAnswering(current, key, PROBE_MS);
    if (monotonicClock.nowMs() - this.#clientSinceMs > PAUSE_MS.startsAgainAfter) this.#pauseMs = 0;
    while (isStuck()) {
      await this.#pause();
      if (!isStuck()) break;
      const next = await this.#open(this.#makeSpare, key);
      if (next === null) continue;
      if (isStuck()) {
        this.#use(next);
        // A cluster's other servers still answer.
        if (!this.isCluster) current.abandon();
      } else this.#close(next.spare);
    }
    this.#isOpening = false;
    this.#checkSilence();
  }

  /** Pauses, longer each time. The pause keeps no process alive. */
  async #pause(): Promise<void> {
    const ms = spread(this.#pauseMs);
    this.#pauseMs = Math.min(Math.max(2 * this.#pauseMs, PAUSE_MS.first), PAUSE_MS.most);
    if (ms > 0) await new Promise<void>((resolve) => inBackground(ms, resolve));
  }

  #use(client: ClientInUse): void {
    const before = this.#client;
    this.#client = client;
    this.#clientSinceMs = monotonicClock.nowMs();
    const { spare } = before;
    if (spare === null) return;
    // Some answers may still be in flight.
    inBackground(OPEN_MS, () => this.#close(spare));
  }

  /** A spare that has answered in time; else `null`. */
  async #open(makeSpare: () => Spare, key: string | undefined): Promise<ClientInUse | null> {
    const endsAtMs = monotonicClock.nowMs() + OPEN_MS;
    let spare: Spare | null = null;
    try {
      spare = makeSpare();
      this.#spares.add(spare);
      const client = this.#through(connectionOf(await within(OPEN_MS, spare.opened, { isAwaited: false })), spare);
      if (await isAnswering(client, key, endsAtMs - monotonicClock.nowMs())) return client;
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
async function isAnswering(client: ClientInUse, key: string | undefined, ms: number): Promise<boolean> {
  try {
    await within(ms, client.send(key, "EXISTS", key ?? MARK_KEY), { isAwaited: false });
    return true;
  } catch (error) {
    return wordOf(error) !== undefined;
  }
}
