// Runs a script on the server that has its keys: by its digest, by its text where the server does not know it, and again
// while a slot of a cluster moves.

import { createHash } from "node:crypto";
import { type Clock, pauseAfter, sleep } from "../../clock.ts";
import type { Send } from "./client.ts";
import { wordOf } from "./errors.ts";

/** A script, and the digest by which the server knows it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

const SERVER_TIME = `local time = redis.call("TIME") local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)\n`;
const GIVEN_TIME = "local now_ms = tonumber(ARGV[2])\n";

/**
 * What a server says of a slot that moves, whose keys are on two servers, so that a script with several keys runs on neither; how
 * often it is asked again, and the first and the longest pause before that, ms.
 */
const MOVING = { word: "TRYAGAIN", times: 20, firstMs: 25, mostMs: 100 };

/** A script with the line that says what time it is: the server's, or that of a clock, which follows the other arguments. */
export function scriptOf(body: string, clock: Clock | undefined): Script {
  const text = (clock === undefined ? SERVER_TIME : GIVEN_TIME) + body;
  return { text, sha: createHash("sha1").update(text).digest("hex") };
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
