// A ledger that lets all calls through and remembers what became of them, for tests of the pipe alone.

import type { Judgement, Ledger, Message } from "../../src/gateway/contract.ts";
import { textOf } from "../../src/gateway/message.ts";

export interface OpenLedger extends Ledger {
  /** What happened, in order: `judged 7 search`, `answered 7`, `lost 7 cancelled`. */
  readonly events: string[];
}

/** @param wait what a call waits for before it is judged */
export function openLedger(
  wait: (message: Message, signal: AbortSignal) => Promise<void> = async () => {},
): OpenLedger {
  const events: string[] = [];
  let size = 0;
  return {
    events,
    get size() {
      return size;
    },
    async judge(message, _origin, signal): Promise<Judgement> {
      await wait(message, signal);
      const rawId = String(message.rawId);
      events.push(`judged ${rawId} ${textOf(message, "params.name")}`);
      size++;
      const end = (event: string) => {
        events.push(event);
        size--;
      };
      const call = {
        rawId,
        async answered(response: Message) {
          end(`answered ${rawId}`);
          return response.bytes;
        },
        detached() {},
        async lost(why: string) {
          end(`lost ${rawId} ${why}`);
        },
      };
      return { is: "forward", bytes: message.bytes, call };
    },
    sawRequest: () => false,
    sawAnswer() {},
    resumed: () => () => {},
    async close() {},
  };
}
