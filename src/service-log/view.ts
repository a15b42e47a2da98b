// The log as a caller may see it. A key that is bound to tenants finds only entries of their calls and buckets, in their own names, and
// without what other keys are and wrote. Every route reads through this.

import type { EventEntry, LogEntry } from "../log/entry.ts";
import type { EntryQuery, LogReader, NearBucket, SessionQuery, SessionSum, TopRow } from "../log/storage.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { actorOf, type Caller } from "../service/auth.ts";
import { invalidQuery } from "../service/problems.ts";
import { bucketTenant, ownerOf, prefixOf, shownNames, tenantOf } from "../service/tenants.ts";

/** Whose entries a request is about. */
export interface Whose {
  readonly tenant?: string;
  readonly asTenant?: string;
}

/** What the routes read: the tenants are the view's own. */
export type LogView = LogReader;

/** The log for a caller. Throws ProblemError 403 for a tenant that the key is not bound to. */
export function viewFor(
  reader: LogReader,
  policy: CompiledPolicy,
  caller: Pick<Caller, "keyId" | "tenants">,
  { tenant, asTenant }: Whose,
): LogView {
  const { tenants } = caller;
  if (asTenant !== undefined) {
    const owner = bucketTenant(tenants, asTenant, tenant);
    // A key of no tenant that answers as one is not the one that acted.
    return new TenantView(reader, policy, owner === null ? [] : [owner], tenants === null ? null : actorOf(caller));
  }
  if (tenants !== null) {
    const own = tenant === undefined ? tenants : [tenantOf(tenants, tenant)];
    return new TenantView(reader, policy, own, actorOf(caller));
  }
  return tenant === undefined ? reader : new FilteredView(reader, [tenant]);
}

/** The log of some tenants, in the names that the limiter has. */
class FilteredView implements LogView {
  protected readonly reader: LogReader;
  protected readonly tenants: readonly string[];

  constructor(reader: LogReader, tenants: readonly string[]) {
    this.reader = reader;
    this.tenants = tenants;
  }

  entries(query: EntryQuery) {
    return this.reader.entries({ ...query, tenants: this.tenants });
  }

  entry(id: string) {
    return this.reader.entry(id, this.tenants);
  }

  top(query: Parameters<LogReader["top"]>[0]) {
    return this.reader.top({ ...query, tenants: this.tenants });
  }

  near(query: Parameters<LogReader["near"]>[0]) {
    return this.reader.near({ ...query, tenants: this.tenants });
  }

  sessions(query: SessionQuery) {
    return this.reader.sessions({ ...query, tenants: this.tenants });
  }

  series(query: Parameters<LogReader["series"]>[0]) {
    return this.reader.series({ ...query, tenants: this.tenants });
  }

  policy(version: string) {
    return this.reader.policy(version);
  }
}

/** The log as keys of some tenants see it. */
class TenantView extends FilteredView {
  readonly #policy: CompiledPolicy;
  /** Who asks, as entries name it; `null`: none of them may be told. */
  readonly #actor: string | null;

  constructor(reader: LogReader, policy: CompiledPolicy, tenants: readonly string[], actor: string | null) {
    super(reader, tenants);
    this.#policy = policy;
    this.#actor = actor;
  }

  /** A query may be about some of the key's tenants. */
  override async entries({ session, user, tenants: asked, ...query }: EntryQuery) {
    const tenants = asked === null ? this.tenants : this.tenants.filter((each) => asked.includes(each));
    const named = {
      ...(session === undefined ? {} : { session: nameOf("session", session, tenants) }),
      ...(user === undefined ? {} : { user: nameOf("user", user, tenants) }),
    };
    const page = await this.reader.entries({ ...query, ...named, tenants });
    return { ...page, items: page.items.flatMap((entry) => this.#shown(entry) ?? []) };
  }

  override async entry(id: string) {
    const entry = await super.entry(id);
    return entry === null ? null : this.#shown(entry);
  }

  override async top(query: Parameters<LogReader["top"]>[0]) {
    const rows = await super.top(query);
    if (query.by !== "session" && query.by !== "user") return rows;
    return rows.map((row): TopRow => ({ ...row, value: this.#withoutPrefix(row.value) }));
  }

  /** Buckets that tenants share are left out, as `/v1/usage` leaves them out. */
  override async near(query: Parameters<LogReader["near"]>[0]) {
    const buckets = await super.near(query);
    return buckets.flatMap((bucket): NearBucket[] => {
      const owner = ownerOf(this.#policy, this.tenants, bucket);
      if (owner === null) return [];
      return [{ ...bucket, dimensions: shownNames(this.#policy, owner, bucket.dimensions) }];
    });
  }

  override async sessions({ prefix, ...query }: SessionQuery) {
    const page = await super.sessions({
      ...query,
      ...(prefix === undefined ? {} : { prefix: nameOf("prefix", prefix, this.tenants) }),
    });
    const items = page.items.map(
      (each): SessionSum => ({
        ...each,
        session: this.#withoutPrefix(each.session, each.tenant),
        user: this.#withoutPrefix(each.user, each.tenant),
      }),
    );
    return { ...page, items };
  }

  /** The policy is for keys of no tenant. */
  override async policy() {
    return null;
  }

  #shown(entry: LogEntry): LogEntry | null {
    const { tenant } = entry.dimensions;
    if (tenant === undefined || !this.tenants.includes(tenant)) return null;
    const dimensions = shownNames(this.#policy, tenant, entry.dimensions);
    if (entry.kind === "decision") return { ...entry, dimensions };
    return { ...entry, ...this.#noteOf(entry), data: grantedIn(entry), dimensions };
  }

  /** Who did it and why: only what the key itself did. */
  #noteOf({ actor, reason }: EventEntry): Pick<EventEntry, "actor" | "reason"> {
    const isOwn = actor !== null && (actor === this.#actor || actor.startsWith(`${this.#actor} for `));
    return isOwn ? { actor, reason } : { actor: null, reason: null };
  }

  #withoutPrefix(name: string, tenant?: string): string {
    const prefix = (tenant === undefined ? this.tenants : [tenant]).map(prefixOf).find((each) => name.startsWith(each));
    return prefix === undefined ? name : name.slice(prefix.length);
  }
}

/** A name as the limiter has it. */
function nameOf(param: string, name: string, [only, ...others]: readonly string[]): string {
  if (only === undefined || others.length > 0) {
    throw invalidQuery("tenant", `a tenant beside ${param}: the key is bound to several`, "none");
  }
  return prefixOf(only) + name;
}

/** Of the data of an event only what was granted. */
function grantedIn({ data: { grant, id } }: EventEntry): EventEntry["data"] {
  return { ...(grant === undefined ? {} : { grant }), ...(id === undefined ? {} : { id }) };
}
