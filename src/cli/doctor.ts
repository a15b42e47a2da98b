// `tollgate doctor`: can the store be reached, how fast is it, and is it set up to keep what is promised?

import { Command } from "commander";
import { type SetupCheck, StoreError } from "../store.ts";
import { EXIT } from "./exit.ts";
import { percentileMs } from "./latency.ts";
import { askNothing, openStore, storeLabel, storeUrls } from "./store-url.ts";
import { formatList } from "./table.ts";

const REQUESTS = 20;

interface DoctorOptions {
  readonly store: string;
  readonly json?: boolean;
}

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("say whether a store can be reached, how fast it is, and whether its setup may break a promise")
    .requiredOption("--store <url>", `where the state lives: ${storeUrls("existing")}`)
    .option("--json", "print one JSON object on stdout, and nothing else there")
    .action(doctor);
}

async function doctor({ store: url, json }: DoctorOptions): Promise<void> {
  const store = storeLabel(url);
  try {
    const { timesMs, checks } = await examine(url);
    const [medianMs, worstMs] = [percentileMs(timesMs, 0.5), percentileMs(timesMs, 1)];
    if (json) console.log(JSON.stringify({ store, reachable: true, medianMs, worstMs, checks }));
    else {
      const latency = `${medianMs} ms at the median, ${worstMs} ms at worst, of ${REQUESTS} empty requests`;
      console.log(
        formatList([["store", store], ["reachable", "yes"], ["latency", latency], ...checks.map(formatCheck)]),
      );
    }
    if (checks.some(({ problem }) => problem !== null)) process.exitCode = EXIT.finding;
  } catch (error) {
    if (json && StoreError.isInstance(error)) {
      console.log(JSON.stringify({ store, reachable: false, code: error.code, problem: error.message }));
    }
    throw error;
  }
}

async function examine(url: string): Promise<{ timesMs: number[]; checks: readonly SetupCheck[] }> {
  const { store, close } = await openStore(url, "existing");
  try {
    const timesMs: number[] = [];
    for (let i = 0; i < REQUESTS; i++) {
      const startedMs = performance.now();
      await askNothing(store);
      timesMs.push(performance.now() - startedMs);
    }
    const isOurs: SetupCheck = { name: "file", value: "opens, and is Tollgate's", problem: null };
    return { timesMs, checks: (await store.setup?.()) ?? [isOurs] };
  } finally {
    await close();
  }
}

function formatCheck({ name, value, problem }: SetupCheck): readonly [string, string] {
  return [name, problem === null ? value : `${value}; PROBLEM: ${problem}`];
}
