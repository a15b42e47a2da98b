// `GET /v1/me`: who a key is, and what the service has. The console asks it first.

import { meSchema } from "../http/log-answers.ts";
import type { LogStorage } from "../log/storage.ts";
import type { Route } from "../service/route.ts";
import { VERSION } from "../version.ts";

/** What a program has beside its log. */
export interface Beside {
  readonly isPolicyWritable: boolean;
  readonly hasGateway: boolean;
}

export function meRoute(storage: LogStorage | null, beside: Beside): Route {
  return {
    method: "GET",
    path: "/v1/me",
    operationId: "getMe",
    scope: "any",
    summary: "Who the key is, what it may do, and whether there is a decision log",
    response: meSchema,
    run: ({ caller: { keyId, scopes, tenants }, context }) => ({
      keyId,
      scopes: [...scopes],
      tenants,
      version: VERSION,
      policy: context.limiter.policy.version,
      ...beside,
      log: storage === null ? null : { storage: storage.name, isShared: storage.isShared },
    }),
  };
}
