// The mapping from Envoy's descriptors to calls, and its checks. It knows neither gRPC nor a limiter.

import * as v from "valibot";
import { IPV6_BITS, MAX_IPV6_BITS, MIN_IPV6_BITS, networkOf } from "../kernel/address.ts";
import { algorithmOf } from "../kernel/algorithms/registry.ts";
import { CALL_WORDS, type Call, DERIVED_DIMENSIONS } from "../kernel/call.ts";
import { needsGroup } from "../kernel/charge.ts";
import { type Fault, formatGot, MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { allotmentsOf } from "../kernel/policy/parse.ts";
import { type Keys, valueAt } from "../kernel/policy/place.ts";
import { mapOf, readBy, type SchemaFault } from "../kernel/policy/schema-kinds.ts";
import { checkedText, map, object, text, whole } from "../kernel/policy/schema-parts.ts";

/** Which descriptors are limited, and which calls they are. */
export interface EnvoyMapping {
  /** By domain, as Envoy's filter names it. The first rule of a domain that matches a descriptor applies. At most 1,000 rules. */
  readonly domains: Readonly<Record<string, readonly EnvoyRule[]>>;
}

/** Which call some descriptors are. */
export interface EnvoyRule {
  /** Entries that the descriptor must have, with this value, or with any value for `*`. It may have others, too. */
  readonly match: Readonly<Record<string, string>>;
  /** The call's tool: a name, or `{ from }` an entry that the descriptor must have. */
  readonly tool: string | { readonly from: string };
  /**
   * The dimensions of the call: entry keys by dimension. A dimension whose entry is missing is left out. The value of
   * `remote_address`, and of an `EnvoyAddress`, counts as its network.
   */
  readonly dimensions?: Readonly<Record<string, string | EnvoyAddress>> | undefined;
  /** What `hits_addend` counts. Default `calls`. */
  readonly unit?: string | undefined;
  /**
   * Whether Envoy reports usage after the fact, as at a stream's end: it is booked even beyond the quota, and only later
   * requests are denied for it. Default `false`.
   */
  readonly afterwards?: boolean | undefined;
}

/** An entry whose value is a client's address. */
export interface EnvoyAddress {
  readonly from: string;
  /** How many leading bits of an IPv6 address are one client's, 32 to 128. Default 56. */
  readonly ipv6?: number | undefined;
}

export interface Entry {
  readonly key: string;
  readonly value: string;
}

/** What to ask a limiter for a descriptor. */
export interface Asked {
  /** `peek` where a descriptor's own `hits_addend` is 0: Envoy then asks whether something is left. */
  readonly verb: "consume" | "record" | "peek";
  readonly call: Call;
}

/** Finds what to ask for a descriptor: `null` when no rule is for it. */
type Mapper = (domain: string, entries: readonly Entry[], hits: number) => Asked | null;

/** Where the parts of a mapping stand that was read from a text. */
const places = new WeakMap<object, (keys: Keys) => string>();

/** Remembers where the parts of a mapping stand, for faults. */
export function rememberPlaces(mapping: unknown, at: (keys: Keys) => string): void {
  if (typeof mapping === "object" && mapping !== null) places.set(mapping, at);
}

const MAX_RULES = 1_000;
const MAX_ENTRIES = 32;

const short = (what: string) => text(/^.{1,256}$/s, what);
const KEY = "an entry's key, 1 to 256 characters";
const WORD = /^[a-z][a-z0-9_]{0,31}$/;
const DIMENSION = "a dimension other than tool, group and args (a-z, 0-9, _; at most 32)";
const NO_DIMENSION = new Set<string>([...CALL_WORDS, ...DERIVED_DIMENSIONS, "tool", "limit"]);
const dimension = checkedText(WORD, DIMENSION, (name) => !NO_DIMENSION.has(name));

const TOOL = "a tool's name, or { from: key }";
const SOURCE = "an entry's key, or { from: key, ipv6 } for an address";
const address = object(SOURCE, { from: short(KEY), ipv6: v.optional(whole(MIN_IPV6_BITS, MAX_IPV6_BITS)) });
const match = map(short(KEY), short("an entry's value, or *"), "values by entry key", MAX_ENTRIES);
const source = v.union([short(KEY), address], SOURCE);
const rule = object("{ match, tool, dimensions, unit, afterwards }", {
  match: v.pipe(
    match,
    v.check((entries) => Object.keys(entries).length > 0, "at least one entry"),
  ),
  tool: v.union([short(TOOL), object(TOOL, { from: short(KEY) })], TOOL),
  dimensions: v.optional(map(dimension, source, "entry keys by dimension", MAX_ENTRIES)),
  unit: v.optional(text(WORD, "a unit such as calls or tokens (a-z, 0-9, _)")),
  afterwards: v.optional(v.boolean("true or false")),
});

const mapping = object("{ domains }", {
  domains: v.pipe(
    mapOf("lists of rules by domain", short("a domain"), v.array(rule, "a list of rules")),
    v.check((domains) => Object.values(domains).flat().length <= MAX_RULES, `at most ${MAX_RULES} rules`),
  ),
});

/**
 * Validates a mapping, and makes a function of it.
 *
 * @param policy the policy that decides the calls, where it is known: a rule whose calls it refuses is a fault
 * @throws MisuseError `invalid-option` with every fault
 */
export function createMapper(input: EnvoyMapping, policy: CompiledPolicy | null): Mapper {
  // A condition of this name would be lost.
  if (JSON.stringify(input)?.includes('"__proto__"')) throw faultsOf(input, [{ keys: [], got: '"__proto__"' }]);
  const read = readBy(mapping, input);
  if ("faults" in read)
    throw faultsOf(
      input,
      read.faults.map((fault) => partFault(fault, input)),
    );
  // The annotation fails to compile when the schema and the type that users see part.
  const accepted: EnvoyMapping = read.value;
  const refused = policy === null ? [] : faultsAgainst(accepted, policy);
  if (refused.length > 0) throw faultsOf(input, refused);
  const rules = new Map(Object.entries(accepted.domains).map(([domain, list]) => [domain, list.map(readyRule)]));
  return (domain, entries, hits) => {
    const values = new Map<string, string>();
    for (const { key, value } of entries) if (!values.has(key)) values.set(key, value);
    for (const asked of rules.get(domain) ?? []) {
      const found = asked(values, hits);
      if (found !== null) return found;
    }
    return null;
  };
}

function readyRule({ match, tool, dimensions = {}, unit = "calls", afterwards = false }: EnvoyRule) {
  const conditions = Object.entries(match);
  const named = Object.entries(dimensions).map(([dimension, source]) => [dimension, readyEntry(source)] as const);
  return (values: ReadonlyMap<string, string>, hits: number): Asked | null => {
    const name = typeof tool === "string" ? tool : values.get(tool.from);
    const matches = conditions.every(([key, value]) => (value === "*" ? values.has(key) : values.get(key) === value));
    if (!matches || name === undefined) return null;
    const said = named.flatMap(([dimension, entry]) => {
      const value = values.get(entry.key);
      return value === undefined ? [] : [[dimension, entry.valueOf(value)] as const];
    });
    const whose = { ...Object.fromEntries(said), tool: name };
    if (hits === 0) return { verb: "peek", call: whose };
    return { verb: afterwards ? "record" : "consume", call: { ...whose, cost: { [unit]: hits } } };
  };
}

/** The entry whose value Envoy makes from the client's address. */
const REMOTE_ADDRESS = "remote_address";

/** Which entry a dimension is from, and what its value counts as. */
function readyEntry(source: string | EnvoyAddress) {
  const { from, ipv6 = IPV6_BITS } = typeof source === "string" ? { from: source } : source;
  const isAddress = typeof source !== "string" || from === REMOTE_ADDRESS;
  return { key: from, valueOf: (value: string) => (isAddress ? networkOf(value, ipv6) : value) };
}

/** The faults of rules whose every call the policy would refuse. */
function faultsAgainst({ domains }: EnvoyMapping, policy: CompiledPolicy): PartFault[] {
  return Object.entries(domains).flatMap(([domain, rules]) =>
    rules.flatMap((rule, i) => ruleFaults(rule, policy, ["domains", domain, i])),
  );
}

function ruleFaults(
  { tool, dimensions = {}, unit = "calls" }: EnvoyRule,
  policy: CompiledPolicy,
  keys: Keys,
): PartFault[] {
  const faults: PartFault[] = [];
  for (const name of Object.keys(dimensions)) {
    if (policy.dimensions.has(name)) continue;
    const expected = `one of the policy's dimensions: ${[...policy.dimensions].join(", ")}`;
    faults.push({ keys: [...keys, "dimensions", name], expected, got: formatGot(name) });
  }
  if (unit !== "calls" && !policy.units.has(unit)) {
    const expected = `one of the policy's units: ${[...policy.units].join(", ")}`;
    faults.push({ keys: [...keys, "unit"], expected, got: formatGot(unit) });
  }
  if (typeof tool !== "string") return faults;
  const derived: readonly string[] = [...DERIVED_DIMENSIONS, "tool"];
  const group = policy.toolNamed(tool)?.group;
  for (const limit of policy.limits.filter((each) => each.matches(tool) && !needsGroup(each, group))) {
    const missing = limit.per.find((each) => !derived.includes(each) && !Object.hasOwn(dimensions, each));
    if (missing !== undefined && limit.onMissing === "error") {
      const expected = `${missing}, which the limit ${limit.name} is per, or "onMissing: skip" in the limit`;
      faults.push({ keys: [...keys, "dimensions"], expected, got: "nothing" });
    } else if (limit.onMissing !== "skip" && isHeldOnly(limit)) {
      const expected = `a tool without concurrency limits: Envoy does not report when a call counted by ${limit.name} ends`;
      faults.push({ keys: [...keys, "tool"], expected, got: formatGot(tool) });
    }
  }
  return faults;
}

function isHeldOnly(limit: Limit): boolean {
  return allotmentsOf(limit).some(({ spec }) => algorithmOf(spec).isHeldOnly);
}

interface PartFault {
  /** Lead to what is wrong. */
  readonly keys: Keys;
  readonly expected?: string;
  readonly got: string;
}

function partFault({ keys, expected, unknown }: SchemaFault, input: EnvoyMapping): PartFault {
  return { keys, expected, got: unknown.length > 0 ? unknown.join(", ") : formatGot(valueAt(input, keys)) };
}

function faultsOf(input: EnvoyMapping, faults: readonly PartFault[]): MisuseError {
  const at = places.get(input);
  return new MisuseError(
    "invalid-option",
    faults.map(({ keys, expected = "another name", got }): Fault => {
      const path = ["mapping", ...keys].join(".");
      return { path, expected, got, ...(at === undefined ? {} : { at: at(keys) }) };
    }),
  );
}
