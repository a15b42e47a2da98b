// What tollgate/log exports: a log in memory, a log that your own function gets, and what entries and storages are.

export type { LoggedCall, DecisionLog, LogHooks } from "../limiter.ts";
export type * from "./entry.ts";
export { type Explanation, type ExplainOptions, explain, explained, type Help, lastDecision } from "./explain.ts";
export { type FunctionLogOptions, functionLog } from "./function.ts";
export { memoryLog, type MemoryLogOptions } from "./memory.ts";
export type { KeepOptions, WriteOptions } from "./options.ts";
export type { StoredLog } from "./recorder.ts";
export type * from "./storage.ts";
