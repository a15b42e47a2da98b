// The environment of a command: variables that it does not read are refused where they look like one that it does, and
// faults of an option that a variable or a file has set name that.

import type { Command, Option } from "commander";
import { MisuseError } from "../kernel/errors.ts";
import { closest, editDistance, plainOf } from "../kernel/spelling.ts";
import { BOUND_NAMES } from "../service/bounds.ts";

const PREFIX = "TOLLGATE_";
/** Read where a service is asked: it is no option, so that no flag shows it. */
const API_KEY = `${PREFIX}API_KEY`;
/** What Kubernetes sets for a service whose name begins with tollgate. */
const OF_KUBERNETES = /_SERVICE_(?:HOST|PORT)(?:_|$)|_PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?$/;

/** A name with this in it may be meant for the key file. */
const OF_KEYS = /KEY/;

/**
 * Refuses a variable that is probably a typo: its value, such as the file of keys, would be ignored silently.
 * Others may be a deployment's own.
 *
 * @param running the command that runs
 * @throws MisuseError `invalid-option`
 */
export function checkVariables(program: Command, running: Command, env: NodeJS.ProcessEnv = process.env): void {
  const known = new Set([API_KEY, ...variablesOf(program)]);
  for (const name of Object.keys(env)) {
    const word = wordOf(name);
    if (word === null || known.has(name) || OF_KUBERNETES.test(name)) continue;
    const advice = adviceOn(name, word, known, running);
    if (advice === null) continue;
    throw new MisuseError("invalid-option", {
      path: name,
      expected: "the name of a variable that Tollgate reads",
      // The value may be a secret.
      got: "one that it does not read",
      hint: `${advice} If it is not for Tollgate, rename it.`,
    });
  }
}

function variablesOf(command: Command): string[] {
  const own = command.options.flatMap(({ envVar = [] }) => envVar);
  return [...own, ...command.commands.flatMap(variablesOf)];
}

/** What follows the prefix in a name, in capitals; `null` where it does not begin with it, or nearly so. */
function wordOf(name: string): string | null {
  const [, prefix = "", word = ""] = /^([^_]+)_(.+)$/.exec(name.toUpperCase()) ?? [];
  const own = PREFIX.slice(0, -1);
  return prefix === own || (prefix !== "" && editDistance(prefix, own, 2) <= 2) ? word : null;
}

/** What to write instead of a name that is probably a typo; `null` where it may be a deployment's own. */
function adviceOn(name: string, word: string, known: ReadonlySet<string>, running: Command): string | null {
  const isServe = running.name() === "serve";
  const words = [...known].filter((each) => !isServe || each !== API_KEY).map((each) => each.slice(PREFIX.length));
  const bound = BOUND_NAMES.find((each) => plainOf(each) === plainOf(word));
  if (bound !== undefined) return `Say --set ${bound}=NUMBER: it has no variable.`;
  const isPrefixed = name.startsWith(PREFIX);
  const meant = words.includes(word) ? word : isPrefixed || OF_KEYS.test(word) ? meantBy(word, words) : null;
  if (meant !== null) return `Did you mean ${PREFIX}${meant}?`;
  if (!OF_KEYS.test(word)) return null;
  return `Did you mean ${isServe || !word.includes("API") ? `${PREFIX}KEYS` : API_KEY}?`;
}

/** The variable that was probably meant: one that is spelt alike, or that a word was added to, as in TOLLGATE_KEYS_FILE. */
function meantBy(word: string, words: readonly string[]): string | null {
  const [first = ""] = word.split("_");
  return (
    closest(word, words) ??
    words.find((each) => word.startsWith(`${each}_`)) ??
    (first === word ? null : closest(first, words))
  );
}

/** The file that has set an option of a command. */
const FILES = new WeakMap<Command, string>();

/** Sets an option to what a file says. */
export function setByFile(command: Command, attribute: string, value: unknown, file: string): void {
  command.setOptionValueWithSource(attribute, value, "file");
  FILES.set(command, file);
}

/** A message whose lines name what the user has written: `TOLLGATE_PORT` where that set `--port`. */
export function withSources(message: string, command: Command | undefined): string {
  return (command?.options ?? []).reduce((text, option) => {
    const source = sourceOf(command as Command, option);
    return source === null
      ? text
      : text.replace(new RegExp(`^(tollgate: )?${option.long}(?=[: ])`, "gm"), `$1${source}`);
  }, message);
}

function sourceOf(command: Command, option: Option): string | null {
  const source = command.getOptionValueSource(option.attributeName());
  if (source === "env") return option.envVar ?? null;
  return source === "file" ? `${FILES.get(command)} (${option.long}-file)` : null;
}
