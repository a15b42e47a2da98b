// An instance that lives as the script takes it, and the script's answer: beat.lua says which.

import { MARK_KEY } from "../../kernel/receipts.ts";
import { type Beat, decodeState, type Member, StoreError } from "../../store.ts";
import { wholeIn } from "../../store-check.ts";
import type { ScriptCall } from "./arguments.ts";
import { textIn } from "./replies.ts";

const SERVER_KEY = "tollgate:1:$server";

export function beatCall({ group, instance, livesMs, seen }: Member): ScriptCall {
  return {
    keys: [MARK_KEY, SERVER_KEY, `tollgate:1:$instances:${group}`, ...seen],
    values: [instance, livesMs, crypto.randomUUID()],
  };
}

export function beatReply([now, instances, rank, text]: readonly unknown[]): Beat {
  const mark = decodeState(textIn(text), 0);
  if (mark?.kind !== "mark") {
    throw new StoreError("invalid-reply", "the script's answer holds no mark", { transient: true });
  }
  const { incarnation, lost } = mark;
  return { incarnation, lost, instances: wholeIn(instances), rank: wholeIn(rank), nowMs: wholeIn(now) };
}
