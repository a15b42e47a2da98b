// Parts of the package that few programs need: they are loaded when they are needed first, so that other programs load less.

import { within } from "../clock.ts";
import { reasonOf } from "../kernel/reason.ts";
import { StoreError } from "./error.ts";

/** How long loading a part may take, ms. */
const LOAD_WITHIN_MS = 5_000;

/**
 * A function that loads a part once, and again after a failure.
 *
 * @param what names the part in the error: `unavailable`, as when the store cannot be reached
 */
export function partOf<Part>(what: string, load: () => Promise<Part>): () => Promise<Part> {
  let loading: Promise<Part> | undefined;
  return () => {
    loading ??= within(LOAD_WITHIN_MS, load()).catch((error) => {
      loading = undefined;
      const message = `${what} cannot be loaded: ${reasonOf(error)}. Install all files of the package tollgate`;
      throw new StoreError("unavailable", message, { transient: true, cause: error });
    });
    return loading;
  };
}
