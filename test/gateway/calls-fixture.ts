// What the tests of calls share: a ledger on a real store, and the messages of a client and a server as their bytes.

import assert from "node:assert/strict";
import type { PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { createLedger } from "../../src/gateway/calls/ledger.ts";
import type { CallsConfig } from "../../src/gateway/config/config.ts";
import type { CallLimiter, Judgement, OpenCall, Origin } from "../../src/gateway/contract.ts";
import { readMessage } from "../../src/gateway/message.ts";
import { createSeal } from "../../src/gateway/seal.ts";
import { createHostedLimiter } from "../../src/limiter.ts";

export const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "calls", per: ["session"], quota: 5 },
    { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 2, hold: { lease: "1m" } },
  ],
};

export const SECRETS = [{ id: "a", secret: new Uint8Array(32).fill(7) }];

export const ORIGIN: Origin = {
  transport: "http",
  era: "modern",
  server: "github",
  scope: "session-1",
  session: "s1",
  principal: { user: "alice", tenant: null, claims: {} },
  header: () => undefined,
};
export const LEGACY: Origin = { ...ORIGIN, era: "legacy" };

export const clientSays = (text: string) => readMessage(Buffer.from(text), "client");
export const serverSays = (text: string) => readMessage(Buffer.from(text), "server");
export const toolCall = (id: string | number, more = "") =>
  clientSays(
    `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"search","arguments":{"q":"x"}${more}}}`,
  );
export const notify = (method: string, params: string) =>
  clientSays(`{"jsonrpc":"2.0","method":"${method}","params":${params}}`);
export const resultOf = (id: string | number, result: string) =>
  serverSays(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);

interface Options {
  readonly policy?: PolicyInput;
  readonly config?: Partial<CallsConfig>;
  readonly limiter?: CallLimiter;
  readonly maxCalls?: number;
  readonly store?: Store;
}

/** A ledger, whose time a test moves. */
export function ledgerFor({ policy = POLICY, config = {}, ...given }: Options = {}, clock = fakeClock()) {
  const store = given.store ?? memoryStore({ clock });
  const hosted = createHostedLimiter({ policy, store, failover: false });
  const logged: string[] = [];
  const seen: unknown[] = [];
  const log = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const ledger = createLedger({
    limiter: given.limiter ?? hosted,
    dimensionsOf: ({ session, principal }) => ({
      session: session ?? "unidentified",
      user: principal.user ?? "unidentified",
    }),
    seal: createSeal(SECRETS, clock),
    config: { notices: "meta", maxWaitMs: 0, ...config },
    toolOf: (server, name) => `${server}_${name}`,
    registry: { sawCall: (...call) => void seen.push(call) },
    log: { warn: log, error: log },
    ...(given.maxCalls === undefined ? {} : { maxCalls: given.maxCalls }),
  });
  const judge = (message = toolCall(1), origin = ORIGIN, signal = new AbortController().signal) =>
    ledger.judge(message, origin, signal);
  /** A call that is let through. */
  const open = async (message = toolCall(1), origin = ORIGIN): Promise<OpenCall> =>
    forwardOf(await judge(message, origin)).call;
  const used = async (session = "s1") => {
    const usages = await hosted.usage({ session, user: "alice" });
    return Object.fromEntries(usages.map(({ limit, used }) => [limit, used]));
  };
  return { ledger, limiter: hosted, store, clock, logged, seen, judge, open, used };
}

export function forwardOf(judgement: Judgement) {
  return judgement.is === "forward" ? judgement : assert.fail(`it was answered: ${judgement.reply.body}`);
}

/** The gateway's own answer, as JSON. */
export function answerOf(judgement: Judgement) {
  assert.equal(judgement.is, "answer");
  return JSON.parse(String(judgement.is === "answer" && judgement.reply.body));
}
