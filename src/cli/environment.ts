// The environment of a command: variables that it does not read are refused where they look like one that it does, and
// faults of an option that a variable or a file has set name that.

import type { Command, Option } from "commander";
import { MisuseError } from "../kernel/errors.ts";
import { closest } from "../kernel/spelling.ts";

const PREFIX = "TOLLGATE_";
/** Read where a service is asked: it is no option, so that no flag shows it. */
const API_KEY = `${PREFIX}API_KEY`;
/** What Kubernetes sets for a service whose name begins with tollgate. */
const OF_KUBERNETES = /_SERVICE_(?:HOST|PORT)(?:_|$)|_PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?$/;

/**
 * Refuses a variable that is probably a typo: what it was to say would be left out in silence, such as the file of keys.
 * Others may be a deployment's own.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkVariables(program: Command, env: NodeJS.ProcessEnv = process.env): void {
  const known = new Set([API_KEY, ...variablesOf(program)]);
  const names = Object.keys(env).filter((name) => name.startsWith(PREFIX) && !known.has(name));
  const foreign = names.filter((name) => !OF_KUBERNETES.test(name));
  for (const name of foreign) {
    const meant = meantBy(name, known);
    if (meant === null) continue;
    // The value may be a secret.
    const fault = { path: name, expected: "a variable that Tollgate reads", got: "another" };
    const hint = `Did you mean ${meant}? Else give it another name.`;
    throw new MisuseError("invalid-option", { ...fault, hint });
  }
}

function variablesOf(command: Command): string[] {
  const own = command.options.flatMap(({ envVar = [] }) => envVar);
  return [...own, ...command.commands.flatMap(variablesOf)];
}

/** The variable that was probably meant: one that is spelt alike, or that a word was added to, as in TOLLGATE_KEYS_FILE. */
function meantBy(name: string, known: ReadonlySet<string>): string | null {
  const word = name.slice(PREFIX.length);
  const words = [...known].map((each) => each.slice(PREFIX.length));
  const [first = ""] = word.split("_");
  const found =
    closest(word, words) ??
    words.find((each) => word.startsWith(`${each}_`)) ??
    (first === word ? null : closest(first, words));
  return found === null ? null : PREFIX + found;
}

/** What a command's options were set by, where that was no flag. */
const SOURCES = new WeakMap<Command, Map<string, string>>();

/** Says that a file has set an option. */
export function setByFile(command: Command, attribute: string, value: unknown, file: string): void {
  command.setOptionValueWithSource(attribute, value, "file");
  SOURCES.set(command, new Map([[attribute, file]]));
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
  const attribute = option.attributeName();
  const source = command.getOptionValueSource(attribute);
  if (source === "env") return option.envVar ?? null;
  return source === "file" ? `${SOURCES.get(command)?.get(attribute)} (${option.long}-file)` : null;
}
