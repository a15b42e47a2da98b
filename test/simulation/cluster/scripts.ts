// The scripts of the Redis store, as the simulated nodes tell them apart.

import { DIGESTS } from "../../../src/stores/redis/digests.gen.ts";

// It is loaded when it is first needed. Here that must not take a turn of the event loop.
const { SCRIPTS, TIMES } = await import("../../../src/stores/redis/script.gen.ts");

export type ScriptName = keyof typeof DIGESTS;

const NAMES = new Map<string, ScriptName>(
  (Object.keys(DIGESTS) as ScriptName[]).flatMap((name) => [
    [digestOf(name), name],
    [TIMES.server + SCRIPTS[name], name],
  ]),
);

/** The script with a digest, or a text. */
export function scriptNamed(digestOrText: string): ScriptName {
  const name = NAMES.get(digestOrText);
  if (name === undefined) throw new Error("there is no such script");
  return name;
}

export function digestOf(name: ScriptName): string {
  return DIGESTS[name].server;
}
