// `GET /v1/me`: who a key is, and what the service has. The console asks it first.

import { meSchema } from "../http/log-answers.ts";
import type { LogStorage } from "../log/storage.ts";
import type { Route } from "../service/route.ts";
import { VERSION } from "../version.ts";

export function meRoute(storage: LogStorage | null, isPolicyWritable: boolean): Route {
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
      isPolicyWritable,
      log: storage === null ? null : { storage: storage.name, isShared: storage.isShared },
    }),
  };
}
