// Reads a server's setup, as far as its user may, in the forms in which the clients give it.

import { reasonOf } from "../../kernel/reason.ts";
import { StoreError } from "../../store/error.ts";
import type { Send } from "./client.ts";
import { redisError, saysNoUser } from "./errors.ts";

/** Settings of a server, by name; empty where CONFIG is refused. */
export type Settings = Readonly<Record<string, string>>;

/**
 * A user or a managed server may lack a command: then nothing of the setup can be known.
 *
 * @param problem what is not known then, and what to do
 */
export async function orRefused<Answer>(answer: Promise<Answer>, problem: string): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (redisError(error).transient || saysNoUser(error)) throw error;
    const message = `Redis: ${reasonOf(error).replace(/\.$/, "")}. So ${problem}`;
    throw new StoreError("unauthorized", message, { transient: false, cause: error });
  }
}

export function infoOrRefused<Answer>(answer: Promise<Answer>): Promise<Answer> {
  const problem =
    "version, eviction and persistence are not known: allow INFO for this user, or make sure that the server is Redis 7.0 " +
    "or newer, with maxmemory-policy noeviction and appendonly yes";
  return orRefused(answer, problem);
}

/** On a cluster, some clients answer for each server. */
export function textOf(answer: unknown): string {
  if (typeof answer === "string") return answer;
  const [first] = Object.values(answer as object);
  return typeof first === "object" && first !== null && "value" in first ? String(first.value) : String(first);
}

/** Some settings by name; none where a managed server refuses CONFIG. */
export async function settingsOf(send: Send, ...names: string[]): Promise<Settings> {
  try {
    return pairsOf(await send(undefined, "CONFIG", "GET", ...names));
  } catch (error) {
    if (redisError(error).transient) throw error;
    return {};
  }
}

/** As a list of names and values, as an object, or as a list of pairs: that is how valkey-glide has it. */
function pairsOf(answer: unknown): Settings {
  if (!Array.isArray(answer)) return answer as Settings;
  const settings: Record<string, string> = {};
  for (const [i, each] of answer.entries()) {
    if (typeof each === "object" && each !== null) settings[String(each.key)] = String(each.value);
    else if (i % 2 === 1) settings[String(answer[i - 1])] = String(each);
  }
  return settings;
}
