// The policy that `tollgate init` writes: a preset, and the limits that answers add to it.

import { readFileSync } from "node:fs";
import { invalidOption } from "../kernel/errors.ts";
import { isMoneyText, parseQuantity } from "../kernel/quantity.ts";

export const PRESETS = {
  chat: "a chat agent",
  coding: "a coding agent",
  mcp: "an MCP server",
  api: "an API that agents call",
} as const;
export type Preset = keyof typeof PRESETS;

export const SHARED = { no: "one user", users: "several users", tenants: "several tenants, each with users" } as const;
export type Shared = keyof typeof SHARED;

export interface Answers {
  readonly preset: Preset;
  readonly shared: Shared;
  /** Such as `$5`, for a day; `null`: none. */
  readonly budget: string | null;
}

/** Presets whose limits are per user already. */
const IS_PER_USER: ReadonlySet<Preset> = new Set(["mcp", "api"]);

const PER_USER = `  # How fast a user may call, whatever the session: 60 calls at once, then 2 each second.
  - { name: calls-per-user, per: [user], algorithm: token-bucket, quota: 120, window: 1m, burst: 60 }
`;
const PER_TENANT = `  # How fast a tenant may call, however many its users are.
  - { name: calls-per-tenant, per: [tenant], algorithm: token-bucket, quota: 1200, window: 1m, burst: 300 }
`;

/** @throws MisuseError `invalid-option` for a budget that is no money */
export function policyText({ preset, shared, budget }: Answers): string {
  const text = readFileSync(new URL(`../cli/presets/${preset}.yaml`, import.meta.url), "utf8");
  const limits = [
    shared === "no" || IS_PER_USER.has(preset) ? "" : PER_USER,
    shared === "tenants" ? PER_TENANT : "",
    budget === null ? "" : moneyLimit(budget, whoseMoney(preset, shared)),
  ];
  const said = [preset !== "api" && shared !== "no" ? "user" : "", shared === "tenants" ? "tenant" : ""].filter(
    Boolean,
  );
  const comment =
    said.length === 0 ? "" : `# It is for ${SHARED[shared]}: each call also says its ${said.join(" and its ")}.\n`;
  // By a function: in a text, `$5` would stand for a part of what was found.
  return text
    .replace("version: 1", (version) => comment + version)
    .replace("# What it allows", (heading) => limits.join("") + heading);
}

function whoseMoney(preset: Preset, shared: Shared): string {
  if (shared === "tenants") return "tenant";
  return shared === "users" || IS_PER_USER.has(preset) ? "user" : "session";
}

function moneyLimit(budget: string, whose: string): string {
  if (!isMoneyText(budget) || (parseQuantity(budget) ?? 0) <= 0) {
    throw invalidOption("--budget", "an amount of money such as $5, or no", budget);
  }
  return `  # Money of a day. Calls say what they cost, as \`cost: { usd_micros: 1200 }\`, and report what they used.
  - { name: money-per-day, per: [${whose}], unit: usd_micros, window: day, quota: ${budget} }
`;
}
