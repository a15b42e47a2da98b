// The thread of a simulation: it reads both policies, collects calls of the decision log, and plays them.

import { parentPort, workerData } from "node:worker_threads";
import { MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { playLog } from "../simulate/play-log.ts";
import { callsOfEntries, type RecordedCall } from "../simulate/readers/decision-log.ts";
import type { FromSimulation, SimulationSources, ToSimulation } from "./simulation-messages.ts";

const say = (message: FromSimulation) => parentPort?.postMessage(message);

function readPolicies({ source, against }: SimulationSources): [CompiledPolicy, CompiledPolicy] {
  return [readPolicyText(source, "source").policy, readPolicyText(against, "against").policy];
}

async function play(policies: [CompiledPolicy, CompiledPolicy], entries: RecordedCall[], isCut: boolean) {
  const { calls, skipped, isSample, standsFor } = callsOfEntries(entries.reverse());
  const { read, ...played } = await playLog(policies, calls);
  say({ type: "played", played: { read: { ...read, leftOut: skipped, isSample, standsFor, isCut }, ...played } });
}

try {
  const policies = readPolicies(workerData as SimulationSources);
  const entries: RecordedCall[] = [];
  parentPort?.on("message", (message: ToSimulation) => {
    if ("entries" in message) entries.push(...message.entries);
    else void play(policies, entries, message.isCut);
  });
  say({ type: "ready" });
} catch (error) {
  if (!MisuseError.isInstance(error)) throw error;
  say({ type: "misuse", code: error.code, faults: error.faults });
}
