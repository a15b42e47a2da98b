// `tollgate doctor`: can the store be reached, how fast is it, and is it set up to keep what is promised?

import { Command } from "commander";
import { monotonicClock } from "../clock.ts";
import { StoreError } from "../store/error.ts";
import { isDivided } from "../store/shared-store.ts";
import type { SetupCheck, Store } from "../store/store.ts";
import { withEnvironment, withStoreOption } from "./defaults.ts";
import { logChecks } from "./doctor-log.ts";
import { EXIT } from "./exit.ts";
import { percentileMs } from "./latency.ts";
import { LOG_OF_FOLDER, LOG_URLS, logOfFolder } from "./log-url.ts";
import { askNothing, openStore, storeLabel } from "./store-url.ts";
import { formatList } from "./table.ts";

const REQUESTS = 20;

interface DoctorOptions {
  readonly store: string;
  readonly log?: string;
  readonly json?: boolean;
}

export function doctorCommand(): Command {
  const command = new Command("doctor").description(
    "say whether a store can be reached, how fast it is, whether its setup may break a promise, and how the decision log is",
  );
  return withStoreOption(command, "existing")
    .addOption(withEnvironment("--log <url>", `the decision log: none, ${LOG_URLS}; ${LOG_OF_FOLDER}`, "LOG"))
    .option("--json", "print one JSON object on stdout, and nothing else there")
    .action(doctor);
}

interface Findings {
  /** Of each empty request; none where one failed. */
  readonly timesMs: readonly number[];
  readonly checks: readonly SetupCheck[];
  /** With which such a request failed. */
  readonly error?: unknown;
}

async function doctor({ store: url, log, json = false }: DoctorOptions): Promise<void> {
  const label = storeLabel(url);
  const found = await examine(url).catch((error): Findings => ({ timesMs: [], checks: [], error }));
  const { error } = found;
  if (error !== undefined) {
    printUnreachable(label, found, json);
    throw error;
  }
  const checks = [...found.checks, ...(await logChecks(logOfFolder(log)))];
  printReachable(label, { ...found, checks }, json);
  if (checks.some(({ problem }) => problem !== null)) process.exitCode = EXIT.finding;
}

function printReachable(store: string, { timesMs, checks }: Findings, json: boolean): void {
  const [medianMs, worstMs] = [percentileMs(timesMs, 0.5), percentileMs(timesMs, 1)];
  if (json) {
    console.log(JSON.stringify({ store, reachable: true, medianMs, worstMs, checks }));
    return;
  }
  const latency = `${medianMs} ms at the median, ${worstMs} ms at worst, of ${REQUESTS} empty requests`;
  console.log(formatList([["store", store], ["reachable", "yes"], ["latency", latency], ...checks.map(formatCheck)]));
}

function printUnreachable(store: string, { checks, error }: Findings, json: boolean): void {
  if (json && StoreError.isInstance(error)) {
    const { code, message: problem } = error;
    console.log(JSON.stringify({ store, reachable: false, code, problem, ...(checks.length === 0 ? {} : { checks }) }));
  } else if (!json && checks.length > 0) {
    console.log(formatList([["store", store], ["reachable", "no"], ...checks.map(formatCheck)]));
  }
}

async function examine(url: string): Promise<Findings> {
  const { store, close } = await openStore(url, "existing");
  try {
    return { timesMs: await timesOf(store), checks: await checksOf(store) };
  } catch (error) {
    // Where a part of a cluster is away, the setup says which.
    const checks = isDivided(store) ? await store.setup?.().catch(() => []) : [];
    return { timesMs: [], checks: checks ?? [], error };
  } finally {
    await close();
  }
}

async function timesOf(store: Store): Promise<number[]> {
  const timesMs: number[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    const startedMs = monotonicClock.nowMs();
    await askNothing(store);
    timesMs.push(monotonicClock.nowMs() - startedMs);
  }
  return timesMs;
}

/** A store that answers and does not let this user read its setup has a problem, and is reached. */
async function checksOf(store: Store): Promise<readonly SetupCheck[]> {
  try {
    return (await store.setup?.()) ?? [{ name: "file", value: "opens, and is Tollgate's", problem: null }];
  } catch (error) {
    if (!StoreError.isInstance(error) || error.transient) throw error;
    return [{ name: "setup", value: "unknown", problem: error.message }];
  }
}

function formatCheck({ name, value, problem }: SetupCheck): readonly [string, string] {
  return [name, problem === null ? value : `${value}; PROBLEM: ${problem}`];
}
