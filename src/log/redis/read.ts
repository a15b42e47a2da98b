// Answers queries from the keys of a log. Each question looks at a bounded number of things, and so does each answer.

import type { LogEntry } from "../entry.ts";
import * as matching from "../matching.ts";
import { CHUNK, PageOfRows } from "../page.ts";
import type * as log from "../storage.ts";
import { fillOf, MINUTE_MS, nearOf, seriesOf, topOf } from "../sums.ts";
import type { LogKeys } from "./keys.ts";
import { candidatesOf, isJudgedThere } from "./candidates.ts";
import { minuteCountOf, minuteTopOf, sessionOf } from "./rows.ts";

/** Entries that the server looks at in one go: some 2 ms. */
const LOOK = 200;
/** Minutes that are asked for at once. */
const MINUTES = 60;
/** Most minutes that a question is about, the newest: a month. */
const MAX_MINUTES = 44_640;

/** Asks a question that script/read.lua knows. */
export type AskLog = (question: string, keys: readonly string[], ...args: (string | number)[]) => Promise<string[]>;

export class RedisReader implements log.LogReader {
  readonly #ask: AskLog;
  readonly #keys: LogKeys;

  constructor(ask: AskLog, keys: LogKeys) {
    this.#ask = ask;
    this.#keys = keys;
  }

  async entries(query: log.EntryQuery): Promise<log.EntryPage> {
    const { entries } = this.#keys;
    const [newest = ""] = await this.#ask("last", [entries]);
    const page = new PageOfRows(query, Number(newest));
    const groups = candidatesOf(query);
    // One more than the page has says that it continues.
    const most = isJudgedThere(query) ? Math.min(LOOK, query.pageSize + 1) : LOOK;
    const count = groups.length === 0 ? most : LOOK;
    for (;;) {
      const about = [Number(page.isForward), page.place, count, most, JSON.stringify(groups)];
      const [looked, last, ...found] = await this.#ask("entries", [entries], ...about);
      const rows = pairsIn(found).map(([position, body]) => ({ position, body }));
      const isEnd = Number(looked) < count && rows.length < most;
      const full = page.addSome(rows, { count: Number(looked), place: Number(last), isEnd });
      if (full !== null) return full;
    }
  }

  async entry(id: string, tenants: log.Tenants): Promise<LogEntry | null> {
    const [body] = await this.#ask("entry", [this.#keys.entries, this.#keys.ids], id);
    const entry: LogEntry | null = body === undefined ? null : JSON.parse(body);
    return entry !== null && matching.isOfTenants(entry.dimensions.tenant, tenants) ? entry : null;
  }

  async top(query: log.TopQuery): Promise<readonly log.TopRow[]> {
    const isTop = query.by === "session" || query.by === "user";
    const rows = isTop ? this.#rows(query, this.#keys.tops, minuteTopOf) : this.#counts(query);
    return topOf(await rows, query);
  }

  async series(query: log.SeriesQuery): Promise<readonly log.SeriesPoint[]> {
    return seriesOf(await this.#counts(query), query);
  }

  async near(query: log.NearQuery): Promise<readonly log.NearBucket[]> {
    const buckets: log.NearBucket[] = [];
    for (let nth = 0; ; nth += CHUNK) {
      const some = await this.#members([this.#keys.near, this.#keys.nearFills], true, query.over, nth);
      buckets.push(...some.flatMap(([, text]) => bucketsIn(text)));
      const found = nearOf(buckets, query);
      const least = buckets.at(-1);
      // Those of one chunk with the same fill are in no order of time.
      const isFull =
        found.length === query.count && least !== undefined && fillOf(found.at(-1) ?? least) > fillOf(least);
      if (some.length < CHUNK || isFull) return found;
    }
  }

  async sessions({ tenants, prefix = "", pageSize, cursor }: log.SessionQuery): Promise<log.Page<log.SessionSum>> {
    const place = cursor === undefined ? null : matching.sessionPlace(cursor);
    const { sessions, sessionTimes } = this.#keys;
    const items: log.SessionSum[] = [];
    for (let nth = 0; ; nth += CHUNK) {
      const from = place === null ? "-inf" : -place.lastMs;
      const some = await this.#members([sessions, sessionTimes], false, from, nth);
      const sums = some.filter(([, text]) => text !== "").map(([name, text]) => sessionOf(name, text));
      for (const sum of sums) {
        const last = items.at(-1);
        if (last !== undefined && items.length === pageSize) return { items, nextCursor: matching.sessionCursor(last) };
        const isBehind = place === null || matching.comparePlaces(sum, place) > 0;
        if (isBehind && sum.session.startsWith(prefix) && matching.isOfTenants(sum.tenant, tenants)) items.push(sum);
      }
      if (some.length < CHUNK) return { items, nextCursor: null };
      const looked = sums.at(-1);
      if (nth + CHUNK >= matching.MAX_LOOKED_AT && looked !== undefined) {
        return { items, nextCursor: matching.sessionCursor(looked) };
      }
    }
  }

  async policy(version: string): Promise<string | null> {
    const [source] = await this.#ask("fields", [this.#keys.policies], version);
    return source === undefined || source === "" ? null : source;
  }

  #counts(span: log.SpanQuery): Promise<log.MinuteCount[]> {
    return this.#rows(span, this.#keys.counts, minuteCountOf);
  }

  async #rows<Row>(
    { fromMs, toMs }: log.SpanQuery,
    keyOf: (minute: number) => string,
    rowOf: (minute: number, name: string, counts: string) => Row,
  ): Promise<Row[]> {
    const end = Math.ceil(toMs / MINUTE_MS);
    const rows: Row[] = [];
    let minute = Math.max(Math.floor(fromMs / MINUTE_MS), end - MAX_MINUTES);
    while (minute < end) {
      const minutes = Array.from({ length: Math.min(MINUTES, end - minute) }, (_, i) => minute + i);
      const answer = await this.#ask("rows", minutes.map(keyOf));
      for (let i = 0; i < answer.length; minute++) {
        const texts = answer.slice(i + 1, i + 1 + Number(answer[i]));
        for (const [name, counts] of pairsIn(texts)) rows.push(rowOf(minute, name, counts));
        i += 1 + texts.length;
      }
    }
    return rows;
  }

  /** Members from a score on, with what a hash says of each. */
  async #members(keys: readonly string[], isFalling: boolean, from: string | number, nth: number) {
    return pairsIn(await this.#ask("members", keys, Number(isFalling), from, nth, CHUNK));
  }
}

function bucketsIn(text: string): log.NearBucket[] {
  const end = text.indexOf("\0");
  return end < 0 ? [] : [{ ...JSON.parse(text.slice(end + 1)), tenant: text.slice(0, end) }];
}

function pairsIn(texts: readonly string[]): [first: string, second: string][] {
  return Array.from({ length: texts.length / 2 }, (_, i) => [texts[2 * i] ?? "", texts[2 * i + 1] ?? ""]);
}
