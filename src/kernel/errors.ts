// The errors of misuse. A store that fails has its own (../store/error.ts). Markers let two installed copies recognise each
// other's errors.

const MISUSE = Symbol.for("tollgate.error.misuse");
export function hasMarker(value: unknown, marker: symbol): boolean {
  return typeof value === "object" && value !== null && marker in value;
}

/** What kinds of misuse there are. */
export const MISUSE_CODES = [
  "invalid-option",
  "invalid-policy",
  "invalid-call",
  "missing-dimension",
  "invalid-dimension",
  "invalid-cost",
  "unknown-unit",
  "unknown-limit",
  "unsupported-limit",
  "missing-cost",
  "needs-reserve",
  "unknown-hold",
  "already-settled",
  "grant-exists",
  "idempotency-conflict",
  "limiter-closed",
  "unsupported-client",
] as const;

export type MisuseCode = (typeof MISUSE_CODES)[number];

/** One fault that was found: where, what was expected there, and what stood there instead. */
export interface Fault {
  /** The option's path, such as `limits[2].window`. */
  readonly path: string;
  readonly expected: string;
  /** A short rendering of what was found; `nothing` when it was missing. */
  readonly got: string;
  /** What was probably meant, or what to write instead, as a sentence. Absent where there is no guess. */
  readonly hint?: string;
  /** Where it stands in a file: `policy.yaml:3:12`, line and column from 1. */
  readonly at?: string;
}

/**
 * Tollgate was used wrongly: the program or its policy has to change. Nothing was charged.
 *
 * @example
 * ```ts
 * import { definePolicy, MisuseError } from "tollgate";
 *
 * try {
 *   definePolicy({ version: 1, limits: [{ name: "per-session", per: ["session"], quota: -1 }] });
 * } catch (error) {
 *   if (!MisuseError.isInstance(error)) throw error;
 *   console.log(error.code, error.faults[0]?.path); // invalid-policy limits[0].quota
 * }
 * ```
 */
export class MisuseError extends TypeError {
  override readonly name = "MisuseError";
  readonly code: MisuseCode;
  /** At least one. */
  readonly faults: readonly Fault[];

  /** @param options `cause`: what went wrong beneath, where something did */
  constructor(code: MisuseCode, faults: Fault | readonly Fault[], options?: { readonly cause?: unknown }) {
    const list = Array.isArray(faults) ? (faults as readonly Fault[]) : [faults as Fault];
    super(list.map(formatFault).join("\n"), options);
    this.code = code;
    this.faults = list;
    Object.defineProperty(this, MISUSE, { value: true });
  }

  static isInstance(value: unknown): value is MisuseError {
    return hasMarker(value, MISUSE);
  }
}

/** The same misuse with other words in its faults. */
export function withFaults({ code, faults }: MisuseError, change: (fault: Fault) => Fault): MisuseError {
  return new MisuseError(code, faults.map(change));
}

export function invalidOption(path: string, expected: string, got: unknown): MisuseError {
  return new MisuseError("invalid-option", { path, expected, got: formatGot(got) });
}

/**
 * Refuses what is no whole number in a range.
 *
 * @param max at most 2^53 - 1
 * @throws MisuseError `invalid-option`
 */
export function checkWhole(path: string, value: unknown, min: number, max: number): void {
  if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) return;
  throw invalidOption(path, `a whole number from ${min} to ${max}`, value);
}

/**
 * Refuses options that are not an object, or have a key that is not known.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkOptionKeys(options: unknown, known: readonly string[], path = "options"): void {
  if (typeof options !== "object" || options === null) throw invalidOption(path, "an object", options);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw invalidOption(path, `only ${known.join(", ")}`, key);
  }
}

/** A fault in one line: `policy.yaml:3:12: limits[2].window: expected a duration such as 30s, got "1 hour". Write 1h.` */
export function formatFault({ at, path, expected, got, hint }: Fault): string {
  return `${at === undefined ? "" : `${at}: `}${path}: expected ${expected}, got ${got}${hint === undefined ? "" : `. ${hint}`}`;
}

/** A value in at most 60 characters, for the `got` of a fault. */
export function formatGot(value: unknown): string {
  if (value === undefined) return "nothing";
  let text: string;
  try {
    text = formatValue(value);
  } catch {
    // Getters, proxies and toJSON may throw.
    text = "an object that cannot be shown";
  }
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function formatValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" || typeof value === "symbol") return String(value);
  if (typeof value === "function") return "a function";
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return JSON.stringify(value) ?? typeof value;
}
