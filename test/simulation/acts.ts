// What a simulated server was asked and what became of it, with its time: a real server can be asked the same.

import type { Beat, Member, StoreAnswer, StoredState, StoreRequest, Terms } from "../../src/store/api.ts";

export type Act =
  | {
      readonly type: "book";
      readonly nowMs: number;
      readonly requests: readonly StoreRequest[];
      readonly terms: Terms;
      /** An error: all of it was refused. */
      readonly answers: readonly StoreAnswer[] | Error;
    }
  | { readonly type: "beat"; readonly nowMs: number; readonly member: Member; readonly beat: Beat }
  /** It holds these states from now on, and no others but the mark of an earlier server if it has that. */
  | {
      readonly type: "restart";
      readonly states: ReadonlyMap<string, StoredState>;
      readonly damaged: readonly string[];
      readonly hasMark: boolean;
    }
  | { readonly type: "damage"; readonly key: string };
