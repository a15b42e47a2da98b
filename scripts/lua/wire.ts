// What src/stores/redis/wire.ts declares, as Lua: constants, and a function that gives a limit's numbers their names.

import {
  ABSENT,
  BOUNDS,
  EVENTS,
  FORMS,
  FOUND,
  LIMIT_NUMBERS,
  MODE_FLAGS,
  STEP_FLAGS,
  MODES,
  PLACES,
  REFUSALS,
  REPLIES,
} from "../../src/stores/redis/wire.ts";

const HEAD = "Made from wire.ts by `npm run lua`. Do not edit.";

const codes = Object.fromEntries(Object.entries(FORMS).map(([name, { code }]) => [name, code]));
const CONSTANTS = [
  PLACES,
  MODES,
  MODE_FLAGS,
  STEP_FLAGS,
  EVENTS,
  REPLIES,
  REFUSALS,
  FOUND,
  ABSENT,
  codes,
  { limitNumbers: LIMIT_NUMBERS },
  BOUNDS,
];

/** A name as Lua has it: `lost_some` of `lostSome`. */
const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The constants, each on a line of its own. In the script, numbers stand in place of them. */
export function wireLua(): string {
  const all = CONSTANTS.flatMap((numbers) => Object.entries(numbers));
  const names = all.map(([name]) => snake(name).toUpperCase());
  const repeated = names.filter((name, i) => names.indexOf(name) !== i);
  if (repeated.length > 0) throw new Error(`wire.ts declares ${repeated.join(", ")} twice; Lua has one name for each`);
  return all.map(([, number], i) => `local ${names[i]} = ${number}\n`).join("");
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
