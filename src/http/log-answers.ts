// The schemas of answers about the decision log. They ignore unknown fields: a later service may send more.

import * as v from "valibot";
import { oneOf } from "../kernel/policy/schema-parts.ts";
import { unitsOrNone } from "./answers.ts";
import { units } from "./requests.ts";
import { described, listOf, mapTo, named, open, text, truth, whole } from "./schema-parts.ts";

const textOrNone = v.nullable(text);
const atMs = described(whole(0), "Epoch ms.");
const dimensions = mapTo(text, "an object of texts");

const loggedVerdictSchema = named(
  "LoggedVerdict",
  open({
    limit: text,
    unit: text,
    mode: oneOf("enforce", "warn", "shadow"),
    allowed: truth,
    exceeded: truth,
    cost: units,
    quota: unitsOrNone,
    capacity: described(unitsOrNone, "Most units at once, with those that were granted. `null`: unlimited."),
    granted: described(units, "Units of it that were granted."),
    remainingBefore: described(unitsOrNone, "Units left before the call. `null`: unlimited."),
    remaining: described(unitsOrNone, "Units left after the call. `null`: unlimited."),
    windowMs: v.nullable(whole(0)),
    resetAfterMs: whole(0),
    retryAfterMs: v.nullable(whole(1)),
    per: described(listOf(text), "The limit's dimensions: whose bucket it was."),
  }),
);

const entryFields = {
  id: described(text, "Sorts by time."),
  atMs,
  instance: described(text, "The process that wrote it."),
  policy: described(text, "The version of the policy in force."),
};

const decisionEntrySchema = named(
  "DecisionEntry",
  open({
    kind: oneOf("decision"),
    ...entryFields,
    verb: oneOf("consume", "record", "reserve", "run"),
    tool: text,
    dimensions: described(dimensions, "The call's other dimensions, 200 characters of each at most."),
    argsHash: described(textOrNone, "A salted hash of the arguments. `null`: there are none, or they are too large."),
    allowed: truth,
    deniedBy: textOrNone,
    detail: described(textOrNone, "What programs and people were told of a denied call."),
    retryAfterMs: v.nullable(whole(1)),
    verdicts: listOf(loggedVerdictSchema),
    degraded: described(textOrNone, "Why it was decided without the store. `null`: the store decided."),
    replayed: truth,
    via: described(text, "What asked: `library`, `http`, `envoy`, or the name of an adapter."),
    durationMs: described(
      v.nullable(v.number("a number")),
      "How long the limiter took to decide, ms, with the store and without the tool. `null`: the call could wait.",
    ),
    weight: described(whole(1), "How many decisions it stands for."),
  }),
);

const eventEntrySchema = named(
  "EventEntry",
  open({
    kind: oneOf("event"),
    ...entryFields,
    type: described(text, "The event, such as `bucket.granted`."),
    limit: textOrNone,
    dimensions,
    data: mapTo(v.unknown(), "an object"),
    actor: described(
      textOrNone,
      "Who or what did it: `key:ID`, `key:ID for PERSON`, `anonymous` where no key is needed, `cli:USER`, `file:PATH`, or what a program said. `null`: not known, or not for this key.",
    ),
    reason: textOrNone,
  }),
);

const entrySchema = v.union([decisionEntrySchema, eventEntrySchema], "a decision or an event");

const nextCursor = described(
  textOrNone,
  "Asks for the next page, also where this one is short or empty. `null`: this is the last.",
);

export const decisionsSchema = named(
  "Decisions",
  open({
    items: listOf(entrySchema),
    nextCursor,
    lastPosition: described(text, "`after` it come the entries that are written from now on."),
  }),
);

export const explanationSchema = named(
  "Explanation",
  open({
    entry: decisionEntrySchema,
    what: described(text, "What the call was, and when."),
    rule: described(textOrNone, "What the limit that denied it says. `null`: it was allowed."),
    stood: described(listOf(text), "How its limits stood, and which calls had used them."),
    opens: described(textOrNone, "When the call can pass. `null`: it was allowed."),
    helps: described(
      listOf(open({ text, command: described(textOrNone, "A command that does it.") })),
      "What would have helped, the cheapest first.",
    ),
  }),
);

export const topSchema = named(
  "Top",
  open({
    items: listOf(
      open({
        value: text,
        calls: described(units, "With `unit`: calls that limits of this unit judged."),
        denied: units,
        units: described(units, "What they spent of the unit. 0 without `unit`."),
        error: described(units, "By how many `units` may be too high, or without `unit` `calls`. 0: exact."),
      }),
    ),
    fromMs: atMs,
    toMs: atMs,
  }),
);

export const nearSchema = named(
  "Near",
  open({
    items: listOf(
      open({
        limit: text,
        dimensions,
        tenant: described(text, "The empty text: none."),
        unit: text,
        used: units,
        capacity: units,
        atMs: described(
          whole(0),
          "When it stood so, epoch ms: now, or after its last call where the store does not answer.",
        ),
        endsAtMs: described(whole(0), "When the full quota is back if nothing happens, epoch ms."),
      }),
    ),
  }),
);

export const sessionsSchema = named(
  "Sessions",
  open({
    items: listOf(
      open({
        session: text,
        tenant: described(text, "The empty text: none."),
        user: described(text, "The empty text: none."),
        firstMs: atMs,
        lastMs: atMs,
        calls: units,
        denied: units,
        deniedBy: described(textOrNone, "The limit of the last denial."),
      }),
    ),
    nextCursor,
  }),
);

export const seriesSchema = named(
  "Series",
  open({
    items: listOf(
      open({
        atMs,
        of: described(text, "The limit, tool or tenant. The empty text: all calls."),
        calls: units,
        denied: units,
        units: described(units, "Units that a limit was charged. 0 where the series is not by limit."),
      }),
    ),
    stepMs: whole(1),
  }),
);

export const meSchema = named(
  "Me",
  open({
    keyId: described(textOrNone, "`null`: the service needs no key."),
    scopes: listOf(oneOf("decide", "read", "admin", "quotas")),
    tenants: described(v.nullable(listOf(text)), "The tenants that the key is bound to. `null`: all."),
    version: described(text, "Of the service."),
    policy: described(text, "The version of the policy in force."),
    isPolicyWritable: described(truth, "Whether `PUT /v1/policy` may replace it."),
    hasGateway: described(truth, "Whether an MCP gateway runs beside the service: `/v1/gateway`."),
    log: described(
      v.nullable(open({ storage: text, isShared: described(truth, "Whether other instances write to it too.") })),
      "The decision log. `null`: there is none.",
    ),
  }),
);

const toolViewSchema = named(
  "GatewayTool",
  open({
    name: described(text, "Its name in the policy: with several servers `<server>_<tool>`."),
    description: textOrNone,
    calls: described(units, "Calls since the gateway started, with denied ones."),
    denied: units,
    lastCallAtMs: described(v.nullable(whole(0)), "Epoch ms. `null`: none yet."),
  }),
);

export const gatewaySchema = named(
  "Gateway",
  open({
    items: listOf(
      open({
        name: text,
        url: described(text, "Its address, without what could be a secret."),
        state: described(oneOf("up", "down", "unknown"), "How its last answer was. `unknown`: there was none yet."),
        error: described(textOrNone, "Why it did not answer."),
        lastErrorAtMs: described(v.nullable(whole(0)), "Epoch ms. `null`: it has always answered."),
        tools: listOf(toolViewSchema),
      }),
    ),
    leftOut: described(
      listOf(open({ server: text, tool: text, reason: text })),
      "Tools that clients cannot see through the gateway, and why.",
    ),
  }),
);
