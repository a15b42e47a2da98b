// Every kind of text, as a policy and the store's answer make it. Read them aloud: a model has to know what to do next.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { resolveCharges } from "../../test/charges.ts";
import { decisionOf } from "./answer.ts";
import { type Call, DIMENSIONS } from "./call.ts";
import type { Decision } from "./decision.ts";
import { MAX_DURATION_MS } from "./duration.ts";
import { compiledPolicy } from "./policy/parse.ts";
import type { LimitInput } from "./policy/input.ts";
import type { StepReply } from "./request.ts";

/** The policy names `send_email`, and does not name `search`. */
const TOOLS = { send_email: { group: "write" } };
const WHOSE = { tenant: "x", user: "u", session: "s", turn: "t" };

function decided(limits: LimitInput[], call: Partial<Call>, steps: StepReply[]): Decision {
  const policy = compiledPolicy({ version: 1, tools: TOOLS, limits });
  const own = limits.flatMap(({ per }) => per.filter((name) => policy.dimensions.has(name)).map((name) => [name, "x"]));
  const charges = resolveCharges(policy, "rate", { ...Object.fromEntries(own), ...WHOSE, tool: "search", ...call });
  const allowed = steps.every((step, i) => {
    return step.allowed || charges[i]?.limit.mode !== "enforce";
  });
  return decisionOf(charges, { allowed, nowMs: 1_000, steps });
}

const RESET = { resetAfterMs: 725_000 };
const passed = (used: number, more = {}): StepReply => ({ allowed: true, used, retryAfterMs: 0, ...RESET, ...more });
const denied = (used: number, retryAfterMs: number | null = 725_000, more = {}): StepReply => {
  return { allowed: false, used, retryAfterMs, ...RESET, ...more };
};

/** A limit, the units that are used, and what is said. */
type Notice = [limit: object, call: Partial<Call>, used: number, notice: string | null];
type Denial = [limit: object, call: Partial<Call>, step: StepReply, message: string, detail: string];

const EMAIL = { tool: "send_email" };
const TOOL_PER_TURN = { per: ["session", "turn", "tool"] };
const usd = (usd_micros: number) => ({ cost: { usd_micros } });
const DOLLAR = { unit: "usd_micros", quota: 1_000_000 };
const BURST = { algorithm: "token-bucket", window: "1m", quota: 60, burst: 10 } as const;
const AT_ONCE = { per: ["session"], algorithm: "concurrency", quota: 4 } as const;
const HALF_AN_HOUR = { algorithm: "elapsed", quota: "30m" } as const;
const STUCK = { algorithm: "streak", quota: 3, of: "errors" } as const;
const HOURLY = { algorithm: "fixed-window", window: "1h" } as const;

describe("the text of a denied call, for the model and for programs", () => {
  const tables: Record<string, Denial[]> = {
    budgets: [
      [
        { ...TOOL_PER_TURN, quota: 1 },
        {},
        denied(1),
        "Limit reached (lim), call denied: this tool has no calls left in this turn (limit: 1 call). Do not call it again; other tools are still available.",
        "Limit reached: 1 call per session, turn and tool.",
      ],
      [
        { ...TOOL_PER_TURN, quota: 5 },
        {},
        denied(5),
        "Limit reached (lim), call denied: this tool has no calls left in this turn: all 5 are used. Do not call it again; other tools are still available.",
        "Limit reached: 5 calls per session, turn and tool.",
      ],
      [
        { ...TOOL_PER_TURN, quota: 5 },
        EMAIL,
        denied(5),
        "Limit reached (lim), call denied: send_email has no calls left in this turn: all 5 are used. Do not call it again; other tools are still available.",
        "Limit reached: 5 calls per session, turn and tool.",
      ],
      [
        { per: ["session"], quota: 50 },
        {},
        denied(50),
        "Limit reached (lim), call denied: no calls are left in this session: all 50 are used. Do not call tools again; finish with what you have.",
        "Limit reached: 50 calls per session.",
      ],
      [
        { per: ["session"], quota: 50 },
        { cost: { calls: 4 } },
        denied(47),
        "Limit reached (lim), call denied: only 3 of 50 calls are left in this session, and this call needs 4 calls. Make a smaller call, or finish with what you have.",
        "Limit reached: 50 calls per session, 3 calls left, 4 calls needed.",
      ],
      [
        { per: [], quota: 50 },
        {},
        denied(50),
        "Limit reached (lim), call denied: no calls are left: all 50 are used. Do not call tools again; finish with what you have.",
        "Limit reached: 50 calls.",
      ],
      [
        { per: ["workspace", "user"], quota: 1_000_000 },
        {},
        denied(1_000_000),
        "Limit reached (lim), call denied: no calls are left for this workspace and user: all 1,000,000 are used. Do not call tools again; finish with what you have.",
        "Limit reached: 1,000,000 calls per workspace and user.",
      ],
      [
        { per: ["workspace"], unit: "gpu_seconds", quota: 1 },
        { cost: { gpu_seconds: 2 } },
        denied(0, null),
        "Call denied (lim): this call needs 2 gpu seconds, and the limit is 1 gpu second for this workspace. Make a smaller call, or finish with what you have.",
        "Not possible: the limit is 1 gpu second per workspace, and this call needs 2 gpu seconds.",
      ],
      [
        { per: ["session"], unit: "tokens", quota: 5_000 },
        { cost: { tokens: 4_000 } },
        denied(1_500),
        "Limit reached (lim), call denied: only 3,500 of 5,000 tokens are left in this session, and this call needs 4,000 tokens. Make a smaller call, or finish with what you have.",
        "Limit reached: 5,000 tokens per session, 3,500 tokens left, 4,000 tokens needed.",
      ],
    ],
    "money, rounded so that nothing is promised": [
      [
        { per: ["user"], ...DOLLAR },
        usd(60_000),
        denied(960_000),
        "Limit reached (lim), call denied: only $0.04 of $1.00 is left for this user, and this call needs $0.06. Make a smaller call, or finish with what you have.",
        "Limit reached: $1.00 per user, $0.04 left, $0.06 needed.",
      ],
      [
        { per: ["user"], ...DOLLAR },
        usd(60_001),
        denied(955_100),
        "Limit reached (lim), call denied: only $0.04 of $1.00 is left for this user, and this call needs $0.07. Make a smaller call, or finish with what you have.",
        "Limit reached: $1.00 per user, $0.04 left, $0.07 needed.",
      ],
      [
        { per: ["user", "tool"], ...DOLLAR },
        usd(600),
        denied(999_700),
        "Limit reached (lim), call denied: this tool has only $0.0003 of $1.00 left for this user, and this call needs $0.0006. Make a smaller call, or go on without it; other tools are still available.",
        "Limit reached: $1.00 per user and tool, $0.0003 left, $0.0006 needed.",
      ],
      [
        { per: ["user"], ...DOLLAR },
        {},
        denied(1_000_000),
        "Limit reached (lim), call denied: the budget of $1.00 for this user is used up. Do not call tools again; finish with what you have.",
        "Limit reached: $1.00 per user.",
      ],
      [
        { per: ["user"], unit: "usd_micros", quota: 40_000 },
        usd(60_000),
        denied(0, null),
        "Call denied (lim): this call needs $0.06, and the limit is $0.04 for this user. Make a smaller call, or finish with what you have.",
        "Not possible: the limit is $0.04 per user, and this call needs $0.06.",
      ],
      [
        { per: ["tenant"], ...HOURLY, unit: "eur_micros", quota: 12_500_000_000 },
        { cost: { eur_micros: 1 } },
        denied(12_500_000_000),
        "Limit reached (lim), call denied: the budget of EUR 12,500.00 per hour for this tenant is used up. Try again in 13 minutes, or finish with what you have.",
        "Limit reached: EUR 12,500.00 per hour per tenant. Retry after 13 min.",
      ],
    ],
    windows: [
      [
        { per: ["user"], ...HOURLY, quota: 5 },
        {},
        denied(5, 20_000),
        "Limit reached (lim), call denied: no calls are left for this user for now (limit: 5 calls per hour). Try again in 20 seconds, or finish with what you have.",
        "Limit reached: 5 calls per hour per user. Retry after 20 s.",
      ],
      [
        { per: ["user"], ...HOURLY, unit: "tokens", quota: 40_000 },
        { cost: { tokens: 7 } },
        denied(39_998, 20_000),
        "Limit reached (lim), call denied: only 2 tokens are left for this user for now (limit: 40,000 tokens per hour), and this call needs 7 tokens. Try again in 20 seconds, or finish with what you have.",
        "Limit reached: 40,000 tokens per hour per user, 2 tokens left, 7 tokens needed. Retry after 20 s.",
      ],
      [
        { per: ["tenant"], algorithm: "fixed-window", window: "month", quota: 1_000 },
        {},
        denied(1_000, 1_036_800_005),
        "Limit reached (lim), call denied: no calls are left for this tenant for now (limit: 1,000 calls per month). Try again in 12 days 1 hour, or finish with what you have.",
        "Limit reached: 1,000 calls per month per tenant. Retry after 12 d 1 h.",
      ],
      [
        { per: ["tenant"], algorithm: "fixed-window", window: "day", quota: 1 },
        {},
        denied(1, 3_600_000),
        "Limit reached (lim), call denied: no calls are left for this tenant for now (limit: 1 call per day). Try again in 1 hour, or finish with what you have.",
        "Limit reached: 1 call per day per tenant. Retry after 1 h.",
      ],
      [
        { per: ["tool"], algorithm: "sliding-window", window: "90s", quota: 3 },
        {},
        denied(3, 1),
        "Limit reached (lim), call denied: this tool has no calls left for now (limit: 3 calls per 90 seconds). Try again in 1 second, or go on without it; other tools are still available.",
        "Limit reached: 3 calls per 90 seconds per tool. Retry after 1 s.",
      ],
      [
        { per: ["user"], ...HOURLY, quota: 5 },
        { cost: { calls: 6 } },
        denied(0, null),
        "Call denied (lim): this call needs 6 calls, and the limit is 5 calls per hour for this user. Make a smaller call, or finish with what you have.",
        "Not possible: the limit is 5 calls per hour per user, and this call needs 6 calls.",
      ],
    ],
    "units that other instances have borrowed": [
      [
        { per: ["user", "tool"], quota: 50 },
        {},
        denied(50, 200, { isBorrowed: true }),
        "Limit reached (lim), call denied: this tool has no calls free for this user at the moment. Try again in 1 second, or go on without it; other tools are still available.",
        "Limit reached: 50 calls per user and tool. Retry after 1 s.",
      ],
      [
        { per: ["user"], ...HOURLY, quota: 50 },
        {},
        denied(50, 200, { isBorrowed: true }),
        "Limit reached (lim), call denied: no calls are free for this user at the moment. Try again in 1 second, or finish with what you have.",
        "Limit reached: 50 calls per hour per user. Retry after 1 s.",
      ],
      [
        { per: ["tenant"], ...DOLLAR },
        {},
        denied(1_000_000, 200, { isBorrowed: true }),
        "Limit reached (lim), call denied: no money is free for this tenant at the moment. Try again in 1 second, or finish with what you have.",
        "Limit reached: $1.00 per tenant. Retry after 1 s.",
      ],
    ],
    "token buckets, with and without a burst": [
      [
        { per: ["user"], ...BURST },
        { cost: { calls: 5 } },
        denied(8, 3_000),
        "Limit reached (lim), call denied: only 2 calls are left for this user for now (limit: 60 calls per minute, at most 10 at once), and this call needs 5 calls. Try again in 3 seconds, or finish with what you have.",
        "Limit reached: 60 calls per minute per user, at most 10 at once, 2 calls left, 5 calls needed. Retry after 3 s.",
      ],
      [
        { per: ["user", "tool"], ...BURST },
        {},
        denied(10, 700),
        "Limit reached (lim), call denied: this tool has no calls left for this user for now (limit: 60 calls per minute, at most 10 at once). Try again in 1 second, or go on without it; other tools are still available.",
        "Limit reached: 60 calls per minute per user and tool, at most 10 at once. Retry after 1 s.",
      ],
      [
        { per: ["user"], ...BURST },
        { cost: { calls: 11 } },
        denied(0, null),
        "Call denied (lim): this call needs 11 calls, and the limit is 60 calls per minute for this user, at most 10 at once. Make a smaller call, or finish with what you have.",
        "Not possible: the limit is 60 calls per minute per user, at most 10 at once, and this call needs 11 calls.",
      ],
      [
        { per: ["user"], algorithm: "token-bucket", window: "7d", quota: 9 },
        {},
        denied(9, 86_400_000),
        "Limit reached (lim), call denied: no calls are left for this user for now (limit: 9 calls per week). Try again in 24 hours, or finish with what you have.",
        "Limit reached: 9 calls per week per user. Retry after 24 h.",
      ],
    ],
    "calls that run": [
      [
        { ...AT_ONCE },
        {},
        denied(4, 120_000),
        "Limit reached (lim), call denied: 4 calls are running in this session, the maximum. Try again when one has finished, at most 2 minutes from now, or finish with what you have.",
        "Limit reached: 4 calls at once per session. Retry after 2 min at the latest.",
      ],
      [
        { ...AT_ONCE, per: ["session", "tool"], quota: 1 },
        EMAIL,
        denied(1, 120_000),
        "Limit reached (lim), call denied: 1 call of send_email is running in this session, the maximum. Try again when one has finished, at most 2 minutes from now, or go on without it; other tools are still available.",
        "Limit reached: 1 call at once per session and tool. Retry after 2 min at the latest.",
      ],
      [
        { ...AT_ONCE, unit: "tokens" },
        { cost: { tokens: 3 } },
        denied(4, 120_000),
        "Limit reached (lim), call denied: 4 tokens are in use in this session, the maximum. Try again when one is free, at most 2 minutes from now, or finish with what you have.",
        "Limit reached: 4 tokens at once per session. Retry after 2 min at the latest.",
      ],
      [
        { ...AT_ONCE },
        { cost: { calls: 3 } },
        denied(2, 120_000),
        "Limit reached (lim), call denied: only 2 calls are left in this session for now (limit: 4 calls at once), and this call needs 3 calls. Try again in 2 minutes, or finish with what you have.",
        "Limit reached: 4 calls at once per session, 2 calls left, 3 calls needed. Retry after 2 min at the latest.",
      ],
      [
        { ...AT_ONCE },
        { cost: { calls: 5 } },
        denied(0, null),
        "Call denied (lim): this call needs 5 calls, and the limit is 4 calls at once in this session. Make a smaller call, or finish with what you have.",
        "Not possible: the limit is 4 calls at once per session, and this call needs 5 calls.",
      ],
    ],
    "time that is over": [
      [
        { per: ["session"], ...HALF_AN_HOUR },
        {},
        denied(1_800_000, 5),
        "Limit reached (lim), call denied: the time in this session is over (30 minutes from the first call). Do not call tools again; finish with what you have.",
        "Limit reached: 30 minutes per session.",
      ],
      [
        { per: ["session", "tool"], ...HALF_AN_HOUR },
        {},
        denied(1_800_001, 5),
        "Limit reached (lim), call denied: the time for this tool in this session is over (30 minutes from the first call). Do not call it again; other tools are still available.",
        "Limit reached: 30 minutes per session and tool.",
      ],
    ],
    "calls without progress": [
      [
        { per: ["session"], ...STUCK, of: "errors" },
        {},
        denied(3, 5),
        "Call denied (lim): the last 3 calls failed. Finish with what you have.",
        "Blocked: the last 3 calls per session failed.",
      ],
      [
        { per: ["session", "tool"], ...STUCK, of: "errors" },
        {},
        denied(3, 5),
        "Call denied (lim): the last 3 calls of this tool failed. Use another tool, or finish with what you have.",
        "Blocked: the last 3 calls per session and tool failed.",
      ],
      [
        { per: ["session", "tool", "args"], ...STUCK, of: "errors" },
        {},
        denied(3, 5),
        "Call denied (lim): the last 3 calls of this tool with these arguments failed. Do not repeat it: change the arguments, use another tool, or finish with what you have.",
        "Blocked: the last 3 calls per session, tool and args failed.",
      ],
      [
        { per: ["session"], ...STUCK, of: "results" },
        {},
        denied(3, 5),
        "Call denied (lim): the last 3 calls had the same result. Finish with what you have.",
        "Blocked: the last 3 calls per session had the same result.",
      ],
      [
        { per: ["session", "tool"], ...STUCK, of: "results" },
        EMAIL,
        denied(3, 5),
        "Call denied (lim): the last 3 calls of send_email had the same result. Use another tool, or finish with what you have.",
        "Blocked: the last 3 calls per session and tool had the same result.",
      ],
      [
        { per: ["session", "tool"], ...STUCK, of: "errors", quota: 1 },
        EMAIL,
        denied(1, 5),
        "Call denied (lim): the last call of send_email failed. Use another tool, or finish with what you have.",
        "Blocked: the last call per session and tool failed.",
      ],
    ],
    "budgets that start again": [
      [
        { per: ["user", "tool"], quota: 200, resetAfter: "1d" },
        {},
        denied(200, 20_000),
        "Limit reached (lim), call denied: this tool has no calls left for this user for now (limit: 200 calls per day). Try again in 20 seconds, or go on without it; other tools are still available.",
        "Limit reached: 200 calls per day per user and tool. Retry after 20 s.",
      ],
    ],
    "what is not allowed at all": [
      [
        { per: ["session", "tool"], quota: 5, quotas: { tool: { send_email: 0 } } },
        EMAIL,
        denied(0, null),
        "Call denied (lim): send_email is not allowed. Do not call it again; other tools are still available.",
        "Not allowed: the limit is 0 calls per session and tool.",
      ],
      [
        { per: ["session", "tool"], quotas: { tool: { other: 5 } }, quota: 0 },
        {},
        denied(0, null),
        "Call denied (lim): this tool is not allowed. Do not call it again; other tools are still available.",
        "Not allowed: the limit is 0 calls per session and tool.",
      ],
      [
        { per: ["user"], when: { tool: ["search", "send_email"] }, quota: 0 },
        {},
        denied(0, null),
        "Call denied (lim): search and send_email are not allowed for this user. Do not call them again; other tools are still available.",
        "Not allowed: the limit is 0 calls per user.",
      ],
      [
        { per: ["user"], quota: 0 },
        {},
        denied(0, null),
        "Call denied (lim): no calls are allowed for this user. Do not call tools again; finish with what you have.",
        "Not allowed: the limit is 0 calls per user.",
      ],
      [
        { per: ["session"], ...HOURLY, unit: "tokens", quota: 0 },
        {},
        denied(0, null),
        "Call denied (lim): no tokens are allowed. Do not call tools again; finish with what you have.",
        "Not allowed: the limit is 0 tokens per session.",
      ],
      [
        { per: ["user", "tool"], unit: "usd_micros", quota: 0 },
        {},
        denied(0, null),
        "Call denied (lim): no spending is allowed for this tool for this user. Do not call it again; other tools are still available.",
        "Not allowed: the limit is $0.00 per user and tool.",
      ],
    ],
    "what was granted": [
      [
        { per: ["session"], quota: 5 },
        {},
        denied(8, 5, { granted: 3 }),
        "Limit reached (lim), call denied: no calls are left in this session: all 8 are used. Do not call tools again; finish with what you have.",
        "Limit reached: 8 calls per session.",
      ],
    ],
    "values that are counted": [
      [
        { per: ["user"], quota: 3, distinct: "session" },
        {},
        denied(3),
        "Limit reached (lim), call denied: no new sessions are left for this user: all 3 are used. Do not call tools again; finish with what you have.",
        "Limit reached: 3 new sessions per user.",
      ],
      [
        { per: ["user"], ...HOURLY, quota: 1, distinct: "session" },
        {},
        denied(1, 20_000),
        "Limit reached (lim), call denied: no new sessions are left for this user for now (limit: 1 new session per hour). Try again in 20 seconds, or finish with what you have.",
        "Limit reached: 1 new session per hour per user. Retry after 20 s.",
      ],
      [
        { per: ["session"], quota: 3, distinct: "tool" },
        {},
        denied(3),
        "Limit reached (lim), call denied: no new tools are left in this session: all 3 are used. Do not call new tools; tools that were called before are still available.",
        "Limit reached: 3 new tools per session.",
      ],
      [
        { per: ["session"], ...HOURLY, quota: 1, distinct: "args" },
        {},
        denied(1, 20_000),
        "Limit reached (lim), call denied: no new args are left in this session for now (limit: 1 new arg per hour). Try again in 20 seconds, or go on without tools with new arguments; calls with earlier arguments are still possible.",
        "Limit reached: 1 new arg per hour per session. Retry after 20 s.",
      ],
    ],
    "some tools alone": [
      [
        { per: ["session"], when: { tool: ["search"] }, quota: 5 },
        {},
        denied(5),
        "Limit reached (lim), call denied: search has no calls left in this session: all 5 are used. Do not call it again; other tools are still available.",
        "Limit reached: 5 calls per session.",
      ],
      [
        { per: ["session"], when: { tool: ["search", "send_email"] }, quota: 5 },
        {},
        denied(5),
        "Limit reached (lim), call denied: search and send_email have no calls left in this session: all 5 are used. Do not call them again; other tools are still available.",
        "Limit reached: 5 calls per session.",
      ],
      [
        { per: ["session"], when: { tool: ["sea*", "send_email"] }, quota: 5 },
        {},
        denied(5),
        "Limit reached (lim), call denied: tools like this one have no calls left in this session: all 5 are used. Do not call them again; other tools are still available.",
        "Limit reached: 5 calls per session.",
      ],
      [
        { per: ["session"], when: { tool: ["search", "*"] }, quota: 5 },
        {},
        denied(5),
        "Limit reached (lim), call denied: no calls are left in this session: all 5 are used. Do not call tools again; finish with what you have.",
        "Limit reached: 5 calls per session.",
      ],
      [
        { per: ["session", "group"], quota: 5 },
        EMAIL,
        denied(5),
        "Limit reached (lim), call denied: tools of this kind have no calls left in this session: all 5 are used. Do not call them again; other tools are still available.",
        "Limit reached: 5 calls per session and group.",
      ],
    ],
    "some arguments alone": [
      [
        { per: ["session", "turn", "tool", "args"], quota: 1 },
        EMAIL,
        denied(1),
        "Limit reached (lim), call denied: send_email with these arguments has no calls left in this turn (limit: 1 call). Do not repeat it; other arguments and other tools are still possible.",
        "Limit reached: 1 call per session, turn, tool and args.",
      ],
      [
        { per: ["session", "args"], ...HOURLY, quota: 1 },
        {},
        denied(1),
        "Limit reached (lim), call denied: this tool with these arguments has no calls left in this session for now (limit: 1 call per hour). Try again in 13 minutes, or go on without it; other arguments and other tools are still possible.",
        "Limit reached: 1 call per hour per session and args. Retry after 13 min.",
      ],
    ],
    "all tools, and not the model, or the model alone": [
      [
        { per: ["session"], when: { tool: "!model" }, quota: 50 },
        {},
        denied(50),
        "Limit reached (lim), call denied: no calls are left in this session: all 50 are used. Do not call tools again; finish with what you have.",
        "Limit reached: 50 calls per session.",
      ],
      [
        { per: ["user"], when: { model: "*" }, ...DOLLAR },
        { tool: "model", model: "m1", ...usd(5) },
        denied(1_000_000),
        "Limit reached (lim), call denied: the budget of $1.00 for this user is used up. Finish with what you have.",
        "Limit reached: $1.00 per user.",
      ],
      [
        { per: ["session"], when: { tool: "model" }, quota: 50 },
        { tool: "model" },
        denied(50),
        "Limit reached (lim), call denied: no calls of the model are left in this session: all 50 are used. Finish with what you have.",
        "Limit reached: 50 calls per session.",
      ],
      [
        { per: ["user"], when: { model: "*" }, quota: 0 },
        { tool: "model", model: "m1" },
        denied(0),
        "Call denied (lim): no calls of the model are allowed for this user. Finish with what you have.",
        "Not allowed: the limit is 0 calls per user.",
      ],
      [
        { per: ["user"], when: { model: ["!m2", "m*"] }, ...HOURLY, quota: 5 },
        { tool: "model", model: "m1" },
        denied(5),
        "Limit reached (lim), call denied: no calls of the model are left for this user for now (limit: 5 calls per hour). Try again in 13 minutes, or finish with what you have.",
        "Limit reached: 5 calls per hour per user. Retry after 13 min.",
      ],
    ],
    "a store that is away": [
      [
        { per: ["session"], quota: 5 },
        {},
        denied(5, 1_000, { away: true }),
        "Call denied for now: the limit lim cannot be checked at the moment. Try again in 1 second, or go on without this call.",
        "The limit cannot be checked at the moment. Retry after 1 s.",
      ],
    ],
  };
  for (const [kind, table] of Object.entries(tables)) {
    it(kind, () => {
      for (const [limit, call, step, message, detail] of table) {
        const decision = decided([{ name: "lim", ...limit } as unknown as LimitInput], call, [step]);
        assert.deepEqual([decision.message, decision.detail, decision.notice], [message, detail, null]);
      }
    });
  }
});

describe("the text of how little is left", () => {
  const tables: Record<string, Notice[]> = {
    "calls of the model": [
      [
        { per: ["user"], when: { model: "*" }, ...DOLLAR },
        { tool: "model", model: "m1", ...usd(5) },
        1_000_000,
        "The budget of $1.00 for this user is used up. Finish with what you have.",
      ],
      [
        { per: ["session"], when: { tool: "model" }, quota: 50 },
        { tool: "model" },
        45,
        "Only 5 of 50 calls of the model are left in this session. Finish before that is used up.",
      ],
      [
        { per: ["session"], when: { tool: "model" }, quota: 5, ...HOURLY, notice: { at: 0.8 } },
        { tool: "model" },
        5,
        "No calls of the model are left in this session for now (limit: 5 calls per hour). The next call of the model may have to wait for 13 minutes.",
      ],
    ],
    budgets: [
      [
        { ...TOOL_PER_TURN, quota: 1 },
        {},
        1,
        "This tool has no calls left in this turn. Do not call it again; other tools are still available.",
      ],
      [
        { ...TOOL_PER_TURN, quota: 5 },
        {},
        4,
        "This tool has only 1 of 5 calls left in this turn; other tools are still available.",
      ],
      [
        { ...TOOL_PER_TURN, quota: 5 },
        EMAIL,
        5,
        "send_email has no calls left in this turn: all 5 are used. Do not call it again; other tools are still available.",
      ],
      [
        { per: ["session"], quota: 50 },
        {},
        45,
        "Only 5 of 50 calls are left in this session. Finish before that is used up.",
      ],
      [
        { per: ["session"], quota: 50 },
        {},
        49,
        "Only 1 of 50 calls is left in this session. Finish before it is used up.",
      ],
      [
        { per: ["session"], quota: 50 },
        {},
        50,
        "No calls are left in this session: all 50 are used. Do not call tools again; finish with what you have.",
      ],
      [
        { per: ["workspace", "tool"], unit: "gpu_seconds", quota: 3_600 },
        { cost: { gpu_seconds: 1 } },
        3_599,
        "This tool has only 1 of 3,600 gpu seconds left for this workspace; other tools are still available.",
      ],
    ],
    "values that are counted": [
      // The call's own session is counted: its next calls pass, and the model chooses no other.
      [{ per: ["user"], quota: 3, distinct: "session" }, {}, 3, null],
      [
        { per: ["session"], quota: 3, distinct: "tool" },
        {},
        3,
        "No new tools are left in this session: all 3 are used. Do not call new tools; tools that were called before are still available.",
      ],
      [
        { per: ["session"], ...HOURLY, quota: 5, distinct: "args", notice: { at: 0.8 } },
        {},
        5,
        "No new args are left in this session for now (limit: 5 new args per hour). Wait up to 13 minutes before you call tools with new arguments; calls with earlier arguments are still possible.",
      ],
      [
        { per: ["session"], quota: 5, distinct: "group" },
        EMAIL,
        4,
        "Only 1 of 5 new groups is left in this session; tools of the kinds that were called before are still available.",
      ],
    ],
    "money, rounded so that nothing is promised": [
      [
        { per: ["user"], ...DOLLAR },
        usd(1),
        955_100,
        "Only $0.04 of $1.00 is left for this user. Finish before that is used up.",
      ],
      [
        { per: ["session", "tool"], ...DOLLAR },
        usd(1),
        999_999,
        "This tool has only $0.000001 of $1.00 left in this session; other tools are still available.",
      ],
      [
        { per: ["user"], ...DOLLAR },
        usd(1),
        1_000_000,
        "The budget of $1.00 for this user is used up. Do not call tools again; finish with what you have.",
      ],
    ],
    "limits that refill, where the policy wants it": [
      [
        { per: ["user", "tool"], ...HOURLY, quota: 5, notice: { at: 0.8 } },
        {},
        4,
        "This tool has only 1 call left for this user for now (limit: 5 calls per hour); other tools are still available.",
      ],
      [
        { per: ["user", "tool"], ...HOURLY, quota: 5, notice: { at: 0.8 } },
        {},
        5,
        "This tool has no calls left for this user for now (limit: 5 calls per hour). Wait up to 13 minutes before you call it again; other tools are still available.",
      ],
      [
        { per: ["user"], ...BURST, notice: { at: 0.5 } },
        {},
        10,
        "No calls are left for this user for now (limit: 60 calls per minute, at most 10 at once). Wait up to 13 minutes before you call again.",
      ],
      [
        { per: ["user"], ...HOURLY, ...DOLLAR, notice: { at: 0.5 } },
        usd(1),
        999_000,
        "Only $0.001 is left for this user for now (limit: $1.00 per hour).",
      ],
      [
        { ...AT_ONCE, notice: { at: 0.5 } },
        {},
        3,
        "3 of at most 4 calls were running at once in this session when this call began. Make fewer calls at the same time.",
      ],
      [
        { ...AT_ONCE, per: ["session", "tool"], notice: { at: 0.1 } },
        EMAIL,
        1,
        "1 of at most 4 calls of send_email was running at once in this session when this call began. Make fewer calls at the same time.",
      ],
    ],
    time: [
      [
        { per: ["session"], ...HALF_AN_HOUR },
        {},
        1_499_001,
        "5 minutes are left of 30 minutes in this session. Finish in that time.",
      ],
      [
        { per: ["session", "tool"], ...HALF_AN_HOUR },
        {},
        1_799_000,
        "1 second is left of 30 minutes for this tool in this session. Finish in that time.",
      ],
      [{ per: [], ...HALF_AN_HOUR }, {}, 1_799_001, "Less than 1 second is left of 30 minutes. Finish in that time."],
    ],
    "some tools alone": [
      [
        { per: ["session"], when: { tool: ["sea*"] }, quota: 5 },
        {},
        5,
        "Tools like this one have no calls left in this session: all 5 are used. Do not call them again; other tools are still available.",
      ],
      [
        { per: ["session", "group"], quota: 5 },
        EMAIL,
        4,
        "Tools of this kind have only 1 of 5 calls left in this session; other tools are still available.",
      ],
    ],
    "some arguments alone": [
      [
        { per: ["session", "turn", "tool", "args"], quota: 1 },
        EMAIL,
        1,
        "send_email with these arguments has no calls left in this turn. Do not repeat it; other arguments and other tools are still possible.",
      ],
    ],
  };
  for (const [kind, table] of Object.entries(tables)) {
    it(kind, () => {
      for (const [limit, call, used, notice] of table) {
        const decision = decided([{ name: "lim", ...limit } as unknown as LimitInput], call, [passed(used)]);
        assert.deepEqual([decision.notice, decision.message, decision.detail], [notice, null, null]);
      }
    });
  }

  it("is left out in an outage, because the remaining units are unknown", () => {
    const policy = compiledPolicy({ version: 1, limits: [{ name: "lim", per: ["session"], quota: 5 }] });
    const charges = resolveCharges(policy, "rate", { ...WHOSE, tool: "search" });
    const degraded = { reason: "unavailable", maxOvershoot: 3 };
    const reply = { allowed: true, nowMs: 1_000, steps: [passed(5)] };
    assert.notEqual(decisionOf(charges, reply).notice, null);
    assert.equal(decisionOf(charges, { ...reply, degraded }).notice, null);
  });
});

describe("several limits", () => {
  const TOOL: LimitInput = { name: "tool", per: ["session", "tool"], quota: 5 };
  const ALL: LimitInput = { name: "all", per: ["session"], quota: 9 };
  const RATE: LimitInput = { name: "rate", per: ["session"], ...HOURLY, quota: 5 };
  const STOP = "Do not call tools again; finish with what you have.";

  it("say that other tools are available only where no limit for all tools is used up", () => {
    const [none, nine] = [passed(5), passed(9)];
    const tool = "This tool has no calls left in this session: all 5 are used.";
    assert.equal(decided([TOOL, ALL], {}, [none, nine]).notice, `${tool} ${STOP}`);
    const open = `${tool} Do not call it again; other tools are still available.`;
    assert.equal(decided([TOOL, ALL], {}, [none, passed(7)]).notice, open);
    const both = decided([TOOL, ALL], {}, [denied(5), denied(9, 5)]);
    assert.equal(both.message, `Limit reached (tool), call denied: t${tool.slice(1)} ${STOP}`);
  });

  it("say to wait before other tools are called where a limit for all tools is used up for now", () => {
    const wait = "Do not call it again; wait before you call other tools.";
    const near = decided([{ ...TOOL, quota: 1 }, RATE], {}, [passed(1), passed(5)]);
    assert.equal(near.notice, `This tool has no calls left in this session. ${wait}`);
    const both = decided([{ ...TOOL, quota: 1 }, RATE], {}, [denied(1, 999_000), denied(5)]);
    const tool = "Limit reached (tool), call denied: this tool has no calls left in this session (limit: 1 call).";
    assert.equal(both.message, `${tool} ${wait}`);
    const closed = decided([{ ...TOOL, quota: 1 }, RATE, ALL], {}, [denied(1, 999_000), denied(5), denied(9)]);
    assert.equal(closed.message, `${tool} ${STOP}`);
    const shorter = decided([{ ...TOOL, quota: 1 }, RATE], {}, [denied(1, 9_000), denied(5)]);
    assert.deepEqual([shorter.message, shorter.retryAfterMs], [`${tool} ${wait}`, null]);
  });

  it("close no tools because of slots that are free again when the call ends", () => {
    const atOnce: LimitInput = { name: "at-once", ...AT_ONCE, quota: 1 };
    const near = decided([{ ...TOOL, quota: 1 }, atOnce], {}, [passed(1), passed(1)]);
    const open = "Do not call it again; other tools are still available.";
    assert.equal(near.notice, `This tool has no calls left in this session. ${open}`);
  });

  it("close no tools because of values that are counted", () => {
    const sessions: LimitInput = { name: "sessions", per: ["user"], distinct: "session", quota: 3 };
    const near = decided([{ ...TOOL, quota: 1 }, sessions], {}, [passed(1), passed(3)]);
    const open = "Do not call it again; other tools are still available.";
    assert.equal(near.notice, `This tool has no calls left in this session. ${open}`);
  });

  it("give no advice that another limit makes useless", () => {
    const rate =
      "Limit reached (rate), call denied: no calls are left in this session for now (limit: 5 calls per hour).";
    const wait = `${rate} Try again in 13 minutes, or finish with what you have.`;
    assert.equal(decided([RATE, ALL], {}, [denied(5), passed(7)]).message, wait);
    const all = `Limit reached (all), call denied: no calls are left in this session: all 9 are used. ${STOP}`;
    assert.equal(decided([RATE, ALL], {}, [denied(5), denied(9, 5)]).message, all);
    const large = decided([RATE, ALL], { cost: { calls: 6 } }, [denied(0, null), denied(9, 5)]);
    const tooLarge = "this call needs 6 calls, and the limit is 5 calls per hour in this session";
    assert.equal(large.message, `Call denied (rate): ${tooLarge}. ${STOP}`);
    const atOnce: LimitInput = { name: "lim", ...AT_ONCE };
    assert.equal(decided([atOnce, ALL], {}, [denied(4), denied(9, 5)]).message, all);
    const stuck: LimitInput = { name: "stuck", per: ["session", "tool"], ...STUCK };
    const row = decided([stuck, ALL], {}, [denied(3), denied(9, 5)]);
    assert.equal(row.message, "Call denied (stuck): the last 3 calls of this tool failed. Finish with what you have.");
  });

  it("never name a limit that denies nothing", () => {
    const shadow: LimitInput = { name: "shadow", per: [], quota: 0, mode: "shadow" };
    const warns = { name: "warns", per: ["session"], ...STUCK, mode: "warn" as const };
    const steps = [denied(0, null), denied(3, 725_000), denied(9, 725_000)];
    const { message, verdicts, deniedBy } = decided([shadow, warns, ALL], {}, steps);
    assert.match(message ?? "", /^Limit reached \(all\), /);
    assert.equal(deniedBy, "all");
    assert.deepEqual(
      verdicts.map(({ allowed, exceeded, mode }) => [allowed, exceeded, mode]),
      [
        [true, true, "shadow"],
        [true, true, "warn"],
        [false, true, "enforce"],
      ],
    );
    assert.equal(decided([shadow, { ...ALL, mode: "shadow" }], {}, [denied(0, null), passed(9)]).notice, null);
    const near = decided([warns, ALL], {}, [passed(3), passed(9)]).notice;
    assert.equal(near, `No calls are left in this session: all 9 are used. ${STOP}`);
  });
});

describe("the text of a limit that warns", () => {
  const SOME = "Calls still pass, but make only those that you need.";
  const cases: [limit: object, StepReply, notice: string | null][] = [
    [
      { per: ["session", "tool"], quota: 5 },
      denied(6),
      `Warning: this tool has no calls left in this session: all 5 are used. ${SOME}`,
    ],
    [
      { per: ["session"], ...HOURLY, quota: 5 },
      denied(6),
      `Warning: no calls are left in this session for now (limit: 5 calls per hour). ${SOME}`,
    ],
    [
      { per: ["session", "tool"], quota: 0 },
      denied(1, null),
      `Warning: the limit for this tool is 0 calls in this session. ${SOME}`,
    ],
    [
      AT_ONCE,
      denied(5),
      "Warning: more than 4 calls were running at once in this session when this call began. Make fewer calls at the same time.",
    ],
    [
      { per: ["session"], ...HALF_AN_HOUR },
      denied(1_800_000, null),
      "Warning: the time in this session is over (30 minutes from the first call). Finish with what you have.",
    ],
    [{ per: ["session"], quota: 5, notice: { message: "{used} of {quota}." } }, denied(7), "7 of 5."],
    [{ per: ["session"], quota: 5, notice: { at: 0.5, message: "{used} of {quota}." } }, passed(4), "4 of 5."],
    [{ per: ["session"], quota: 5 }, passed(5), null],
    [{ per: ["session"], quota: 5 }, denied(5, 1_000, { away: true }), null],
  ];
  for (const [limit, step, notice] of cases) {
    it(`says ${notice ?? "nothing"}`, () => {
      const decision = decided([{ name: "soft", mode: "warn", ...limit } as unknown as LimitInput], {}, [step]);
      assert.deepEqual([decision.allowed, decision.deniedBy, decision.notice], [true, null, notice]);
    });
  }
});

describe("the text of a streak without progress", () => {
  const warned = (limit: object, call: Partial<Call> = {}) =>
    decided([{ name: "stuck", mode: "warn", ...STUCK, ...limit } as unknown as LimitInput], call, [denied(3)]).notice;

  it("warns of calls that run at once, of values that are new, and of what is not allowed", () => {
    const warned = (limit: object, step: StepReply) =>
      decided([{ name: "lim", per: ["session"], mode: "warn", ...limit } as unknown as LimitInput], {}, [step]).notice;
    assert.equal(
      warned(AT_ONCE, denied(5)),
      "Warning: more than 4 calls were running at once in this session when this call began. Make fewer calls at the same time.",
    );
    assert.equal(
      warned({ distinct: "user", quota: 3 }, denied(4)),
      "Warning: no new users are left in this session: all 3 are used. Calls still pass, but make only those that you need.",
    );
    assert.equal(
      warned({ quota: 0 }, denied(1)),
      "Warning: the limit is 0 calls in this session. Calls still pass, but make only those that you need.",
    );
  });

  it("warns, and says what may make progress", () => {
    assert.equal(
      warned({ per: ["session", "tool", "args"], of: "results" }),
      "Warning: the last 3 calls of this tool with these arguments had the same result. " +
        "Do not repeat it: change the arguments, use another tool, or finish with what you have.",
    );
    assert.equal(
      warned({ per: ["session", "tool"], of: "errors" }, EMAIL),
      "Warning: the last 3 calls of send_email failed. Use another tool, or finish with what you have.",
    );
    assert.equal(
      warned({ per: ["session"], of: "errors" }),
      "Warning: the last 3 calls failed. Do something else, or finish with what you have.",
    );
  });

  it("is the policy's own where it has one", () => {
    const own = { per: ["session"], of: "errors" };
    assert.equal(warned({ ...own, message: "{limit}: {quota} {unit} in a row." }), "stuck: 3 errors in a row.");
    assert.equal(warned({ ...own, message: "{limit}".repeat(28), name: "a".repeat(64) })?.length, 300);
  });
});

describe("the policy's own text", () => {
  it("is only for the model, with the numbers filled in", () => {
    const message =
      "{limit}: {remaining} of {quota} {unit} left, {cost} asked. Again in {retryAfter}. Write a summary.";
    const limit: LimitInput = { name: "lim", per: ["user"], ...HOURLY, quota: 5, message };
    const decision = decided([limit], {}, [denied(5, 90_000)]);
    assert.equal(decision.message, "lim: 0 of 5 calls left, 1 asked. Again in 1 min 30 s. Write a summary.");
    assert.equal(decision.detail, "Limit reached: 5 calls per hour per user. Retry after 1 min 30 s.");
    const never: LimitInput = { name: "lim", per: [], quota: 0, message: "Again: {retryAfter}" };
    assert.equal(decided([never], {}, [denied(0, null)]).message, "Again: never");
  });

  it("has money and time with their unit, rounded so that it promises nothing too much", () => {
    const message = "{remaining} of {quota} left, {cost} asked.";
    const denial = (limit: object, call: Partial<Call>, step: StepReply) =>
      decided([{ name: "lim", per: ["session"], message, ...limit } as unknown as LimitInput], call, [step]).message;
    assert.equal(
      denial({ ...DOLLAR, quota: "$5.005" }, usd(2_000_000), denied(4_985_001)),
      "$0.01 of $5.005 left, $2.00 asked.",
    );
    assert.equal(
      denial({ ...DOLLAR, unit: "eur_micros", quota: 2_500_000 }, { cost: { eur_micros: 500 } }, denied(2_500_000)),
      "EUR 0.00 of EUR 2.50 left, EUR 0.0005 asked.",
    );
    const notice = { at: 0.5, message: "{remaining} of {quota} left, {used} used." };
    const { notice: text } = decided([{ name: "lim", per: [], ...HALF_AN_HOUR, notice } as unknown as LimitInput], {}, [
      passed(1_000_402),
    ]);
    assert.equal(text, "13 minutes of 30 minutes left, 17 minutes used.");
  });
});

describe("every text", () => {
  it("leaves out dimensions and tools where they would be long", () => {
    const per = ["a".repeat(18), "b".repeat(18), "c".repeat(5)];
    const { message, detail } = decided([{ name: "lim", per, quota: 5 }], {}, [denied(5)]);
    assert.match(message ?? "", /^Limit reached \(lim\), call denied: no calls are left: all 5 are used\. /);
    assert.equal(detail, "Limit reached: 5 calls.");
    const tool = ["search", ...Array.from({ length: 3 }, (_, i) => `tool_${i}`)];
    const { notice } = decided([{ name: "lim", per: [], when: { tool }, quota: 5 }], {}, [passed(5)]);
    assert.match(notice ?? "", /^Tools like this one have no calls left: all 5 are used\./);
  });

  it("names a tool only in words that cannot break a text", () => {
    for (const name of ["two words", "x".repeat(65), "a\nb", "{limit}", "Ignore: all.\n"]) {
      const own: LimitInput = { name: "lim", per: ["tool"], quota: 5, quotas: { tool: { [name]: 1 } } };
      const text = decided([own], { tool: name }, [passed(1)]).notice;
      assert.equal(text, "This tool has no calls left. Do not call it again; other tools are still available.");
      const match: LimitInput = { name: "lim", per: [], when: { tool: [name] }, quota: 1 };
      const { notice } = decided([match], { tool: name }, [passed(1)]);
      assert.match(notice ?? "", /^Tools like this one have no calls left\./);
    }
  });

  it("has at most 300 characters, for any names and numbers", () => {
    const MAX = Number.MAX_SAFE_INTEGER;
    const long = { limit: "l".repeat(64), tool: "t".repeat(64), unit: "u".repeat(32) };
    const numbers = fc.constantFrom(0, 1, MAX - 1, MAX);
    const longest = `${MAX_DURATION_MS - 1}ms`;
    const kinds = fc.constantFrom<object>(
      { quota: MAX, unit: long.unit },
      { quota: MAX, unit: "usd_micros" },
      { quota: 0, unit: long.unit },
      { quota: MAX, unit: long.unit, algorithm: "fixed-window", window: longest },
      { quota: MAX, unit: long.unit, algorithm: "sliding-window", window: longest },
      { quota: 10_000_019, unit: long.unit, algorithm: "token-bucket", window: "99999989ms", burst: 10_000_018 },
      { quota: 1_000, unit: long.unit, algorithm: "concurrency" },
      { quota: longest, algorithm: "elapsed" },
      { quota: MAX, algorithm: "streak", of: "results" },
      { quota: MAX, algorithm: "streak", of: "results", mode: "warn" },
    );
    const dimensions = fc.shuffledSubarray([...DIMENSIONS, "args", "a".repeat(32)], { maxLength: 8 });
    const steps = fc.record({
      used: numbers,
      retryAfterMs: fc.constantFrom(null, 0, 999, 59_001, 599_001, MAX_DURATION_MS - 1, MAX),
      resetAfterMs: fc.constantFrom(0, 599_001, MAX),
      allowed: fc.boolean(),
    });
    let length = 0;
    const property = fc.property(
      dimensions,
      kinds,
      steps,
      numbers,
      fc.boolean(),
      (per, kind, step, units, isMatched) => {
        const limit = {
          name: long.limit,
          per,
          notice: { at: 0.01 },
          ...kind,
          ...(isMatched ? { when: { tool: [long.tool] } } : {}),
        };
        const cost = "unit" in kind && units > 0 ? { cost: { [kind.unit as string]: units } } : {};
        const call = { tool: long.tool, ...cost };
        const { message, detail, notice } = decided([limit as unknown as LimitInput], call, [step]);
        for (const text of [message, detail, notice]) {
          if (text === null) continue;
          assert.ok(text.length <= 300, text);
          assert.match(text, /^[A-Z0-9t][\x20-\x7e]*(?:\.|…)$/);
          length = Math.max(length, text.length);
        }
      },
    );
    fc.assert(property, { seed: 20_251_121, numRuns: 2_000 });
    assert.ok(length > 280, String(length));
  });
});
