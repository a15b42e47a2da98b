// What the author of a store imports, as `tollgate/store`. Files of this package import each thing from where it is defined.

export type { Clock } from "../clock.ts";
export type { LimitSpec } from "../kernel/algorithms/registry.ts";
export { keysOf } from "../kernel/decide.ts";
export { MARK_KEY, receiptsKey } from "../kernel/receipts.ts";
export type { Degraded, UsageGrant } from "../kernel/decision.ts";
export type { Step, StepEvent, StepHints, StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
export type { Outcome, StoredState } from "../kernel/state.ts";
export { encodeState } from "../kernel/encoding/state.ts";
export { type DecidedBatch, decideBatch } from "./batch.ts";
// `decodeState` is the kernel's, with the types of the columns checked.
export { decide, decodeState, type ReadState } from "./check.ts";
export { StoreError, type StoreErrorCode, tooManyHolds } from "./error.ts";
export { bookBatch } from "./receipts.ts";
export {
  type Beat,
  isShared,
  LONGEST_LIFE_MS,
  type Member,
  type ReceiptTerms,
  type SharedStore,
  type Terms,
  TermsError,
  type TermsRefusal,
} from "./shared-store.ts";
export { networkLayers } from "../layers/network.ts";
export type { Batching, Layers, SetupCheck, Store, StoreAnswer } from "./store.ts";
