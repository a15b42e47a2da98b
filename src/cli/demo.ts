// `tollgate demo`: a runaway agent, three processes, a crash and a deploy; which limits held.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { styleText } from "node:util";
import { Command } from "commander";
import { sleep } from "../clock.ts";
import { type DemoSettings, SIDES, toolFile } from "./demo-job.ts";
import { withStoreFile } from "./defaults.ts";
import { EXIT } from "./exit.ts";
import { freshPrefix } from "./input.ts";
import { createProgress } from "./progress.ts";
import { probeStore, storeLabel, storeUrls } from "./store-url.ts";
import { formatTable } from "./table.ts";
import { withTemporaryFolder } from "./temporary-folder.ts";
import { Worker } from "./worker-pool.ts";

const PROCESSES = 3;
const QUOTA = 40;
const CALLS_BEFORE_CRASH = 24;
const CALLS_BEFORE_DEPLOY = 240;
const CALLS = 360;
const PACE_MS = 22;

export function demoCommand(): Command {
  return withStoreFile(new Command("demo"))
    .description("ten seconds: a runaway agent behind three processes, limited the usual way and by Tollgate")
    .option("--store <url>", `where Tollgate counts: ${storeUrls("shared")}; a SQLite file of its own unless given`)
    .action(demo);
}

async function demo({ store }: { readonly store?: string }): Promise<void> {
  if (store !== undefined) await probeStore(store, "shared");
  await withTemporaryFolder(async (directory) => {
    const settings: DemoSettings = {
      directory,
      quota: QUOTA,
      store: store ?? `sqlite:${join(directory, "tollgate.db")}`,
      prefix: freshPrefix("demo"),
    };
    const workers = Array.from({ length: PROCESSES }, () => new Worker<string, null>("demo", settings));
    try {
      const counts = await play(workers, () => ran(directory));
      show(counts, store === undefined ? "one SQLite file" : storeLabel(store));
    } finally {
      await Promise.all(workers.map((worker) => worker.stop()));
    }
  });
}

/** Prints how many emails were sent, and whether that is what the demo claims. */
function show({ afterCrash, atDeploy, atEnd }: Counts, place: string): void {
  const rows = SIDES.map((side) => {
    const name = side === "perProcess" ? "one counter per process (the usual way)" : `Tollgate on ${place}`;
    return [name, `${QUOTA}`, `${atDeploy[side]}`, `${atEnd[side] - atDeploy[side]}`, `${atEnd[side]}`];
  });
  const heading = ["emails really sent", "limit", "before the deploy", "after the deploy", "total"];
  const [head = "", perProcess = "", tollgate = ""] = formatTable(heading, rows).split("\n");
  console.log(`\n${[head, styleText("red", perProcess), styleText("green", tollgate)].join("\n")}\n`);
  const held = afterCrash.tollgate === CALLS_BEFORE_CRASH && atDeploy.tollgate === QUOTA && atEnd.tollgate === QUOTA;
  const leaked = atDeploy.perProcess >= PROCESSES * QUOTA && atEnd.perProcess > atDeploy.perProcess;
  if (held && leaked) {
    const times = (atDeploy.perProcess / QUOTA).toFixed(1);
    console.log(`Counters in process memory let ${times} times the limit through, and the deploy reset them.`);
    console.log("Tollgate let exactly the limit through, across three processes, a kill -9 and a deploy.");
  } else {
    console.log("These are not the numbers that the demo should show. Please report it.");
    process.exitCode = EXIT.finding;
  }
}

type Ran = Record<(typeof SIDES)[number], number>;

/** How often the tool had run at three points. */
interface Counts {
  readonly afterCrash: Ran;
  readonly atDeploy: Ran;
  readonly atEnd: Ran;
}

/** Makes the agent's calls. On the way it kills one process, and later it replaces all of them. */
async function play(workers: readonly Worker<string, null>[], count: () => Ran): Promise<Counts> {
  console.log(
    `One agent, one session, at most ${QUOTA} emails. The agent is stuck in a loop and calls send_email ${CALLS} times.`,
  );
  console.log(`A load balancer sends each call to the next of ${PROCESSES} processes.\n`);
  const progress = createProgress(CALLS);
  const print = (text: string) => {
    progress.end();
    console.log(text);
  };
  let made = 0;
  const callUntil = async (end: number) => {
    for (; made < end; made++) {
      await workers[made % workers.length]?.perform("send_email");
      progress.tick();
      await sleep(PACE_MS);
    }
  };
  await callUntil(CALLS_BEFORE_CRASH);
  const afterCrash = count();
  const { killed, started } = (await workers[0]?.restart()) ?? {};
  print(`after call ${made}: process ${killed} was killed with kill -9; process ${started} replaced it`);
  await callUntil(CALLS_BEFORE_DEPLOY);
  const atDeploy = count();
  const restarts = await Promise.all(workers.map((worker) => worker.restart()));
  const processes = restarts.map((each) => each.started).join(", ");
  print(`after call ${made}: a deploy replaced all three processes; they are now ${processes}`);
  await callUntil(CALLS);
  progress.end();
  return { afterCrash, atDeploy, atEnd: count() };
}

/** How often the tool ran on each side: the lines that it wrote. */
function ran(directory: string): Ran {
  const lines = (file: string) => (existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0);
  return { perProcess: lines(toolFile(directory, "perProcess")), tollgate: lines(toolFile(directory, "tollgate")) };
}
