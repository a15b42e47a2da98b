// The life of a stdio gateway: it begins its server, and ends with the first of client and server.

import type { Readable, Writable } from "node:stream";
import { within } from "../../deadlines.ts";
import type { GatewayLog, Running, StdioConfig } from "../config/config.ts";
import type { Ledger } from "../contract.ts";
import { type Exit, type ServerProcess, startServer } from "./child.ts";
import { Pipe } from "./pipe.ts";
import { watchOver } from "./watchdog.ts";

/** The client's side. */
export interface ClientStreams {
  readonly clientIn: Readable;
  readonly clientOut: Writable;
}

/** Why the gateway ends. */
type End = { readonly by: "client" | "signal" | "too-long" } | { readonly by: "server"; readonly exit: Exit };

/** How long calls may still be judged when the client has ended its input. */
const JUDGES_MS = 500;
/** How long calls may take to be settled, where the store is slow. */
const SETTLES_MS = 1_500;
/** How long the client may take to read its last answers. */
const FLUSHES_MS = 500;

/** @throws MisuseError `invalid-option` when the command cannot be started */
export async function runStdio(
  config: StdioConfig,
  ledger: Ledger,
  log: GatewayLog,
  client: ClientStreams,
): Promise<Running> {
  const server = await startServer(config.command, config.env);
  const unwatch = watchOver(server.pid);
  const ending = Promise.withResolvers<End>();
  const signal = Promise.withResolvers<void>();
  const pipe = new Pipe(
    { ...client, serverIn: server.stdin, serverOut: server.stdout },
    {
      ledger,
      log,
      maxMessageBytes: config.maxMessageBytes,
      onServerTooLong: () => ending.resolve({ by: "too-long" }),
    },
  );
  const clientGone = () => ending.resolve({ by: "client" });
  client.clientIn.once("end", clientGone).once("error", clientGone).once("close", clientGone);
  client.clientOut.once("error", clientGone).once("close", clientGone);
  void server.exited.then((exit) => ending.resolve({ by: "server", exit }));
  const ended = (async () => {
    const end = await ending.promise;
    await finish(end, { pipe, server, hurry: signal.promise });
    unwatch();
    await within(SETTLES_MS, ledger.close()).catch(() => {});
    await flushed(client.clientOut);
    return exitCodeOf(end);
  })();
  return {
    url: null,
    ended,
    async close() {
      signal.resolve();
      ending.resolve({ by: "signal" });
      await ended;
    },
  };
}

interface Ending {
  readonly pipe: Pipe;
  readonly server: ServerProcess;
  readonly hurry: Promise<void>;
}

async function finish(end: End, { pipe, server, hurry }: Ending): Promise<void> {
  if (end.by === "client") await within(JUDGES_MS, Promise.race([pipe.idle(), hurry])).catch(() => {});
  if (end.by === "server") pipe.fail("server-gone", `The MCP server ended (${wordsOf(end.exit)}) before it answered.`);
  pipe.endServer();
  await server.end(end.by === "client" ? hurry : Promise.resolve());
  pipe.fail("client-gone", null);
  await pipe.idle();
}

function wordsOf({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : `by ${signal}`;
}

function exitCodeOf(end: End): number {
  if (end.by === "server") return end.exit.code ?? 1;
  return end.by === "too-long" ? 1 : 0;
}

/** Waits until the system has what was written. */
function flushed(stream: Writable): Promise<void> {
  if (!stream.writable) return Promise.resolve();
  return within(FLUSHES_MS, new Promise<void>((resolve) => stream.write("", () => resolve()))).catch(() => {});
}
