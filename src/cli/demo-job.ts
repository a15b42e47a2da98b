// What a demo's worker does: it passes calls to a tool, once by counters of its own process and once by Tollgate.

import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { createLimiter } from "../limiter.ts";
import { openStore } from "./store-url.ts";

export interface DemoSettings {
  readonly directory: string;
  readonly quota: number;
  /** The store that Tollgate's side counts in. */
  readonly store: string;
  readonly prefix: string;
}

/** The two sides that are compared. */
export const SIDES = ["perProcess", "tollgate"] as const;

/** The file to which the tool writes a line each time it really runs. */
export function toolFile(directory: string, side: (typeof SIDES)[number]): string {
  return join(directory, `sent-${side}.log`);
}

export async function demoJob(settings: DemoSettings): Promise<(tool: string) => Promise<null>> {
  const { directory, quota, store: url, prefix } = settings;
  // The usual limiter of agent servers, in short: it counts in the memory of one process.
  let callsHere = 0;
  const { store } = await openStore(url);
  const limits = [{ name: "tool-per-session", per: ["session", "tool"], quota, resetAfterIdle: "1h" } as const];
  const limiter = createLimiter({ policy: { version: 1, limits }, store, prefix, failover: false });
  const run = (side: (typeof SIDES)[number]) => appendFileSync(toolFile(directory, side), `${process.pid}\n`);
  return async (tool) => {
    if (callsHere++ < quota) run("perProcess");
    const decision = await limiter.consume({ tool, session: "s1" });
    if (decision.allowed) run("tollgate");
    return null;
  };
}
