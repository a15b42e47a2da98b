// What src/stores/redis/wire.ts declares, as Lua: constants.

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
  TERM_PLACES,
  REFUSALS,
  REPLIES,
} from "../../src/stores/redis/wire.ts";

const codes = Object.fromEntries(Object.entries(FORMS).map(([name, { code }]) => [name, code]));
const CONSTANTS = [
  PLACES,
  TERM_PLACES,
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
