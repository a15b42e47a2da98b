// The page of all options, made from the doc comments of the types that users import.

import { type Field, type PublicName, publicNames } from "../../test/surface/public-names.ts";
import { type Section, sectionsText } from "./sections.ts";
import { code, headOf } from "./table.ts";

const ABOUT = `Every option of every function, with its range and its default. An option whose name ends in \`Ms\` is in milliseconds. An
option without *required* may be left out. [The limiter](../limiter.md) and the pages of the parts show how options are used.`;

/** The types of options: by their name, and those that are an option of such a type. */
const IS_OPTIONS = /(?:Options|ServiceBounds|TlsFiles)$/;

/** docs/reference/options.md. */
export async function optionsPage(): Promise<string> {
  const types = (await publicNames()).filter(({ kind, name }) => kind === "type" && IS_OPTIONS.test(name));
  const same = Object.groupBy(types, ({ name, fields }) => JSON.stringify([name, fields]));
  const sections = Object.values(same).flatMap((group) => (group === undefined ? [] : [sectionOf(group)]));
  return [headOf("Options: reference", ABOUT), sectionsText(["option", "type", "what it is"], "##", sections)].join(
    "\n",
  );
}

/** One type, which several subpaths may export. */
function sectionOf(types: readonly PublicName[]): Section {
  const [{ name, fields }] = types as [PublicName];
  const from = code(types.map(({ subpath }) => subpath));
  return { name, about: `From ${from}.\n\n`, rows: fields.map(rowOf) };
}

function rowOf({ name, types, comment, isOptional }: Field): string[] {
  return [
    code([name]),
    code([types.join(" | ")]),
    `${isOptional ? "" : "*Required.* "}${comment.replaceAll("<", "\\<")}`,
  ];
}
