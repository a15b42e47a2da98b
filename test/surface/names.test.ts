// Every name that users can import, with the fields of types, as one text that a reviewer can read.

import { describe, it } from "node:test";
import { type Field, type PublicName, publicNames } from "./public-names.ts";
import { assertAgreed } from "./snapshot.ts";

function linesOf({ name, kind, fields, words, parameters }: PublicName): string[] {
  const shown = kind === "function" ? `${name}(${parameters.join(", ")})` : name;
  return [
    `${kind} ${shown}`,
    ...fields.flatMap((field) => fieldLines(field, "  ")),
    ...words.map((word) => `  "${word}"`),
  ];
}

function fieldLines({ name, isMethod, isOptional, types, fields }: Field, indent: string): string[] {
  const line = `${indent}${name}${isMethod ? "()" : ""}${isOptional ? "?" : ""}`;
  return [`${line}${shownTypes(types)}`, ...fields.flatMap((field) => fieldLines(field, `${indent}  `))];
}

/** Types that are values alone, such as `number | null`; nothing where one has a name, or is a list of codes. */
function shownTypes(types: readonly string[]): string {
  const isPlain = types.every((type) => /^(?:string|number|boolean|null|true|false|\d+|"[^"]*")$/.test(type));
  const [present, none] = [types.filter((type) => type !== "null"), types.filter((type) => type === "null")];
  const shown = [...present, ...none].join(" | ");
  return isPlain && shown !== "" && types.length < 8 ? `: ${shown}` : "";
}

describe("the names that users import", async () => {
  const names = await publicNames();

  it("are as agreed", () => {
    const sections = Object.groupBy(names, ({ subpath }) => subpath);
    const lines = Object.entries(sections).map(([subpath, own = []]) => [subpath, own.flatMap(linesOf)] as const);
    assertAgreed("names", Object.fromEntries(lines));
  });
});
