// A stdio gateway inside the test's process, in front of the raw server, with a client that sends and reads lines.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { StdioConfig } from "../../src/gateway/config/config.ts";
import type { Ledger } from "../../src/gateway/contract.ts";
import { runStdio } from "../../src/gateway/stdio/run.ts";
import { openLedger } from "./open-ledger.ts";

export const RAW_SERVER = fileURLToPath(new URL("servers/raw.ts", import.meta.url));

export const MIB = 1_048_576;

/** What a gateway is started with. */
export function configOf(more: Partial<StdioConfig> = {}): StdioConfig {
  return {
    command: [process.execPath, RAW_SERVER],
    env: { PATH: process.env.PATH ?? "" },
    calls: { identity: new Map(), notices: "meta", maxWaitMs: 0, secrets: [] },
    maxMessageBytes: 32 * MIB,
    ...more,
  };
}

export async function stdioGateway(t: TestContext, ledger: Ledger = openLedger(), more: Partial<StdioConfig> = {}) {
  const clientIn = new PassThrough();
  const clientOut = new PassThrough();
  const logged: string[] = [];
  const log = {
    warn: (_: unknown, text: string) => logged.push(text),
    error: (_: unknown, text: string) => logged.push(text),
  };
  const running = await runStdio(configOf(more), ledger, log, { clientIn, clientOut });
  t.after(() => running.close());
  const lines: AsyncIterator<string> = createInterface({ input: clientOut })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    assert.ok(!done, "the gateway closed its output");
    return value as string;
  };
  return {
    ...running,
    clientIn,
    clientOut,
    logged,
    send: (line: string) => clientIn.write(`${line}\n`),
    /** The next line that the client reads. */
    next,
    async ask(line: string) {
      clientIn.write(`${line}\n`);
      return JSON.parse(await next());
    },
  };
}

export function call(id: number | string, name: string, more = ""): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}"${more}}}`;
}

export function request(id: number | string, method: string, params = "{}"): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`;
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
