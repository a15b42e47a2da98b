// Amounts as policies write them beside whole numbers: `200k`, `2M`, `5_000_000`, and money in dollars.

/** The unit that money is counted in: millionths of a dollar. */
export const MONEY_UNIT = "usd_micros";

/** An amount as a text. `200k` is 200,000 and `2M` 2,000,000. Dollars, as `$0.05`, are for the unit `usd_micros` alone. */
export type QuantityText = `${bigint}k` | `${bigint}M` | `${bigint}_${string}` | `$${number}`;

/** What such a text looks like. */
export const QUANTITY_PATTERN =
  /^(?:(?:0|[1-9][0-9]*)[kM]|[1-9][0-9]{0,2}(?:_[0-9]{3})+|\$(?:0|[1-9][0-9]*)(?:\.[0-9]{1,6})?)$/;

const FACTORS = { k: 1_000, M: 1_000_000 } as const;
const MICROS_PER_DOLLAR = 1_000_000;
const DECIMALS = 6;

/** Units of an amount; `null` where the text is none, or where they are more than 2^53 - 1. */
export function parseQuantity(text: string): number | null {
  if (!QUANTITY_PATTERN.test(text)) return null;
  const units = isMoneyText(text) ? microsIn(text.slice(1)) : wholeIn(text);
  return Number.isSafeInteger(units) ? units : null;
}

export function isMoneyText(text: string): boolean {
  return text.startsWith("$");
}

function wholeIn(text: string): number {
  const factor = FACTORS[text.slice(-1) as keyof typeof FACTORS] ?? 1;
  return Number.parseInt(text.replaceAll("_", ""), 10) * factor;
}

/** The digits behind the point are whole millionths: no binary fraction comes in. */
function microsIn(amount: string): number {
  const [dollars = "", decimals = ""] = amount.split(".");
  return Number(dollars) * MICROS_PER_DOLLAR + Number(decimals.padEnd(DECIMALS, "0"));
}

/** A number of units as the shortest of these texts; without a shorter one, its digits. */
export function quantityOf(units: number, unit = ""): string {
  if (unit === MONEY_UNIT) return dollarsOf(units);
  if (units >= FACTORS.M && units % FACTORS.M === 0) return `${units / FACTORS.M}M`;
  return units >= FACTORS.k && units % FACTORS.k === 0 ? `${units / FACTORS.k}k` : String(units);
}

function dollarsOf(micros: number): string {
  const rest = micros % MICROS_PER_DOLLAR;
  const decimals = String(rest).padStart(DECIMALS, "0").replace(/0+$/, "");
  return `$${(micros - rest) / MICROS_PER_DOLLAR}${decimals === "" ? "" : `.${decimals.padEnd(2, "0")}`}`;
}
