// A real Postgres: in a folder of its own, on a free port, never as root.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, globSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { freePort } from "./free-port.ts";

/** A Postgres that was started here. */
export interface PostgresProcess {
  readonly url: string;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder. */
  start(): Promise<void>;
}

/** The folder of Postgres' programs: on PATH, or where Debian keeps them. */
function programs(): string {
  const onPath = (process.env.PATH ?? "").split(":").find((folder) => existsSync(join(folder, "initdb")));
  const found = onPath ?? globSync("/usr/lib/postgresql/*/bin").sort().at(-1);
  if (found === undefined)
    throw new Error("no Postgres on PATH or in /usr/lib/postgresql: run the tests by `npm run test:all`");
  return found;
}

/** Who runs it: Postgres refuses to be run by root. */
function owner(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const [uid, gid] = ["-u", "-g"].map((what) =>
    Number(spawnSync("id", [what, "postgres"], { encoding: "utf8" }).stdout),
  );
  if (!uid || !gid) throw new Error("Postgres cannot be run by root, and there is no user postgres");
  return { uid, gid };
}

/** Starts one in an empty folder. */
export async function startPostgresIn(outer: string, ...settings: string[]): Promise<PostgresProcess> {
  const bin = programs();
  const user = owner();
  const folder = join(outer, "data");
  mkdirSync(folder);
  if (user.uid !== undefined && user.gid !== undefined) {
    // Its owner has to get there.
    chmodSync(outer, 0o755);
    chownSync(folder, user.uid, user.gid);
  }
  const made = spawnSync(
    join(bin, "initdb"),
    ["-D", folder, "-U", "tollgate", "--auth=trust", "--no-sync", "-E", "UTF8"],
    {
      ...user,
      cwd: "/",
      encoding: "utf8",
    },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const port = await freePort();
  const url = `postgres://tollgate@127.0.0.1:${port}/postgres`;
  const options = [
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    `unix_socket_directories=${folder}`,
    "fsync=off",
    "max_connections=200",
    ...settings,
  ];
  let child: ChildProcess;
  const start = async () => {
    child = spawn(join(bin, "postgres"), ["-D", folder, ...options.flatMap((each) => ["-c", each])], {
      ...user,
      cwd: "/",
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr?.on("data", (chunk) => {
      said = `${said}${chunk}`.slice(-2_000);
    });
    for (let waited = 0; !(await answers(url)); waited += 20) {
      if (waited > 20_000 || child.exitCode !== null) throw new Error(`Postgres did not start: ${said}`);
      await sleep(20);
    }
  };
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
    // Its own children see that it has gone, and go; only then may another one start.
    await sleep(200);
  };
  await start();
  return { url, kill, start };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("SELECT 1");
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}
