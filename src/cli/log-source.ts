// What commands read a decision log by: the log itself, or a service that has it.

import { explain, type Explanation } from "../log/explain.ts";
import type {
  EntryPage,
  EntryQuery,
  LogReader,
  NearBucket,
  Page,
  SessionSum,
  TopQuery,
  TopRow,
} from "../log/storage.ts";
import { StoreError } from "../store/error.ts";
import { systemClock } from "../clock.ts";
import { within } from "../deadlines.ts";
import { reasonOf } from "../kernel/reason.ts";
import { keyRefused } from "./api-key.ts";
import { CommandError } from "./exit.ts";

/** A query without what the source itself says. */
type Asked<Query> = Omit<Query, "tenants">;

export interface LogSource {
  decisions(query: Asked<EntryQuery>): Promise<EntryPage>;
  top(query: Asked<TopQuery>): Promise<readonly TopRow[]>;
  near(query: { readonly over: number; readonly count: number }): Promise<readonly NearBucket[]>;
  sessions(query: { readonly prefix?: string; readonly pageSize: number }): Promise<Page<SessionSum>>;
  /** `null`: there is no such decision. */
  explain(id: string): Promise<Explanation | null>;
  close(): Promise<void>;
}

/** A log that is read here. */
export function sourceOf(reader: LogReader, close: () => Promise<void>): LogSource {
  const tenants = null;
  return {
    decisions: (query) => reader.entries({ ...query, tenants }),
    top: (query) => reader.top({ ...query, tenants }),
    near: (query) => reader.near({ ...query, nowMs: systemClock.nowMs(), tenants }),
    sessions: (query) => reader.sessions({ ...query, tenants }),
    explain: (id) => explain(reader, id, tenants),
    close,
  };
}

/** How long a service may take for an answer. */
const ANSWERS_MS = 10_000;

/** The log of a service. */
export function sourceAt(url: string, asTenant: string | undefined): LogSource {
  const ask = async <Answer>(path: string, query: object = {}): Promise<Answer> => {
    const address = new URL(path, url.endsWith("/") ? url : `${url}/`);
    for (const [name, value] of Object.entries({ ...query, asTenant })) {
      if (value !== undefined) address.searchParams.set(name, String(value));
    }
    return (await answerOf(address)) as Answer;
  };
  const items = async <Item>(path: string, query: object) => {
    return (await ask<{ readonly items: readonly Item[] }>(path, query)).items;
  };
  return {
    decisions: (query) => ask("v1/decisions", query),
    top: (query) => items("v1/top", query),
    near: (query) => items("v1/near", query),
    sessions: (query) => ask("v1/sessions", query),
    explain: (id) => ask(`v1/explain/${encodeURIComponent(id)}`),
    close: async () => {},
  };
}

async function answerOf(address: URL): Promise<unknown> {
  const key = process.env.TOLLGATE_API_KEY;
  let response: Response;
  try {
    response = await within(
      ANSWERS_MS,
      fetch(address, {
        headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
      }),
    );
  } catch (error) {
    throw new StoreError("unavailable", `the service does not answer: ${reasonOf(error)}`, {
      transient: true,
      cause: error,
    });
  }
  const body = (await response.json().catch(() => null)) as { readonly code?: string; readonly detail?: string } | null;
  if (response.ok && body !== null) return body;
  if (body?.code === "unknown-entry") return null;
  if (response.status === 401) throw new CommandError(keyRefused());
  const text = body?.detail ?? `the service answered ${response.status}, and no JSON`;
  if (response.status >= 500 && response.status !== 501) throw new StoreError("unavailable", text, { transient: true });
  throw new CommandError(text);
}
