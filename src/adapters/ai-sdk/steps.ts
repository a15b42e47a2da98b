// What the SDK tells of the steps of a run. They are the run's own, whatever else runs at the same time: what a guard must
// know of a run is read from them, and no run is remembered.

import { invalidOption } from "../../kernel/errors.ts";

/** A step of a run. */
export interface AiSdkStep {
  readonly content: readonly { readonly type: string; readonly error?: unknown }[];
}

/** What the SDK tells `prepareStep` and `stopWhen` of a run. */
export interface AiSdkRun {
  /** The run's steps so far. */
  readonly steps: readonly AiSdkStep[];
}

/**
 * What tools of a run threw, as far as it has come.
 *
 * @throws MisuseError `invalid-option`
 */
export function thrownIn(run: AiSdkRun): object[] {
  if (!Array.isArray(run?.steps)) throw invalidOption("steps", "what the SDK tells prepareStep and stopWhen", run);
  const parts = (run.steps as readonly AiSdkStep[]).flatMap(({ content }) => content);
  return parts.flatMap(({ type, error }) =>
    type === "tool-error" && typeof error === "object" && error !== null ? [error] : [],
  );
}
