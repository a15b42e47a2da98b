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

/** One of Postgres' programs: on PATH, or where Debian keeps them. */
function programOf(name: string): string {
  const onPath = (process.env.PATH ?? "").split(":").map((folder) => join(folder, name));
  const found = onPath.find(existsSync) ?? globSync(`/usr/lib/postgresql/*/bin/${name}`).sort().at(-1);
  if (found === undefined)
    throw new Error(`no ${name} on PATH or in /usr/lib/postgresql: run the tests by \`npm run test:long\``);
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
  const made = ["--auth=trust", "--no-sync", "-E", "UTF8"];
  return started(outer, settings, (folder) => ["initdb", "-D", folder, "-U", "tollgate", ...made]);
}

/** Starts a standby of another one in an empty folder. It is promoted by `SELECT pg_promote()`. */
export async function startStandbyIn(outer: string, primary: string, ...settings: string[]): Promise<PostgresProcess> {
  const made = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"];
  return started(outer, settings, (folder) => ["pg_basebackup", "-D", folder, "-d", primary, ...made]);
}

async function started(
  outer: string,
  settings: readonly string[],
  make: (folder: string) => string[],
): Promise<PostgresProcess> {
  const user = owner();
  const folder = join(outer, "data");
  mkdirSync(folder, { mode: 0o700 });
  if (user.uid !== undefined && user.gid !== undefined) {
    // Its owner has to get there.
    chmodSync(outer, 0o755);
    chownSync(folder, user.uid, user.gid);
  }
  const [program = "", ...args] = make(folder);
  const made = spawnSync(programOf(program), args, { ...user, cwd: "/", encoding: "utf8" });
  if (made.status !== 0) throw new Error(`${program} failed: ${made.stderr}`);
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
    child = spawn(programOf("postgres"), ["-D", folder, ...options.flatMap((each) => ["-c", each])], {
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
