// Whose call or bucket it is: dimensions as links to what they did.

import { hrefOf } from "../address.ts";

/** The order in which they stand: who first, then in which conversation. */
const ORDER = ["tenant", "user", "agent", "session", "turn"];

export function orderedOf(dimensions: Readonly<Record<string, string>>): [name: string, value: string][] {
  const rank = (name: string) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return Object.entries(dimensions).toSorted(([a], [b]) => rank(a) - rank(b));
}

/** @param isShort whether values that stand elsewhere on the row are left out */
export function Dimensions({
  of,
  without = [],
}: {
  readonly of: Readonly<Record<string, string>>;
  readonly without?: readonly string[];
}) {
  const shown = orderedOf(of).filter(([name]) => !without.includes(name));
  if (shown.length === 0) return <span class="quiet">all calls</span>;
  return (
    <ul class="dimensions">
      {shown.map(([name, value]) => (
        <li key={name}>
          <span class="quiet">{name} </span>
          {name === "session" || name === "user" ? <a href={hrefOf("who", { [name]: value })}>{value}</a> : value}
        </li>
      ))}
    </ul>
  );
}
