// A process that calls a limiter on postgres.js while its server ends connections: `URL`, then `guarded` or `plain`.
// It guards itself by the lines of docs/stores/postgres.md.

import { connect as connectTo, type TcpNetConnectOpts } from "node:net";
import postgres from "postgres";
import { createLimiter } from "tollgate";
import { migrate, postgresStore } from "tollgate/stores/postgres";

const [url = "", mode] = process.argv.slice(2);
const WORKS_MS = 3_000;
const CALLS_AFTERWARDS = 100;

function socket({ host: [host], port: [port] }: { host: string[]; port: number[] }) {
  const made = connectTo({ host, port } as TcpNetConnectOpts);
  return made.setTimeout(5_000, () => made.destroy());
}

// Its types do not know `socket`.
const options = { max: 4, onnotice: () => {}, socket, connect_timeout: 2, max_lifetime: 60 };
const connect = () => postgres(url, options);
let sql = connect();
let replaced = 0;
function replace(broken: typeof sql) {
  if (broken !== sql) return;
  replaced++;
  sql = connect();
  broken.end({ timeout: 5 }).catch(() => {});
}
if (mode === "guarded") {
  process.on("uncaughtException", (error) => {
    if (!/[\\/]postgres[\\/].*connection\.js|TCP\.onStreamRead/.test(error.stack ?? "")) throw error;
    replace(sql);
  });
}
async function asked<Answer>(ask: (client: typeof sql) => PromiseLike<Answer>): Promise<Answer> {
  const client = sql;
  try {
    return await ask(client);
  } catch (error) {
    if (error instanceof postgres.PostgresError && error.code === "25006") replace(client);
    throw error;
  }
}
const client = {
  unsafe: (text: string, values?: string[]) => asked((client) => client.unsafe(text, values)),
  begin: (run: (sql: unknown) => Promise<unknown>) => asked((client) => client.begin(run)),
  options: sql.options,
};

await migrate(client);
const limiter = createLimiter({
  policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1_000_000_000 }] },
  store: postgresStore(client, { deadlineMs: 500 }),
  failover: false,
});
const call = { tool: "search", session: crypto.randomUUID() };
const counts = { allowed: 0, failed: 0, afterwards: 0 };
process.send?.("ready");
const endsAtMs = performance.now() + WORKS_MS;
async function consume(): Promise<number> {
  try {
    await limiter.consume(call);
    return 1;
  } catch {
    counts.failed++;
    return 0;
  }
}
async function work() {
  while (performance.now() < endsAtMs) {
    const allowed = await consume();
    counts.allowed += allowed;
  }
}
await Promise.all(Array.from({ length: 8 }, work));
process.send?.("worked");
await new Promise((go) => process.once("message", go));
// Connections that ended while nothing was asked fail one call each.
for (let i = 0; i < CALLS_AFTERWARDS; i++) counts.afterwards += await consume();
const [usage] = await limiter.usage(call);
process.send?.({ ...counts, replaced, used: usage?.used });
process.exit(0);
