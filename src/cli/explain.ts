// `tollgate explain`: why was a call allowed or denied?

import { Command } from "commander";
import { systemClock } from "../clock.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { Explanation } from "../log/explain.ts";
import { coloured } from "./colour.ts";
import { endOf } from "./instant.ts";
import { timeText } from "./entry-text.ts";
import { CommandError } from "./exit.ts";
import { placeOfGateway } from "./gateway-place.ts";
import { type LogOptions, withLog, withLogOptions } from "./log-options.ts";
import type { LogSource } from "./log-source.ts";
import { DEFAULT_LOG } from "./log-url.ts";

interface ExplainOptions extends LogOptions {
  readonly session?: string;
  readonly user?: string;
  readonly last?: boolean;
  readonly at?: string;
}

export function explainCommand(): Command {
  const command = new Command("explain")
    .description("say why a call was denied: by which rule, how it stood, when it opens, and what helps")
    .argument("[id]", "the id of a decision, as `tail` shows it");
  return withLogOptions(command, "text")
    .option("--session <id>", "the last denied call of this session; without one its last call")
    .option("--user <id>", "the same of a user")
    .option("--last", "the last denied call, of all or of the session or user")
    .option("--at <time>", "the last denied call until then: 20:05, 20:05:30, or with its date 2026-11-30T20:05")
    .action(run);
}

async function run(id: string | undefined, options: ExplainOptions, command: Command): Promise<void> {
  const { session, user, last, at } = options;
  const isAsked = session !== undefined || user !== undefined || last === true || at !== undefined;
  if (id === undefined && !isAsked) {
    throw invalidOption("id", "the id of a decision, or --session, --user, --last or --at", undefined);
  }
  const explanation = await withLog(options, command, async (source) => {
    const found = id ?? (await lastOf(source, options));
    const explained = await source.explain(found);
    if (explained !== null) return withPlace(explained, options, command);
    throw new CommandError(
      `The log has no decision with the id ${found}. \`tollgate tail\` shows ids; the oldest entries are removed.`,
    );
  });
  console.log(options.json === true ? JSON.stringify(explanation) : explanationText(explanation));
}

/** With the options by which the commands find the same service or log: the environment says it again by itself. */
function withPlace(explanation: Explanation, { url, log }: ExplainOptions, command: Command): Explanation {
  const isFlag = command.getOptionValueSource("log") === "cli";
  const ofLog = isFlag && log.startsWith("sqlite:") ? ` --log ${log}` : "";
  const isOfService = url !== undefined && !isFlag;
  // The log of `tollgate serve --gateway` is the default one, and its store as well.
  const isGateway = explanation.entry.via === "mcp" && !isOfService && log !== DEFAULT_LOG;
  const place = `${isOfService ? ` --url ${url}` : ofLog}${isGateway ? placeOfGateway(explanation.entry) : ""}`;
  const helps = explanation.helps.map(({ text, command }) => {
    if (command === null) return { text, command };
    const said = isGateway ? text.replace(/:$/, ", with --policy and --store as the gateway has them:") : text;
    return { text: said, command: `${command}${place}` };
  });
  return { ...explanation, helps };
}

async function lastOf(source: LogSource, { session, user, at }: ExplainOptions): Promise<string> {
  const query = {
    kind: "decision",
    pageSize: 1,
    ...(at === undefined ? {} : { toMs: endOf("--at", at, systemClock.nowMs()) }),
    ...(session === undefined ? {} : { session }),
    ...(user === undefined ? {} : { user }),
  } as const;
  const [denied] = (await source.decisions({ ...query, allowed: false })).items;
  const [found] = denied === undefined ? (await source.decisions(query)).items : [denied];
  if (found !== undefined) return found.id;
  const whose =
    session === undefined ? (user === undefined ? "" : ` of the user ${user}`) : ` of the session ${session}`;
  const until = at === undefined ? "" : ` until ${at}`;
  throw new CommandError(`The log has no call${whose}${until}. \`tollgate sessions\` lists those that called.`);
}

/** An explanation with a heading before each part. */
export function explanationText({ entry, what, rule, stood, opens, helps }: Explanation): string {
  const nowMs = systemClock.nowMs();
  const here = (text: string) =>
    text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (instant) => timeText(Date.parse(instant), nowMs));
  const parts: [heading: string, lines: readonly string[]][] = [
    ["Rule", rule === null ? [] : [rule]],
    [entry.allowed ? "Limits" : "Stood", stood],
    ["Opens", opens === null ? [] : [opens]],
    ["Helps", helps.flatMap(({ text, command }) => (command === null ? [text] : [text, `  ${command}`]))],
  ];
  const lines = parts.flatMap(([heading, texts]) =>
    texts.map((text, i) => `${(i === 0 ? `${heading}:` : "").padEnd(8)}${here(text)}`),
  );
  const [outcome = "", ...rest] = here(what).split(":");
  return [`${coloured(entry.allowed ? "green" : "red", outcome)}:${rest.join(":")}`, ...lines].join("\n");
}
