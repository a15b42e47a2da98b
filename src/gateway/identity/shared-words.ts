// The texts of decisions about a session or a turn that could not be established. "This session" would be the model's own conversation
// to it, but others share that bucket.

import type { Call } from "../../kernel/call.ts";
import type { CallLimiter } from "../contract.ts";
import { UNIDENTIFIED } from "./dimensions.ts";

/** @param whose the calls that share these buckets, as the subject of a sentence: `all clients of this gateway` */
export function withSharedWords(limiter: CallLimiter, whose: string): CallLimiter {
  return {
    async begin(call, options) {
      const begun = await limiter.begin(call, options);
      const { decision } = begun;
      if (begun.running === null) {
        return {
          running: null,
          decision: { ...begun.decision, message: sharedText(begun.decision.message, call, whose) },
        };
      }
      if (decision.notice === null) return begun;
      return { ...begun, decision: { ...begun.decision, notice: sharedText(decision.notice, call, whose) } };
    },
    resume: (...args) => limiter.resume(...args),
    close: (...args) => limiter.close(...args),
  };
}

function sharedText(text: string, call: Call, whose: string): string {
  return text.replace(/\bin this (session|turn)\b(?=( for now)?)/g, (words, dimension: "session" | "turn", more) => {
    if (call[dimension] !== UNIDENTIFIED) return words;
    return `in the ${dimension} that ${whose} share${more === undefined ? "" : ","}`;
  });
}
