// Runs a script on the server that has its keys: by its digest, by its text where the server does not know it, and again
// while a slot of a cluster moves.

import { type Clock, pauseAfter, sleep } from "../../clock.ts";
import type { Send } from "./client.ts";
import { wordOf } from "./errors.ts";
import { CLOCK_TIME, SERVER_TIME } from "./script.gen.ts";

/** A script, and the digest by which the server knows it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

/** A script without its first line, and its digests with each of the two. */
export interface ScriptSource {
  readonly body: string;
  readonly shaByServer: string;
  readonly shaByClock: string;
}

/**
 * What a server says of a slot that moves, whose keys are on two servers, so that a script with several keys runs on neither; how
 * often it is asked again, and the first and the longest pause before that, ms.
 */
const MOVING = { word: "TRYAGAIN", times: 20, firstMs: 25, mostMs: 100 };

/** A script with the line that says what time it is: the server's, or that of a clock, which follows the other arguments. */
export function scriptOf({ body, shaByServer, shaByClock }: ScriptSource, clock: Clock | undefined): Script {
  return clock === undefined
    ? { text: SERVER_TIME + body, sha: shaByServer }
    : { text: CLOCK_TIME + body, sha: shaByClock };
}

/**
 * Runs a script.
 *
 * @param args how many keys there are, the keys, and the other arguments
 * @param onUnknownScript what happens when the server does not know the script: it is loaded, or what this function makes is
 *   thrown; the function may note that the server has forgotten
 */
export async function runScript(
  script: Script,
  send: Send,
  args: readonly (string | number)[],
  onUnknownScript: "load" | (() => Error),
): Promise<unknown> {
  const key = args[0] === 0 ? undefined : String(args[1]);
  try {
    return await send(key, "EVALSHA", script.sha, ...args);
  } catch (error) {
    // In both cases nothing has run.
    if (wordOf(error) === "NOSCRIPT") {
      if (onUnknownScript !== "load") throw onUnknownScript();
      // EVAL loads it.
      return send(key, "EVAL", script.text, ...args);
    }
    // EVAL: the server that the slot moves to may not know the script.
    if (wordOf(error) === MOVING.word) return askAgain(() => send(key, "EVAL", script.text, ...args));
    throw error;
  }
}

/** Asks until all keys of the slot are on one server: some of them are on the next one already, and some are not. */
async function askAgain(ask: () => Promise<unknown>): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    await sleep(pauseAfter(attempt - 1, MOVING.firstMs, MOVING.mostMs));
    try {
      return await ask();
    } catch (error) {
      if (wordOf(error) !== MOVING.word || attempt >= MOVING.times) throw error;
    }
  }
}
