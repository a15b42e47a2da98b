// The steps of a run, as the SDK passes them. A guard reads from them how often its run was denied, so that it keeps no runs.

import { invalidOption } from "../../kernel/errors.ts";

/** A step of a run. */
export interface AiSdkStep {
  readonly content: readonly { readonly type: string; readonly error?: unknown }[];
}

/** What the SDK passes to `prepareStep` and `stopWhen`. */
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
