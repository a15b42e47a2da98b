// A part of a service that a program adds: routes of the decision log, of the console. What is not added is not loaded.

import type { Route } from "./route.ts";

export interface ServicePart {
  readonly routes: readonly Route[];
  close?(): Promise<void>;
}
