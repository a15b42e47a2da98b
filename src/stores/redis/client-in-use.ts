// A client that the store sends through, and how long it has not answered.

import { monotonicClock } from "../../clock.ts";
import type { Connection, Send } from "./client.ts";
import { saysUnfit, wordOf } from "./errors.ts";
import { slotTag } from "./slot-tag.ts";
import type { Spare } from "./spare.ts";

/** Most slots of a cluster that are watched at the same time. */
const MAX_WATCHED_SLOTS = 256;

/** Since when a server has answered no command. An error of the client itself is no answer. */
interface Silence {
  /** Which slot of a cluster; "" for a single server. */
  readonly tag: string;
  readonly key: string | undefined;
  sinceMs: number;
  inFlight: number;
}

export class ClientInUse {
  /** `null` for the user's client. */
  readonly spare: Spare | null;
  /** Whether its server has said that it takes no more commands here. */
  isUnfit = false;
  readonly #connection: Connection;
  readonly #silences = new Map<string, Silence>();
  readonly #inFlight = new Set<(error: Error) => void>();
  readonly #refused: (key: string | undefined) => void;

  /** @param refused called when its server, which is none of a cluster, says that it takes no more commands here */
  constructor(connection: Connection, spare: Spare | null, refused: (key: string | undefined) => void) {
    this.#connection = connection;
    this.spare = spare;
    this.#refused = refused;
  }

  readonly send: Send = (key, command, ...args) => {
    const silence = this.#silenceOf(key);
    if (silence !== null) silence.inFlight++;
    return new Promise((resolve, reject) => {
      this.#inFlight.add(reject);
      const end = (isAnswer: boolean) => {
        this.#inFlight.delete(reject);
        if (silence === null) return;
        silence.inFlight--;
        if (!isAnswer) return;
        if (silence.inFlight > 0) silence.sinceMs = monotonicClock.nowMs();
        else this.#silences.delete(silence.tag);
      };
      this.#connection.send(key, command, ...args).then(
        (answer) => {
          end(true);
          resolve(answer);
        },
        (error) => {
          end(wordOf(error) !== undefined);
          if (saysUnfit(error) && !this.#connection.isCluster) {
            this.isUnfit = true;
            this.#refused(key);
          }
          reject(error);
        },
      );
    });
  };

  longestSilence(): Silence | null {
    let longest: Silence | null = null;
    for (const silence of this.#silences.values()) {
      if (longest === null || silence.sinceMs < longest.sinceMs) longest = silence;
    }
    return longest;
  }

  isSilent(tag: string, ms: number): boolean {
    const silence = this.#silences.get(tag);
    return silence !== undefined && monotonicClock.nowMs() - silence.sinceMs >= ms;
  }

  /** Fails what is in flight: its answers will not come. */
  abandon(): void {
    const error = new Error("no answer came through this connection; the store uses another one");
    for (const reject of this.#inFlight) reject(error);
    this.#inFlight.clear();
  }

  #silenceOf(key: string | undefined): Silence | null {
    const { isCluster } = this.#connection;
    // Any server of a cluster may answer it.
    if (isCluster && key === undefined) return null;
    const tag = isCluster && key !== undefined ? slotTag(key) : "";
    const known = this.#silences.get(tag);
    if (known !== undefined) return known;
    if (this.#silences.size >= MAX_WATCHED_SLOTS) return null;
    const silence = { tag, key, sinceMs: monotonicClock.nowMs(), inFlight: 0 };
    this.#silences.set(tag, silence);
    return silence;
  }
}
