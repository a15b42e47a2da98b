// A message within a page.

import type { ComponentChildren } from "preact";
import type { ApiError } from "../api.ts";

export type Kind = "good" | "bad" | "warn" | "info";

const MARKS: Readonly<Record<Kind, string>> = { good: "✓", bad: "✕", warn: "!", info: "i" };

export function Note({ kind, children }: { readonly kind: Kind; readonly children: ComponentChildren }) {
  return (
    <div class={`note ${kind}`} role={kind === "bad" ? "alert" : undefined}>
      <span class="mark" aria-hidden="true">
        {MARKS[kind]}
      </span>
      <div>{children}</div>
    </div>
  );
}

const HELP: Readonly<Record<string, string>> = {
  "no-log": "Start the service with a decision log: tollgate serve --log sqlite:tollgate-log.db.",
  busy: "Try it again in some seconds.",
  unreachable: "The page tries again by itself.",
};

/** Why data is missing or old. */
export function Failure({ error }: { readonly error: ApiError | null }) {
  if (error === null) return null;
  const help = HELP[error.code];
  return (
    <Note kind={error.code === "no-log" ? "info" : "bad"}>
      {error.message} {help}
    </Note>
  );
}
