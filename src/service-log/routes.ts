// The routes of the decision log: who reads them, and what they ask.

import { systemClock } from "../clock.ts";
import * as answers from "../http/log-answers.ts";
import type { LogStorage } from "../log/storage.ts";
import type { Asking } from "../service/context.ts";
import { invalidQuery, ProblemError } from "../service/problems.ts";
import { explain } from "../log/explain.ts";
import { parameterOf, type Route } from "../service/route.ts";
import { choiceParam, paramsSchema, readParams, shareParam, textParam, truthParam, wholeParam } from "./params.ts";
import type { FreshReads } from "./fresh.ts";
import { withUsage } from "./near.ts";
import { MINUTE_MS, spanOf, stepOf } from "./span.ts";
import { type LogView, viewFor } from "./view.ts";

/** Most items of a page. */
const MAX_PAGE = 500;
const PAGE = 50;
const MAX_ROWS = 200;
const ROWS = 20;
const NEAR = 0.8;
const MAX_WAIT_MS = 30_000;

const WHOSE = {
  tenant: textParam("Only of this tenant."),
  asTenant: textParam("Answers as to a key that is bound to this tenant."),
};
const PAGED = {
  cursor: textParam("Where the page begins: `nextCursor` of the page before."),
  pageSize: wholeParam(`Most items of a page, 1 to ${MAX_PAGE}. Default: ${PAGE}.`, 1, MAX_PAGE),
};
const SPAN = {
  fromMs: wholeParam("From when on, epoch ms. Default: an hour before `toMs`."),
  toMs: wholeParam("Until when, epoch ms. Default: now."),
};
const COUNTED = { count: wholeParam(`Most rows, 1 to ${MAX_ROWS}. Default: ${ROWS}.`, 1, MAX_ROWS) };

const DECISIONS = {
  kind: choiceParam("`decision` or `event`. Default: both.", "decision", "event"),
  allowed: truthParam("`true` or `false`: only decisions that were so."),
  limit: textParam("Denials by this limit, allowed calls that it judged, and changes of its buckets."),
  tool: textParam("Calls of this tool."),
  session: textParam("Of this session."),
  user: textParam("Of this user."),
  fromMs: wholeParam("From when on, epoch ms."),
  toMs: wholeParam("Until when, epoch ms."),
  after: textParam("A `lastPosition`: entries that came after it, the oldest first. Instead of `cursor`."),
  waitMs: wholeParam(
    `With \`after\`: how long to wait until there is an entry, 0 to ${MAX_WAIT_MS} ms. Default: 0. Where many wait, it is answered at once.`,
    0,
    MAX_WAIT_MS,
  ),
  ...PAGED,
  ...WHOSE,
};
const TOP = {
  by: choiceParam("What to count by.", "session", "user", "tool", "tenant", "limit"),
  unit: textParam("What spent most of this unit of the limits, such as `usd_micros`. Default: what made most calls."),
  ...COUNTED,
  ...SPAN,
  ...WHOSE,
};
const NEAR_LIMIT = {
  over: shareParam("How full at least, 0.8 to 1: the log keeps no others. Default: 0.8.", NEAR),
  ...COUNTED,
  ...WHOSE,
};
const SESSIONS = { prefix: textParam("Only sessions that begin so."), ...PAGED, ...WHOSE };
const SERIES = {
  by: choiceParam("A line for each. Default: one line for all calls.", "limit", "tool", "tenant"),
  stepMinutes: wholeParam("Length of a point in minutes. Default: as short as 1,500 points allow.", 1, 1_440),
  ...SPAN,
  ...WHOSE,
};

type Table = Parameters<typeof readParams>[0];

/** A route that reads the log. */
function reading<const Of extends Table>(
  fresh: FreshReads | null,
  name: string,
  about: Pick<Route, "operationId" | "summary" | "response">,
  table: Of,
  run: (reader: LogView, values: ReturnType<typeof readParams<Of>>, asking: Asking) => unknown,
): Route {
  return {
    method: "GET",
    path: `/v1/${name}`,
    scope: "read",
    query: paramsSchema(table),
    ...about,
    async run(asking) {
      const reader = fresh?.storage.read;
      const values = readParams(table, asking.request.url);
      if (reader === undefined) throw noLog(fresh?.storage ?? null);
      const { limiter } = asking.context;
      const view = viewFor(
        withUsage(reader, limiter),
        limiter.policy,
        asking.caller,
        values as { readonly tenant?: string },
      );
      await fresh?.catchUp();
      return run(view, values, asking);
    },
  };
}

/** The problem of a log that is not there, or cannot be read. */
export function noLog(storage: LogStorage | null): ProblemError {
  if (storage === null) return new ProblemError("no-log", "The service keeps no decision log.");
  return new ProblemError("no-log", `The decision log cannot be read: ${storage.name} only writes it.`);
}

/** The routes of a log. */
export function logRoutes(fresh: FreshReads | null): readonly Route[] {
  return [
    reading(
      fresh,
      "decisions",
      {
        operationId: "listDecisions",
        summary: "Decisions and events, the newest first",
        response: answers.decisionsSchema,
      },
      DECISIONS,
      async (reader, { tenant: _, asTenant: __, pageSize = PAGE, waitMs = 0, ...query }, asking) => {
        const read = (after?: string) =>
          reader.entries({ ...query, ...(after === undefined ? {} : { after }), tenants: null, pageSize });
        if (waitMs === 0 || fresh === null) return read(query.after);
        if (query.after === undefined) throw invalidQuery("after", "a lastPosition beside waitMs", "none");
        return fresh.page(read, query.after, waitMs, asking);
      },
    ),
    reading(
      fresh,
      "explain/:id",
      {
        operationId: "explainEntry",
        summary: "Why a call was allowed or denied, in words: which rule, how it stood, when it opens, what helps",
        response: answers.explanationSchema,
      },
      WHOSE,
      async (reader, _, { request, caller }) => {
        const id = parameterOf(request);
        const tenant = caller.tenants === null ? undefined : (await reader.entry(id, null))?.dimensions.tenant;
        const explained = await explain(reader, id, tenant === undefined ? null : [tenant]);
        if (explained !== null) return explained;
        throw new ProblemError("unknown-entry", "The decision log has no decision with this id.");
      },
    ),
    reading(
      fresh,
      "top",
      { operationId: "listTop", summary: "What made most calls, or spent most of a unit", response: answers.topSchema },
      TOP,
      async (reader, { by = "tool", unit, count = ROWS, ...span }) => {
        const query = { by, count, ...spanOf(span), tenants: null, ...(unit === undefined ? {} : { unit }) };
        return { items: await reader.top(query), fromMs: query.fromMs, toMs: query.toMs };
      },
    ),
    reading(
      fresh,
      "near",
      {
        operationId: "listNear",
        summary: "Buckets that are filled to 80 % or more as they stand now, the fullest first",
        response: answers.nearSchema,
      },
      NEAR_LIMIT,
      async (reader, { over = NEAR, count = ROWS }) => {
        return { items: await reader.near({ over, count, nowMs: systemClock.nowMs(), tenants: null }) };
      },
    ),
    reading(
      fresh,
      "sessions",
      {
        operationId: "listSessions",
        summary: "Sessions, those that called last come first",
        response: answers.sessionsSchema,
      },
      SESSIONS,
      (reader, { tenant: _, asTenant: __, pageSize = PAGE, ...query }) =>
        reader.sessions({ ...query, tenants: null, pageSize }),
    ),
    reading(
      fresh,
      "series",
      { operationId: "getSeries", summary: "Decisions and denials over time", response: answers.seriesSchema },
      SERIES,
      async (reader, { by = null, stepMinutes, ...asked }) => {
        const span = spanOf(asked);
        const step = stepOf(span, stepMinutes);
        const items = await reader.series({ ...span, by, stepMinutes: step, tenants: null });
        return { items, stepMs: step * MINUTE_MS };
      },
    ),
  ];
}
