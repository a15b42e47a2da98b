// Writes what src/stores/redis/wire.ts declares as Lua: constants, and a function that gives a limit's numbers their names.

import {
  ABSENT,
  BOUNDS,
  EVENTS,
  FORMS,
  FOUND,
  LIMIT_NUMBERS,
  MODE_FLAGS,
  MODES,
  REFUSALS,
  REPLIES,
} from "../../src/stores/redis/wire.ts";

const HEAD = "Made from wire.ts by `npm run lua`. Do not edit.";

const codes = Object.fromEntries(Object.entries(FORMS).map(([name, { code }]) => [name, code]));
const GROUPS: readonly (readonly [title: string, numbers: Readonly<Record<string, number>>])[] = [
  ["Modes of a request, and what may be added to them.", MODES],
  ["", MODE_FLAGS],
  ["Events of a step.", EVENTS],
  ["Replies to a request.", REPLIES],
  ["Why the terms refuse a batch.", REFUSALS],
  ["How a step found the hold or the grant that it names.", FOUND],
  ["Stand for a name or a number that is absent.", ABSENT],
  ["Forms of limits.", codes],
  ["Numbers of a limit on the wire.", { limitNumbers: LIMIT_NUMBERS }],
  ["Bounds of the kernel and the store.", BOUNDS],
];

/** A name as Lua has it: `lost_some` of `lostSome`. */
const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** wire.gen.lua. */
export function wireLua(): string {
  const names = GROUPS.flatMap(([, numbers]) => Object.keys(numbers).map((name) => snake(name).toUpperCase()));
  const texts = GROUPS.map(([title, numbers]) => {
    const lines = Object.entries(numbers).map(([name, number]) => `local ${snake(name).toUpperCase()} = ${number}\n`);
    return `${title === "" ? "" : `-- ${title}\n`}${lines.join("")}`;
  });
  const repeated = names.filter((name, i) => names.indexOf(name) !== i);
  if (repeated.length > 0) throw new Error(`wire.ts declares ${repeated.join(", ")} twice; Lua has one name for each`);
  return `-- ${HEAD} In the script the numbers stand in place of the names.\n\n${texts.join("\n")}`;
}

/** limits.gen.lua. */
export function limitsLua(): string {
  // The code and the capacity have names already.
  const own = Array.from({ length: LIMIT_NUMBERS - 2 }, (_, i) => `number_${i + 1}`);
  const forms = Object.entries(FORMS).flatMap(
    ([
      name,
      {
        fields: [, ...fields],
      },
    ]) => {
      return fields.length === 0 ? [] : [{ name: name.toUpperCase(), fields }];
    },
  );
  const cases = forms.map(({ name, fields }, i) => {
    const names = fields.map((field) => `limit.${field}`).join(", ");
    const values = own.slice(0, fields.length).join(", ");
    return `  ${i === 0 ? "if" : "elseif"} code == ${name} then\n    ${names} = ${values}\n`;
  });
  return [
    `-- ${HEAD} A limit's numbers by their names.\n\n`,
    `local function name_numbers(limit, code, ${own.join(", ")})\n${cases.join("")}  end\nend\n`,
  ].join("");
}
