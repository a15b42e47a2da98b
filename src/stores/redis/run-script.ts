// Runs a script on the server that has its keys: by its digest, by its text where the server does not know it, and again
// while a slot of a cluster moves.

import { type Clock, pauseAfter, sleep } from "../../clock.ts";
import { within } from "../../deadlines.ts";
import { reasonOf } from "../../kernel/reason.ts";
import { StoreError } from "../../store/error.ts";
import { DIGESTS } from "./digests.gen.ts";
import { wordOf } from "./errors.ts";
import type { Way } from "./link.ts";

/** A script, and the digest by which the server knows it. */
export interface Script {
  readonly sha: string;
  readonly text: () => Promise<string>;
}

/**
 * What a server says of a slot that moves, whose keys are on two servers, so that a script with several keys runs on neither; how
 * often it is asked again, and the first and the longest pause before that, ms.
 */
const MOVING = { word: "TRYAGAIN", times: 20, firstMs: 25, mostMs: 100 };

/** How long loading the texts may take, ms. */
const LOAD_WITHIN_MS = 5_000;

const loadTexts = () => import("./script.gen.ts");

/**
 * A script that takes the server's time, or that of a clock, which follows the other arguments.
 *
 * @param load loads the texts. They are long, and a server that knows the scripts needs none of them
 */
export function scriptOf(name: keyof typeof DIGESTS, clock: Clock | undefined, load = loadTexts): Script {
  const time = clock === undefined ? "server" : "clock";
  return {
    sha: DIGESTS[name][time],
    async text() {
      const { SCRIPTS, TIMES } = await within(LOAD_WITHIN_MS, load()).catch((error) => {
        const message = `Redis: the store's scripts cannot be loaded: ${reasonOf(error)}. Install all files of the package tollgate`;
        throw new StoreError("unavailable", message, { transient: true, cause: error });
      });
      return TIMES[time] + SCRIPTS[name];
    },
  };
}

/**
 * Runs a script.
 *
 * @param args how many keys there are, the keys, and the other arguments
 * @param beforeLoad called when the server does not know the script, which is loaded afterwards; what it rejects with is thrown
 */
export function runScript(
  script: Script,
  { send, wait }: Way,
  args: readonly (string | number)[],
  beforeLoad: () => Promise<void>,
): Promise<unknown> {
  const key = args[0] === 0 ? undefined : String(args[1]);
  const ask = () =>
    send(key, "EVALSHA", script.sha, ...args).catch(async (error) => {
      if (wordOf(error) !== "NOSCRIPT") throw error;
      // Nothing has run.
      await wait(beforeLoad);
      // EVAL loads it.
      return send(key, "EVAL", await script.text(), ...args);
    });
  return ask().catch((error) => {
    if (wordOf(error) !== MOVING.word) throw error;
    return askAgain(ask, wait);
  });
}

/** Asks until all keys of the slot are on one server: some of them are on the next one already, and some are not. */
async function askAgain(ask: () => Promise<unknown>, wait: Way["wait"]): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    await wait(() => sleep(pauseAfter(attempt - 1, MOVING.firstMs, MOVING.mostMs)));
    try {
      return await ask();
    } catch (error) {
      if (wordOf(error) !== MOVING.word || attempt >= MOVING.times) throw error;
    }
  }
}
