// The warnings of a correct policy: which there are, and where they stand.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { definePolicy, MisuseError } from "tollgate";
import { createService } from "tollgate/service";
import { memoryStore } from "tollgate/stores/memory";
import { readPolicyText } from "../src/policy-file/text.ts";
import { WARNING_CODES } from "../src/policy-warnings/warning.ts";
import { policyWarnings } from "../src/policy-warnings/warnings.ts";
import { ROOT } from "./sources.ts";

/** `line word path code: message hint` of each warning; the word is what stands at its line and column. */
function warningsIn(text: string): string[] {
  return readPolicyText(text, "p")
    .warnings()
    .map(({ at = "", path, code, message, hint }) => {
      const [, line, column] = /^p:(\d+):(\d+)$/.exec(at) ?? [];
      const [, word] =
        /^["']?([^"',:[\]}]*?) *["',:[\]}]/.exec(
          (text.split("\n")[Number(line) - 1] ?? "").slice(Number(column) - 1),
        ) ?? [];
      return `${line} ${word} ${path} ${code}: ${message}${hint === null ? "" : ` ${hint}`}`;
    });
}

const TOOLS = "tools: { search: { group: T1 }, book: { group: T3 } }";
const limitsOf = (...limits: string[]) => limits.map((limit, i) => `  - { name: l${i}, ${limit} }`).join("\n");
const policyOf = (tools: string, ...limits: string[]) => `version: 1\n${tools}\nlimits:\n${limitsOf(...limits)}`;

describe("warnings", () => {
  const cases: [what: string, tools: string, limits: string[], ...warnings: string[]][] = [
    [
      "a tool that is misspelt",
      TOOLS,
      [
        "per: [session, tool], quota: 5, quotas: { tool: { serach: 1 } }",
        "per: [session], quota: 5, when: { tool: [serach, book] }",
      ],
      '4 serach limits[0].quotas.tool.serach unknown-tool: No tool in "tools" is named "serach". Did you mean "search"?',
      '5 serach limits[1].when.tool[0] unknown-tool: No tool in "tools" is named "serach". Did you mean "search"?',
    ],
    [
      "a tool that is not there",
      TOOLS,
      [
        "per: [session], quota: 5, when: { tool: [search, cancel] }",
        "per: [session], quota: 6, when: { tool: ['*k', 'mcp_*'] }",
      ],
      '4 cancel limits[0].when.tool[1] unknown-tool: No tool in "tools" is named "cancel". If it is right, add it to "tools".',
      '5 mcp_* limits[1].when.tool[1] unknown-tool: No tool in "tools" matches "mcp_*". If it is right, add it to "tools".',
    ],
    [
      "names of tools, where the policy lists none",
      "",
      ["per: [session, tool], quota: 5, quotas: { tool: { a: 1 } }, when: { tool: [a, b, 'c_*'] }"],
    ],
    [
      "what is no name of a tool",
      "",
      ["per: [session], quota: 5, when: { tool: ['a|b', '*', 'd, e', '^f$'] }"],
      ...[
        ["a|b", "limits[0].when.tool[0]", "a|b"],
        ["d", "limits[0].when.tool[2]", "d, e"],
        ["^f$", "limits[0].when.tool[3]", "^f$"],
      ].map(
        ([word, path, name]) =>
          `4 ${word} ${path} unknown-tool: "${name}" is taken as the name of one tool. Write one name in each entry; only * and a ! in front are special.`,
      ),
    ],
    [
      "a pattern in tools whose tools have another entry, no limit, or no limit that counts what they cost",
      "tools: { 'mcp_*': { cost: { tokens: 2 } }, 'mcp_git_*': {}, 'web_*': {}, mcp_git_x: {}, 'm*': {}, mcp_jira_x: {} }",
      ["per: [tool], quota: 5, when: { tool: ['mcp_git*', mcp_jira_x, 'mcp*_y'] }, quotas: { tool: { mcp_x: 1 } }"],
      '2 mcp_git_* tools["mcp_git_*"] no-effect: It never applies: "mcp_*" comes first and matches all of its tools. Put the longer pattern first.',
      '2 tokens tools["mcp_*"].cost.tokens uncounted-unit: No limit for the tools that "mcp_*" matches counts "tokens", so this cost is never charged.',
      '2 web_* tools["web_*"] no-effect: No limit is for the tools that "web_*" matches, so their calls always pass. Add a limit for them, or remove the entry.',
      '4 mcp_x limits[0].quotas.tool.mcp_x no-effect: This limit is not for the tool "mcp_x": its "when" leaves it out.',
    ],
    [
      "values in when that none has, or that no policy can know",
      TOOLS,
      [
        "per: [user], quota: 5, when: { plan: ['a*', ab, '!a*'], session: 's*' }",
        "per: [user], quota: 5, when: { tool: ['*', '!serach'], group: T4 }",
        "per: [user], quota: 5, when: { group: 'R*', turn: '!*' }, overrides: [{ when: { tool: ['b*', 'd*'], turn: [1, 2] }, quota: 1 }]",
        "per: [user], quota: 6, overrides: [{ when: { plan: [b, a] }, quota: 1 }, { when: { plan: [a, b], tool: book }, quota: 2 }, { when: { plan: a }, quota: 3 }]",
      ],
      "4 plan limits[0].when.plan no-effect: No call matches: what stands behind ! leaves out all that the other values name.",
      "4 session limits[0].when.session wrong-dimension: Values of session are made at run time: a policy cannot know them.",
      '5 !serach limits[1].when.tool[1] unknown-tool: No tool in "tools" is named "serach". Did you mean "search"?',
      '5 T4 limits[1].when.group unknown-group: No tool in "tools" has the group "T4".',
      '6 R* limits[2].when.group unknown-group: No tool in "tools" has a group that matches "R*".',
      '6 d* limits[2].overrides[0].when.tool[1] unknown-tool: No tool in "tools" matches "d*". If it is right, add it to "tools".',
      "6 turn limits[2].overrides[0].when.turn wrong-dimension: Values of turn are made at run time: a policy cannot know them.",
      "7 { when limits[3].overrides[1] no-effect: It never applies: overrides[0] comes first and is for all of its calls. Put the one with more conditions first.",
    ],
    [
      "a group that no tool has",
      TOOLS,
      [
        "per: [session, group], quota: 5, quotas: { group: { T1: 1, T2: 2 } }",
        "per: [group], when: { tool: [book] }, quotas: { group: { T1: 1 } }, quota: 0",
        "per: [user], quotas: { group: { T3: 1 }, user: { T2: 1 } }, quota: 0",
      ],
      '4 T2 limits[0].quotas.group.T2 unknown-group: No tool of this limit has the group "T2".',
      '5 T1 limits[1].quotas.group.T1 unknown-group: No tool of this limit has the group "T1".',
    ],
    [
      "a group that is misspelt in tools",
      "tools: { search: { group: reading }, book: { group: raeding } }",
      ["per: [session, group], quotas: { group: { reading: 1 } }, quota: unlimited"],
      '2 raeding tools.book.group unknown-group: No limit names the group "raeding". Did you mean "reading"?',
    ],
    [
      "groups and tools in the place of the other",
      TOOLS,
      [
        "per: [session, group], quota: 5, quotas: { group: { search: 1 } }",
        "per: [session, tool], quota: 5, quotas: { tool: { T1: 1 } }",
      ],
      '4 search limits[0].quotas.group.search unknown-group: No tool of this limit has the group "search". It is a tool: write tool instead of group.',
      '5 T1 limits[1].quotas.tool.T1 unknown-tool: No tool in "tools" is named "T1". It is a group: write group instead of tool.',
    ],
    [
      "quotas by values that are made at run time",
      TOOLS,
      [
        "per: [tool, session], quota: 5, quotas: { session: { search: 1 } }",
        "per: [user, turn], quota: 5, quotas: { user: { u1: 2 }, turn: { a: 1 } }",
        "per: [tenant], quota: 6, quotas: { tenant: { search: 1, acme: 2 } }",
      ],
      "4 session limits[0].quotas.session wrong-dimension: These quotas are by session: its values are made at run time.",
      "5 turn limits[1].quotas.turn wrong-dimension: These quotas are by turn: its values are made at run time.",
    ],
    [
      "a unit that no limit counts",
      "tools: { search: { cost: { token: 5, usd: 1 } }, book: { cost: { tokens: 5 } } }",
      [
        "per: [session], unit: tokens, quota: 5",
        "per: [session], quota: 5, when: { tool: [book] }",
        "per: [user], when: { tool: [search] }, unit: usd_micros, quota: $5",
      ],
      '2 token tools.search.cost.token uncounted-unit: No limit for the tool "search" counts "token", so this cost is never charged. Did you mean "tokens"?',
      '2 usd tools.search.cost.usd uncounted-unit: No limit for the tool "search" counts "usd", so this cost is never charged. Did you mean "usd_micros"?',
      '6 search limits[2].when.tool[0] uncounted-unit: Calls of "search" have no price in "usd_micros", so they are free unless they say their cost. Give it one: tools: { search: { cost: { usd_micros: $1 } } }.',
    ],
    [
      "a unit that other limits and tools call otherwise",
      "tools: { search: { cost: { tokens: 5 } } }",
      [
        "per: [session], unit: tokens, quota: 5",
        "per: [user], unit: token, quota: 5",
        "per: [tenant], unit: call, quota: 5",
        "per: [tenant], unit: requests, quota: 5",
      ],
      '5 token limits[1].unit uncounted-unit: Nothing in this policy costs "token". Did you mean "tokens"?',
      '6 call limits[2].unit uncounted-unit: Nothing in this policy costs "call". Did you mean "calls"?',
    ],
    [
      "a unit in two spellings, of which the later or rarer one is the typo",
      "",
      [
        "per: [session], unit: credits, quota: 5",
        "per: [user], unit: credit, quota: 5",
        "per: [tenant], unit: point, quota: 5",
        "per: [user], unit: points, quota: 5",
        "per: [session], unit: points, quota: 9",
        "per: [user], algorithm: elapsed, quota: 1h",
      ],
      '5 credit limits[1].unit uncounted-unit: Nothing in this policy costs "credit". Did you mean "credits"?',
      '6 point limits[2].unit uncounted-unit: Nothing in this policy costs "point". Use one spelling: "point" (line 6) or "points" (line 7).',
    ],
    [
      "a dimension that is nearly one that Tollgate knows",
      "",
      [
        "per: [sesion, users], onMissing: skip, quota: 5",
        "per: [tennant], distinct: trun, quota: 5",
        "per: [user], quota: 5, overrides: [{ when: { tol: a }, quota: 1 }]",
        "per: [pool, team, org], quota: 5",
      ],
      ...[
        "4 limits[0].per[0] sesion session",
        "4 limits[0].per[1] users user",
        "5 limits[1].per[0] tennant tenant",
        "5 limits[1].distinct trun turn",
        "6 limits[2].overrides[0].when.tol tol tool",
      ].map((each) => {
        const [line, path, name, meant] = each.split(" ");
        return `${line} ${name} ${path} unusual-dimension: Tollgate has no dimension "${name}", so it is one of your own. Did you mean "${meant}"?`;
      }),
    ],
    [
      "a dimension that is a span of time",
      "",
      ["per: [session, minute], quota: 5", "per: [day, team], quota: 5"],
      '4 minute limits[0].per[1] unusual-dimension: Tollgate has no dimension "minute", so it is one of your own. For a quota in each minute, write "window: 1m" and an algorithm that has one, such as fixed-window.',
    ],
    [
      "a dimension that Tollgate has without an ending, where no call has to have it",
      "",
      [
        "per: [user_id], onMissing: skip, quota: 5",
        "per: [tenant_id, grid], quota: 5, overrides: [{ when: { tool_name: a, tenant_id: b }, quota: 1 }]",
      ],
      '4 user_id limits[0].per[0] unusual-dimension: Tollgate has no dimension "user_id", so it is one of your own. Did you mean "user"?',
      '5 tool_name limits[1].overrides[0].when.tool_name unusual-dimension: Tollgate has no dimension "tool_name", so it is one of your own. Did you mean "tool"?',
    ],
    [
      "quotas for a default",
      "",
      [
        "per: [tool], quota: 5, quotas: { tool: { default: 1 } }",
        "per: [tenant], quota: 5, quotas: { tenant: { default: 1 } }",
      ],
      '4 default limits[0].quotas.tool.default unknown-tool: "default" is taken as the name of one tool. Write "quota" for all values that "quotas" does not name.',
    ],
    [
      "a pattern with a typo",
      "tools: { web_search: {}, web_read: {} }",
      ["per: [tool], when: { tool: [wbe_*] }, quota: 5", "per: [tool], when: { tool: [web*] }, quota: 5"],
      '4 wbe_* limits[0].when.tool[0] unknown-tool: No tool in "tools" matches "wbe_*". Did you mean "web_*"?',
    ],
    [
      "a dimension of the policy's own in two spellings",
      "",
      [
        "per: [workspace], quota: 5",
        "per: [worksapce], quota: 9",
        "per: [workspace, user], quota: 5",
        "per: [user], quota: 5, overrides: [{ when: { plans: a }, quota: 1 }, { when: { plan: a, user: b }, quota: 1 }]",
        "per: [region1, region2], quota: 5",
      ],
      '5 worksapce limits[1].per[0] similar-names: The dimensions "worksapce" and "workspace" differ by a typo. Did you mean "workspace"?',
      '7 plans limits[3].overrides[0].when.plans similar-names: The dimensions "plans" and "plan" differ by a typo. Did you mean "plan"?',
    ],
    [
      "tools in two spellings, where the policy lists none",
      "",
      [
        "per: [tool], quota: 5, quotas: { tool: { serach: 1, get_user: 2, set_user: 3, read_file: 4, read_files: 5 } }",
        "per: [user], quota: 5, when: { tool: [search] }",
        "per: [session], quota: 5, overrides: [{ when: { tool: search }, quota: 1 }]",
      ],
      '4 serach limits[0].quotas.tool.serach similar-names: The tools "serach" and "search" differ by a typo. Use one spelling: "serach" (line 4) or "search" (line 5).',
    ],
    [
      "an entry of tools that is a typo of another",
      "tools: { search: {}, serach: {} }",
      ["per: [tool], quota: 5"],
      '2 serach tools.serach similar-names: The tools "serach" and "search" differ by a typo. Use one spelling: "serach" (line 2) or "search" (line 2).',
    ],
    [
      "what when leaves out",
      TOOLS,
      [
        "per: [tool], when: { tool: [search] }, quota: 5, quotas: { tool: { book: 1 } }, overrides: [{ when: { tool: book }, quota: 9 }, { when: { tool: bok }, quota: 9 }]",
      ],
      '4 book limits[0].quotas.tool.book no-effect: This limit is not for the tool "book": its "when" leaves it out.',
      '4 book limits[0].overrides[0].when.tool no-effect: This limit is not for the tool "book": its "when" leaves it out.',
      '4 bok limits[0].overrides[1].when.tool unknown-tool: No tool in "tools" is named "bok". Did you mean "book"?',
      '2 book tools.book no-effect: No limit is for the tool "book", so its calls always pass. Add a limit for it, or remove the entry.',
    ],
    [
      "overrides that come too late, or for no tool",
      TOOLS,
      [
        "per: [user], quota: 5, overrides: [{ when: { plan: pro }, quota: 6 }, { when: { region: 7, plan: pro }, quota: 7 }, { when: { plan: pro }, quota: 8 }, { when: { plan: free, region: 7 }, quota: 9 }, { when: { region: '7', plan: free }, quota: 1 }, { when: { group: T2 }, quota: 2 }, { when: { group: T1 }, quota: 2 }]",
      ],
      '4 T2 limits[0].overrides[5].when.group unknown-group: No tool in "tools" has the group "T2".',
      "4 { when limits[0].overrides[1] no-effect: It never applies: overrides[0] comes first and is for all of its calls. Put the one with more conditions first.",
      "4 { when limits[0].overrides[2] no-effect: It never applies: overrides[0] comes first and is for all of its calls. Remove one of them.",
      "4 { when limits[0].overrides[4] no-effect: It never applies: overrides[3] comes first and is for all of its calls. Remove one of them.",
    ],
    [
      "limits that limit nothing",
      "tools: { search: {} }",
      [
        "per: [session], quota: unlimited",
        "per: [tool], quotas: { tool: { search: unlimited } }, quota: unlimited",
        "per: [session, group], quotas: { group: { T1: 5 } }, quota: 0",
        "per: [user], quota: unlimited, overrides: [{ when: { plan: free }, quota: 1 }]",
      ],
      '6  limits[2].per no-effect: It limits nothing: it is per group, and no tool that it is for has a group. Give the tools a group in "tools".',
    ],
    [
      "plans where the ids of users and tenants stand",
      "",
      [
        "per: [user], quota: 5, quotas: { user: { Pro: 500, alice: 9 }, plan: { pro: 1 } }",
        "per: [user], when: { tenant: ['*', '!free'], plan: free }, quota: 6",
        "per: [agent], quota: 7, overrides: [{ when: { agent: trial }, quota: 1 }]",
      ],
      '4 Pro limits[0].quotas.user.Pro wrong-dimension: "Pro" is taken as the id of one user. If it is a plan, write "plan" instead of "user".',
      '5 tenant limits[1].when.tenant wrong-dimension: "!free" is taken as the id of one tenant. If it is a plan, write "plan" instead of "tenant".',
      '6 agent limits[2].overrides[0].when.agent wrong-dimension: "trial" is taken as the id of one agent. If it is a plan, write "plan" instead of "agent".',
    ],
    [
      "limits per model that refuse the calls of tools",
      "",
      [
        "per: [user, model], quota: 5",
        "per: [model], quota: 5, onMissing: skip",
        "per: [model], quota: 5, when: { model: '*' }",
        "per: [model], quota: 6, when: { tool: model }",
        "per: [model], quota: 7, onMissing: error",
      ],
      ...[
        [4, 0, 1],
        [8, 4, 0],
      ].map(
        ([line, limit, n]) =>
          `${line} model limits[${limit}].per[${n}] wrong-dimension: Calls of tools have no model, and this limit refuses them. Write when: { model: "*" }, or onMissing: skip.`,
      ),
    ],
    [
      "amounts of money that are hardly meant",
      "",
      [
        "per: [user], unit: usd, quota: 5",
        "per: [user], unit: usd_micros, quota: 500.00, quotas: { plan: { pro: 1, max: 10000 } }",
        "per: [user], unit: usd_micros, quota: $0.001, overrides: [{ when: { plan: a }, quota: 50 }, { when: { plan: b }, quota: 0 }]",
      ],
      '4 usd limits[0].unit unusual-value: Amounts of "usd" are whole, so that no price below 1 can be written. Write "unit: usd_micros", and amounts such as $0.05.',
      "5 500.00 limits[1].quota unusual-value: 500 is less than a cent: usd_micros are millionths of a dollar. For dollars write $500.",
      "5 1 limits[1].quotas.plan.pro unusual-value: 1 is less than a cent: usd_micros are millionths of a dollar. For dollars write $1.",
      "6 50 limits[2].overrides[0].quota unusual-value: 50 is less than a cent: usd_micros are millionths of a dollar. For dollars write $50.",
    ],
    [
      "arguments that are ignored at one place only",
      "tools: { '*': { ignoreArgs: [id] }, search: { cost: { calls: 1 } }, book: { ignoreArgs: [] }, 'web_*': {}, read: { ignoreArgs: [meta.id, .x] } }",
      ["per: [session, tool, args], quota: 5, when: { tool: [search, book, read] }", "per: [user], quota: 5"],
      '2 search tools.search no-effect: The ignoreArgs of "*" do not apply to it: it has an entry of its own. Write ignoreArgs here, too; [] for none.',
      '2 web_* tools["web_*"] no-effect: It never applies: "*" comes first and matches all of its tools. Put the longer pattern first.',
      '2 meta.id tools.read.ignoreArgs[0] unusual-value: "meta.id" is taken as the name of one field at the top level. "meta" leaves out that field with all that is in it.',
      '2 .x tools.read.ignoreArgs[1] unusual-value: ".x" is taken as the name of one field at the top level.',
    ],
    [
      "tools without a price in what a limit for them counts",
      "tools: { refund: { cost: { usd_micros: $100 } }, gift: {}, 'pay_*': { cost: { usd_micros: 0 } }, '*': {} }",
      [
        "per: [user], when: { tool: [refund, gift, pay_now, 'send_*'] }, unit: usd_micros, quota: $100",
        "per: [user], when: { tool: model }, unit: tokens, quota: 5k",
        "per: [user], when: { tool: ['!gift'] }, unit: tokens, quota: 5k",
        "per: [user], when: { tool: gift }, unit: tokens, quota: 5k",
        "per: [user], when: { tool: gift }, quota: 5",
      ],
      ...[
        ["4 gift limits[0].when.tool[1]", "usd_micros", "$1"],
        ["7 gift limits[3].when.tool", "tokens", "1"],
      ].map(
        ([place, unit, amount]) =>
          `${place} uncounted-unit: Calls of "gift" have no price in "${unit}", so they are free unless they say their cost. Give it one: tools: { gift: { cost: { ${unit}: ${amount} } } }.`,
      ),
    ],
    [
      "a dimension of four letters in two spellings",
      "",
      [
        "per: [user], when: { plan: trial }, quota: 5, quotas: { plna: { pro: 1 }, plam: { pro: 2 } }",
        "per: [zone, org], quota: 5",
        "per: [zome, orb], quota: 5",
      ],
      '4 plna limits[0].quotas.plna similar-names: The dimensions "plna" and "plan" differ by a typo. Did you mean "plan"?',
      '4 plam limits[0].quotas.plam similar-names: The dimensions "plam" and "plan" differ by a typo. Did you mean "plan"?',
      '6 zome limits[2].per[0] similar-names: The dimensions "zome" and "zone" differ by a typo. Use one spelling: "zome" (line 6) or "zone" (line 5).',
    ],
    [
      "a value of a dimension in two spellings",
      "",
      [
        "per: [user], when: { plan: enterprise }, quota: 5, quotas: { plan: { entreprise: 9 } }",
        "per: [model], when: { model: [gtp-5-mini, gpt-4o, gpt-4.1] }, quota: 5, overrides: [{ when: { model: gpt-5-mini }, quota: 9 }]",
        "per: [user], quota: 5, quotas: { user: { alcie01: 1, alice01: 2 } }",
      ],
      '4 entreprise limits[0].quotas.plan.entreprise similar-names: The values of plan "entreprise" and "enterprise" differ by a typo. Did you mean "enterprise"?',
      '5 gpt-5-mini limits[1].overrides[0].when.model similar-names: The values of model "gpt-5-mini" and "gtp-5-mini" differ by a typo. Use one spelling: "gpt-5-mini" (line 5) or "gtp-5-mini" (line 5).',
    ],
    [
      "a pattern of tools in two spellings, where the policy lists none",
      "",
      [
        "per: [user], when: { tool: ['!delete_*'] }, quota: 5",
        "per: [user], when: { tool: ['delete-*'] }, quota: 6",
        "per: [user], when: { tool: ['delte_*'] }, quota: 7",
        "per: [user], when: { tool: ['send-*', 'send_*'] }, quota: 7",
      ],
      '5 delete-* limits[1].when.tool[0] similar-names: The patterns of tool "delete-*" and "delete_*" differ by a typo. Use one spelling: "delete-*" (line 5) or "delete_*" (line 4).',
      '6 delte_* limits[2].when.tool[0] similar-names: The patterns of tool "delte_*" and "delete_*" differ by a typo. Use one spelling: "delte_*" (line 6) or "delete_*" (line 4).',
    ],
    [
      "a value behind ! that keeps nothing out",
      "",
      [
        "per: [user], when: { tool: [search, '!delete_*'] }, quota: 5",
        "per: [user], when: { tool: ['*', '!delete_*'] }, quota: 6",
        "per: [user], when: { tool: ['delete_*', '!delete_me'], plan: [pro, '!free'] }, quota: 7",
      ],
      '4 !delete_* limits[0].when.tool[1] no-effect: "!delete_*" keeps nothing out: no value without ! lets it in. Remove it; or remove the values without ! for all others.',
      '6 !free limits[2].when.plan[1] no-effect: "!free" keeps nothing out: no value without ! lets it in. Remove it; or remove the values without ! for all others.',
    ],
    [
      "a unit in two spellings, of which one is well known",
      "",
      ["per: [user], unit: tokns, quota: 5", "per: [tenant], unit: tokens, quota: 5"],
      '4 tokns limits[0].unit uncounted-unit: Nothing in this policy costs "tokns". Did you mean "tokens"?',
    ],
    [
      "the same limit twice",
      "",
      [
        "per: [session], quota: 5, hold: { lease: 2m, onExpiry: charge }",
        "hold: { onExpiry: charge, lease: 2m }, quota: 5, per: [session]",
        "per: [session], quota: 5",
      ],
      '5 { name limits[1] duplicate-limit: It says the same as the limit "l0". Remove one of them.',
    ],
  ];
  for (const [what, tools, limits, ...expected] of cases) {
    it(`name ${what}`, () => assert.deepEqual(warningsIn(policyOf(tools, ...limits)).sort(), [...expected].sort()));
  }

  it("name time zones whose abbreviation has no summer time, or is another zone's", () => {
    const text = `version: 1
defaults: { timezone: BST }
limits:
  - { name: a, per: [user], quota: 5, window: day, timezone: EST }
  - { name: b, per: [user], quota: 5, window: day, timezone: CET }`;
    const found = warningsIn(text).map((each) =>
      each.replace(/is (a zone without summer time|the zone [\w/]+)/, "is …"),
    );
    assert.deepEqual(found, [
      '2 BST defaults.timezone unusual-value: "BST" is …. Did you mean "Europe/London"?',
      '4 EST limits[0].timezone unusual-value: "EST" is …. Did you mean "America/New_York"?',
    ]);
  });

  it("are each of a kind that the page on policies lists, and has a case here", () => {
    const page = readFileSync(`${ROOT}docs/policy.md`, "utf8");
    const [, section = ""] = page.split("## Checking a policy");
    const listed = [...section.matchAll(/^\| `([a-z-]+)`/gm)].map(([, code]) => code);
    assert.deepEqual(listed.slice(0, WARNING_CODES.length), WARNING_CODES);
    const found = new Set(
      cases
        .flatMap(([, tools, limits]) => readPolicyText(policyOf(tools, ...limits)).warnings())
        .map(({ code }) => code),
    );
    assert.deepEqual([...found].sort(), [...WARNING_CODES].sort());
  });

  it("have the position of an alias's value, in JSON as in YAML", () => {
    const aliased = policyOf(
      TOOLS,
      "per: [tool], quota: 5, quotas: &q { tool: { serach: 1 } }",
      "per: [user, tool], quota: 5, quotas: *q",
    );
    const places = (text: string) =>
      readPolicyText(text, "p")
        .warnings()
        .map(({ at, path }) => `${at} ${path}`);
    assert.deepEqual(places(aliased), ["p:4:61 limits[0].quotas.tool.serach", "p:4:61 limits[1].quotas.tool.serach"]);
    const json =
      '{\n "version": 1,\n "tools": { "book": {} },\n "limits": [{ "name": "a", "per": ["sesion", "tool"],\n  "quota": 5, "quotas": { "tool": { "bok": 1 } } }] }';
    assert.deepEqual(places(json), ["p:4:36 limits[0].per[0]", "p:5:37 limits[0].quotas.tool.bok"]);
  });

  it("are returned in a program, for an object and for a made policy", () => {
    const limit = { name: "a", per: ["session"], quota: 5, when: { tool: "serach" } } as const;
    const input = {
      version: 1,
      tools: { search: {} },
      limits: [limit, { name: "b", per: ["user"], quota: 9 }],
    } as const;
    const found = policyWarnings(input).map(({ path, hint }) => `${path}: ${hint}`);
    assert.deepEqual(found, ['limits[0].when.tool: Did you mean "search"?']);
    assert.deepEqual(policyWarnings(definePolicy(input)), policyWarnings(input));
    assert.throws(() => policyWarnings({ version: 1, limits: [limit, limit] }), MisuseError);
  });

  it("name both spellings with their positions, in a program by their paths", () => {
    const limits = [
      { name: "a", per: ["zone"], quota: 5 },
      { name: "b", per: ["zome"], quota: 5 },
    ];
    assert.deepEqual(
      policyWarnings({ version: 1, limits }).map(({ hint }) => hint),
      ['Use one spelling: "zome" (limits[1].per[0]) or "zone" (limits[0].per[0]).'],
    );
  });

  it("are at most 100, and fast for any size of policy", () => {
    const named = <Value>(count: number, ending: string, value: Value) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`tool_${i}_call${ending}`, value]));
    const overrides = Array.from({ length: 1_000 }, (_, i) => ({ when: { plan: `p${i}`, region: i }, quota: 1 }));
    const quotas = named(1_000, "s", 1);
    const limits = Array.from({ length: 50 }, (_, i) => ({
      name: `l${i}`,
      per: ["tool"],
      quota: i,
      quotas: { tool: quotas },
      overrides,
    }));
    const startedMs = performance.now();
    assert.equal(policyWarnings({ version: 1, tools: named(1_000, "", { group: "T1" }), limits }).length, 100);
    assert.deepEqual(policyWarnings({ version: 1, limits }), []);
    assert.ok(performance.now() - startedMs < 20_000);
  });

  it("are logged by a service when it starts and when it reloads", async () => {
    const lines: object[] = [];
    const ignore = () => {};
    const warn = (fields: object, message: string) => lines.push({ ...fields, message });
    const logger = { debug: ignore, info: ignore, error: ignore, warn, isLevelEnabled: () => true };
    const text = policyOf(TOOLS, "per: [tool], quota: 5, quotas: { tool: { serach: 1 } }");
    const service = createService({ policy: text, policySource: "p.yaml", store: memoryStore(), keys: false, logger });
    const warned = {
      code: "unknown-tool",
      path: "limits[0].quotas.tool.serach",
      problem: 'No tool in "tools" is named "serach". Did you mean "search"?',
      message: "a part of the policy has no effect as it is written",
    };
    assert.deepEqual(lines, [{ ...warned, at: "p.yaml:4:58" }]);
    service.reload(text.replace("serach", "search"));
    assert.equal(lines.length, 1);
    service.reload(definePolicy({ version: 1, limits: [{ name: "a", per: ["sesion"], quota: 5 }] }));
    assert.deepEqual(lines.slice(1), [
      {
        code: "unusual-dimension",
        at: undefined,
        path: "limits[0].per[0]",
        problem: 'Tollgate has no dimension "sesion", so it is one of your own. Did you mean "session"?',
        message: warned.message,
      },
    ]);
    await service.close();
  });
});
