// The page of all options, made from the doc comments of the types that users import.

import { type Field, type PublicName, publicNames } from "../../test/surface/public-names.ts";
import { code, headOf, table } from "./table.ts";

const ABOUT = `Every option of every function, with its range and its default. An option whose name ends in \`Ms\` is in milliseconds. An
option without *required* may be left out. [The limiter](../limiter.md) and the pages of the parts show how options are used.`;

/** The types of options: by their name, and those that are an option of such a type. */
const IS_OPTIONS = /(?:Options|ServiceBounds|ClientFailover|TlsFiles)$/;

/** docs/reference/options.md. */
export async function optionsPage(): Promise<string> {
  const types = (await publicNames()).filter(({ kind, name }) => kind === "type" && IS_OPTIONS.test(name));
  const same = Object.groupBy(types, ({ name, fields }) => JSON.stringify([name, fields]));
  const sections = Object.values(same).flatMap((group) => (group === undefined ? [] : [sectionOf(group)]));
  return [headOf("Options: reference", ABOUT), ...sections].join("\n");
}

/** One type, which several subpaths may export. */
function sectionOf(types: readonly PublicName[]): string {
  const [{ name, fields }] = types as [PublicName];
  const from = code(types.map(({ subpath }) => subpath));
  return `## ${name}\n\nFrom ${from}.\n\n${table(["option", "what it is"], fields.map(rowOf))}`;
}

function rowOf({ name, comment, isOptional }: Field): string[] {
  return [code([name]), `${isOptional ? "" : "*Required.* "}${comment.replaceAll("<", "\\<")}`];
}
