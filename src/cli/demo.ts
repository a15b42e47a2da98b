// `tollgate demo`: a runaway agent, three processes, a crash and a deploy; what held, and what did not.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
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
    .description("ten seconds: a runaway agent behind three processes, limited as today and by Tollgate")
    .option("--store <url>", `where Tollgate counts: ${storeUrls("shared")}; a SQLite file of its own unless given`)
    .action(demo);
}

async function demo({ store }: { readonly store?: string }): Promise<void> {
  if (store !== undefined) await probeStore(store, "shared");
  await withTemporaryFolder(async (directory) => {
    const prefix = freshPrefix("demo");
    const settings: DemoSettings = {
      directory,
      quota: QUOTA,
      store: store ?? `sqlite:${join(directory, "tollgate.db")}`,
      prefix,
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

/** Prints what the tool counted, and whether that is what the demo claims. */
function show({ afterCrash, atDeploy, atEnd }: Counts, place: string): void {
  const rows = SIDES.map((side) => {
    const name = side === "today" ? "counts in each process (today)" : `Tollgate on ${place}`;
    return [name, `${QUOTA}`, `${atDeploy[side]}`, `${atEnd[side] - atDeploy[side]}`, `${atEnd[side]}`];
  });
  const heading = ["send_email, as the tool itself counted", "limit", "before the deploy", "after it", "in all"];
  console.log(`\n${formatTable(heading, rows)}\n`);
  const held = afterCrash.tollgate === CALLS_BEFORE_CRASH && atDeploy.tollgate === QUOTA && atEnd.tollgate === QUOTA;
  const leaked = atDeploy.today >= PROCESSES * QUOTA && atEnd.today > atDeploy.today;
  if (held && leaked) {
    const times = (atDeploy.today / QUOTA).toFixed(1);
    console.log(`Counted in process memory, ${times} times the limit went through, and the deploy forgot all of it.`);
    console.log("Tollgate let exactly the limit through: over three processes, a kill -9 and a deploy.");
  } else {
    console.log("This is not what the demo is to show. Please report it.");
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

/** The agent calls; on the way one process is killed, and later all of them are replaced. */
async function play(workers: readonly Worker<string, null>[], count: () => Ran): Promise<Counts> {
  console.log(
    `One agent, one session: send_email may run ${QUOTA} times. The agent has lost its way and calls it ${CALLS} times,`,
  );
  console.log(`each time through the next of ${PROCESSES} processes.\n`);
  const progress = createProgress(CALLS);
  const say = (text: string) => {
    progress.end();
    console.log(text);
  };
  let afterCrash: Ran | null = null;
  let atDeploy: Ran | null = null;
  for (let made = 0; made < CALLS; made++) {
    if (made === CALLS_BEFORE_CRASH) {
      afterCrash = count();
      const restart = await workers[0]?.restart();
      say(`after call ${made}: process ${restart?.killed} was killed with kill -9; ${restart?.started} took its place`);
    }
    if (made === CALLS_BEFORE_DEPLOY) {
      atDeploy = count();
      const restarts = await Promise.all(workers.map((worker) => worker.restart()));
      say(
        `after call ${made}: a deploy replaced all; now they are ${restarts.map(({ started }) => started).join(", ")}`,
      );
    }
    await workers[made % workers.length]?.perform("send_email");
    progress.tick();
    await sleep(PACE_MS);
  }
  progress.end();
  const none = { today: 0, tollgate: 0 };
  return { afterCrash: afterCrash ?? none, atDeploy: atDeploy ?? none, atEnd: count() };
}

/** How often the tool ran on each side: the lines that it wrote. */
function ran(directory: string): Ran {
  const lines = (file: string) => (existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0);
  return { today: lines(toolFile(directory, "today")), tollgate: lines(toolFile(directory, "tollgate")) };
}
