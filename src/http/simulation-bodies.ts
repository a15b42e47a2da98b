// The bodies of a simulation: what would a policy have done with the calls of the decision log, and what another one?

import * as v from "valibot";
import { units } from "./requests.ts";
import { closed, described, listOf, mapTo, named, nonEmpty, open, text, truth, whole } from "./schema-parts.ts";

/** Longest policy, in characters. */
const MAX_SOURCE = 1_000_000;

export const policyText = v.pipe(nonEmpty, v.maxLength(MAX_SOURCE, `a length of at most ${MAX_SOURCE}`));

export const simulateSchema = named(
  "Simulate",
  closed({
    source: described(policyText, "A policy, in YAML or JSON."),
    against: described(v.optional(policyText), "The policy to compare with. Default: the one in force."),
    fromMs: described(v.optional(whole(0)), "From when on, epoch ms. Default: an hour before `toMs`."),
    toMs: described(v.optional(whole(0)), "Until when, epoch ms. Default: now."),
  }),
);

const byLimit = mapTo(units, "an object of numbers");

const simulatedPolicySchema = named(
  "SimulatedPolicy",
  open({
    version: text,
    allowed: units,
    denied: units,
    sessionsDenied: described(units, "Sessions with a denied call."),
    deniedBy: described(byLimit, "Of each limit that denies: the calls that it denied."),
    exceeded: described(byLimit, "Of each limit that only warns or counts: the calls that did not fit."),
  }),
);

const differenceSchema = named(
  "SimulatedDifference",
  open({
    calls: units,
    deniedBy: described(byLimit, "By the limit that denies them."),
    examples: described(
      listOf(
        open({
          atMs: described(whole(0), "Epoch ms."),
          tool: text,
          session: described(v.nullable(text), "`null`: the call has none."),
          turn: described(v.nullable(text), "`null`: the call has none."),
          nthOfSession: described(whole(1), "Its place among the calls of its session that were read."),
          limit: described(text, "What denies it."),
        }),
      ),
      "The first 20.",
    ),
  }),
);

export const simulatedSchema = named(
  "Simulated",
  open({
    fromMs: described(whole(0), "What was asked, epoch ms."),
    toMs: whole(0),
    read: described(
      open({
        calls: described(units, "What was simulated."),
        sessions: units,
        firstMs: described(v.nullable(whole(0)), "When the first of them came, epoch ms. `null`: there is none."),
        lastMs: v.nullable(whole(0)),
        leftOut: described(
          units,
          "Entries that cannot be simulated: repeated answers, and what a sample lacks the session of.",
        ),
        isSample: described(truth, "Whether the log keeps only a sample of this time."),
        standsFor: described(units, "How many calls the simulated ones stand for. It is `calls` where all are kept."),
        isCut: described(
          truth,
          "Whether there were more calls than are simulated at once (200,000, or what is read in 10 s): these are the newest.",
        ),
      }),
      "What of the log was simulated.",
    ),
    policy: described(simulatedPolicySchema, "What `source` does."),
    against: described(simulatedPolicySchema, "What the other policy does."),
    newlyDenied: described(differenceSchema, "Denied by `source` alone."),
    newlyAllowed: described(differenceSchema, "Denied by the other policy alone."),
    deniedByBoth: units,
    allowedByBoth: units,
    notes: described(listOf(text), "What the simulation cannot know, as sentences."),
  }),
);

export type SimulateBody = v.InferOutput<typeof simulateSchema>;
export type Simulated = v.InferOutput<typeof simulatedSchema>;
