// The lists of tools of all servers as one. Servers are asked at once; one that is late or fails costs the others a short wait, and
// has its last list.

import type { Message } from "../contract.ts";
import { showTools } from "../http/pass.ts";
import type { Upstream } from "../http/upstream.ts";
import { jsonReply, Refusal, RPC } from "../refusal.ts";
import { absentWords, asRequest, type Outcome, outcomeOf, resultOf, SHORT_PART, UnusableError } from "./ask.ts";
import type { MergedAsked, MergedRoom } from "./asked.ts";
import { pause } from "./joined.ts";
import { mergedName } from "./names.ts";
import { nextPage, type Page, pageOf, named, type Tool } from "./tools.ts";

interface List extends Omit<Page, "nextCursor"> {
  readonly bytes: number;
}

const MOST_PAGES = 100;
const MOST_TOOLS = 10_000;
const MOST_LIST_BYTES = 4_194_304;
/** Bytes of all lists that are kept. */
const MOST_KEPT_BYTES = 67_108_864;
const MOST_KEPT = 10_000;
const MOST_LEFT_OUT = 1_000;

const TOO_MANY = "lists more than 100 pages, 10,000 tools or 4 MiB.";
const TOO_LONG =
  "With the server's name it has more than 64 characters: use /mcp/<server>, or a shorter name of the server.";
const SECOND = "The server lists two tools of this name: use /mcp/<server>, or rename one.";

export class Lists {
  readonly #room: MergedRoom;
  /** The last list of each server, for each client that may have another one. */
  readonly #kept = new Map<string, List>();
  #keptBytes = 0;
  /** Requests whose client has its answer already: they bring the next list. */
  readonly #late = new Map<string, Promise<Outcome<List>>>();
  readonly #leftOut = new Set<string>();

  constructor(room: MergedRoom) {
    this.#room = room;
  }

  /** Answers `tools/list`. @throws Refusal */
  async answer(merged: MergedAsked, message: Message): Promise<void> {
    const { rawId, spans } = message;
    if (spans.has("params.cursor")) {
      throw new Refusal(RPC.invalidParams, "All tools are on one page; ask without a cursor.", rawId);
    }
    const outcomes = await Promise.all(merged.upstreams.map((upstream) => this.#outcomeOf(merged, message, upstream)));
    const missing = Object.fromEntries([
      ...outcomes.filter(({ value }) => value === null).map(({ upstream, reason }) => [upstream.config.name, reason]),
      ...absentFrom(merged, this.#room),
    ]);
    const lists = outcomes.filter((outcome) => outcome.value !== null) as readonly Listed[];
    if (lists.length === 0) {
      throw new Refusal(RPC.serverFailed, `No server lists its tools: ${Object.values(missing).join(" ")}`, rawId);
    }
    const isWhole = outcomes.every(({ reason }) => reason === "");
    const ttlMs = isWhole ? Math.min(...lists.map(({ value }) => value.ttlMs)) : 0;
    const cacheScope = lists.some(({ value }) => value.isPrivate) ? "private" : "public";
    const ofModern = merged.era === "modern" ? { resultType: "complete", ttlMs, cacheScope } : {};
    const ofMissing = Object.keys(missing).length === 0 ? {} : { _meta: { "tollgate/missing": missing } };
    const rest = JSON.stringify({ ...ofModern, ...ofMissing }).slice(1);
    const tools = lists.flatMap(({ upstream, value }) => this.#namedTools(upstream.config.name, value.tools));
    const text = `{"jsonrpc":"2.0","id":${rawId},"result":{"tools":[${tools.join(",")}]${rest === "}" ? "" : ","}${rest}}`;
    merged.exchange.reply(jsonReply(text));
  }

  /** Its list; where it is late or fails, its last one with the reason. */
  async #outcomeOf(merged: MergedAsked, message: Message, upstream: Upstream): Promise<Outcome<List>> {
    const room = this.#room;
    // What a server shows to one client's credential is for that client.
    const key = upstream.config.credentials === "forward" ? null : keyOf(merged, upstream);
    const asking =
      (key === null ? undefined : this.#late.get(key)) ??
      outcomeOf(merged, upstream, room, (signal) => this.#follow(merged, message, upstream, signal, key));
    const last = key === null ? undefined : this.#kept.get(key);
    if (key === null || last === undefined) return asking;
    const outcome = await Promise.race([asking, pause(room.listMs / SHORT_PART, merged.exchange.gone)]);
    if (outcome !== undefined) return outcome.value === null ? { ...outcome, value: last } : outcome;
    if (!this.#late.has(key))
      this.#late.set(
        key,
        asking.finally(() => this.#late.delete(key)),
      );
    return { upstream, value: last, reason: "late" };
  }

  async #follow(
    merged: MergedAsked,
    first: Message,
    upstream: Upstream,
    signal: AbortSignal,
    key: string | null,
  ): Promise<List> {
    const tools: Tool[] = [];
    let [bytes, ttlMs, isPrivate] = [0, Number.MAX_SAFE_INTEGER, false];
    let message = first;
    for (let n = 1; ; n++) {
      const { said } = await resultOf(asRequest(merged, upstream, message, signal), this.#room);
      showTools(said, upstream.config.name, this.#room);
      const page = pageOf(said);
      for (const tool of page.tools) bytes += tool.bytes.length;
      if (bytes > MOST_LIST_BYTES || tools.length + page.tools.length > MOST_TOOLS) throw new UnusableError(TOO_MANY);
      tools.push(...page.tools);
      ttlMs = Math.min(ttlMs, page.ttlMs);
      isPrivate ||= page.isPrivate;
      if (page.nextCursor === null) break;
      if (n === MOST_PAGES) throw new UnusableError(TOO_MANY);
      message = nextPage(first, n + 1, page.nextCursor);
    }
    const list = { tools, bytes, ttlMs, isPrivate };
    if (key !== null) this.#keep(key, list);
    return list;
  }

  #keep(key: string, list: List): void {
    this.#keptBytes += list.bytes - (this.#kept.get(key)?.bytes ?? 0);
    this.#kept.delete(key);
    this.#kept.set(key, list);
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#keptBytes <= MOST_KEPT_BYTES && this.#kept.size <= MOST_KEPT) return;
      this.#kept.delete(oldest);
      this.#keptBytes -= bytes;
    }
  }

  #namedTools(server: string, tools: readonly Tool[]): Buffer[] {
    const seen = new Set<string>();
    return tools.flatMap((tool) => {
      const name = mergedName(server, tool.name);
      const isSecond = seen.has(tool.name);
      seen.add(tool.name);
      if (name !== null && !isSecond) return [named(tool, name)];
      this.#leaveOut(server, tool.name, isSecond ? SECOND : TOO_LONG);
      return [];
    });
  }

  /** For people, once. */
  #leaveOut(server: string, tool: string, reason: string): void {
    const key = JSON.stringify([server, tool]);
    if (this.#leftOut.has(key) || this.#leftOut.size >= MOST_LEFT_OUT) return;
    this.#leftOut.add(key);
    this.#room.registry.leftOut(server, tool, reason);
    this.#room.log.warn({ server, tool, reason }, "a tool is left out of the merged address");
  }
}

type Listed = Outcome<List> & { readonly value: List };

function keyOf({ era, principal: { user, tenant }, session }: MergedAsked, { config }: Upstream): string {
  return JSON.stringify([config.name, era, session?.members.get(config.name)?.version, user, tenant]);
}

/** Servers that did not answer when the session began. */
function absentFrom({ session }: MergedAsked, { upstreams }: MergedRoom): [string, string][] {
  const absent = [...upstreams.keys()].filter((name) => session?.members.has(name) === false);
  return absent.map((name) => [name, absentWords(name)]);
}
