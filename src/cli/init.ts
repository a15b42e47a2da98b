// `tollgate init`: writes a first policy, from three answers or from a trace.

import { existsSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { Command, Option } from "commander";
import { invalidOption, MisuseError } from "../kernel/errors.ts";
import { LOCAL_POLICY } from "./defaults.ts";
import { writing } from "./files.ts";
import { type Answers, PRESETS, type Preset, policyText, SHARED, type Shared } from "./init-policy.ts";
import { writeSuggestion } from "./simulate-suggest.ts";
import { timelineAt } from "./simulate-timeline.ts";

interface InitOptions {
  readonly preset?: Preset;
  readonly shared?: Shared;
  readonly budget?: string;
  readonly from?: string;
  readonly out: string;
}

export function initCommand(): Command {
  return new Command("init")
    .description("write a first policy: from a preset, by three questions or options, or from recorded calls")
    .addOption(new Option("--preset <name>", "what calls tools").choices(Object.keys(PRESETS)))
    .addOption(new Option("--shared <whom>", "who shares it: no, users or tenants").choices(Object.keys(SHARED)))
    .option("--budget <money>", "what may be spent in a day, such as $5, or no")
    .option("--from <trace>", "suggest the policy from recorded calls, as `tollgate simulate --suggest` does")
    .option("--out <file>", "the file to write", LOCAL_POLICY)
    .action(init);
}

async function init(options: InitOptions): Promise<void> {
  const { from, out } = options;
  if (from !== undefined) {
    const asked = (["preset", "shared", "budget"] as const).find((name) => options[name] !== undefined);
    if (asked !== undefined) throw invalidOption(`--${asked} and --from`, "one of them", "both");
    checkNew(out);
    const { calls } = await timelineAt(from, {});
    const { lines } = await writeSuggestion(calls, from, out);
    console.log(lines.join("\n"));
    return;
  }
  checkNew(out);
  const answers = options.preset === undefined ? await ask(options) : answersIn(options, options.preset);
  const text = policyText(answers);
  writing(out, "--out", () => writeFileSync(out, text, { flag: "wx" }));
  console.log(`Wrote ${out}, for ${PRESETS[answers.preset]}. Each limit says what it is for; change the numbers.
Next: tollgate test ${out}
      tollgate simulate TRACE --policy ${out}
      ${answers.preset === "mcp" ? `tollgate mcp --policy ${out} -- COMMAND` : `tollgate serve --policy ${out}`}`);
}

function checkNew(out: string): void {
  if (existsSync(out)) throw invalidOption("--out", "a file that does not exist yet", out);
}

function answersIn({ shared = "no", budget = "no" }: InitOptions, preset: Preset): Answers {
  return { preset, shared, budget: budget === "no" ? null : budget };
}

/** Asks what no option says. */
async function ask(options: InitOptions): Promise<Answers> {
  const { stdin: input, stderr: output } = process;
  if (!input.isTTY || !output.isTTY) {
    const expected = `one of ${Object.keys(PRESETS).join(", ")}, because there is no terminal to ask at`;
    throw new MisuseError("invalid-option", { path: "--preset", expected, got: "nothing" });
  }
  const terminal = createInterface({ input, output });
  try {
    const preset = await choose("What calls tools?", PRESETS, terminal);
    const shared = options.shared ?? (await choose("Who shares it?", SHARED, terminal));
    const money = options.budget ?? (await terminal.question("What may be spent in a day, such as $5? (no) "));
    return answersIn({ ...options, shared, budget: money.trim() === "" ? "no" : money.trim() }, preset);
  } finally {
    terminal.close();
  }
}

/** Asks until the answer is one of the choices, by name or number. */
async function choose<Choice extends string>(
  question: string,
  choices: Readonly<Record<Choice, string>>,
  terminal: ReturnType<typeof createInterface>,
): Promise<Choice> {
  const names = Object.keys(choices) as Choice[];
  const list = names.map((name, i) => `  ${i + 1}  ${name}: ${choices[name]}`).join("\n");
  for (;;) {
    const answer = (await terminal.question(`${question}\n${list}\n(1) `)).trim() || "1";
    const chosen = names.find((name, i) => answer === name || answer === String(i + 1));
    if (chosen !== undefined) return chosen;
  }
}
