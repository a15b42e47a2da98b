// Every event, with its fields, and what the service says of it in its stream and its log.

import { describe, it } from "node:test";
import { CALL_EVENTS, EVENTS, type EventKind } from "../../src/events.ts";
import { assertAgreed } from "./snapshot.ts";

function linesOf([name, { fields, stream, log }]: [string, EventKind]): string[] {
  return [
    name,
    ...Object.keys(fields).map((field) => `  ${field}`),
    ...(stream === undefined ? [] : [`  stream: ${stream.join(", ")}`]),
    ...(log === undefined ? [] : [`  log: ${log.level} ${log.message}`]),
  ];
}

describe("the events", () => {
  it("are as agreed", () => {
    const sections = { "Events of a limiter": EVENTS, "Events of the service alone": CALL_EVENTS };
    const lines = Object.entries<Readonly<Record<string, EventKind>>>(sections).map(([title, events]) => {
      return [title, Object.entries(events).toSorted().flatMap(linesOf)] as const;
    });
    assertAgreed("events", Object.fromEntries(lines));
  });
});
