// What tollgate/service/log exports: the routes of a decision log as a part of a service.

import { type OpenApi, type ServicePart, withPaths } from "../service/parts.ts";
import { FreshReads, type ReadLog } from "./fresh.ts";
import { gatewayRoute } from "./gateway.ts";
import type { GatewayView } from "./gateway-view.ts";
import { meRoute } from "./me.ts";
import { POLICY_CHECK } from "./policy-check.ts";
import { type PolicyFile, policyRoute } from "./policy-write.ts";
import { simulateRoute } from "./policy-simulate.ts";
import { logRoutes } from "./routes.ts";

export type { ReadLog } from "./fresh.ts";
export type { GatewayServer, GatewayTool, GatewayView } from "./gateway-view.ts";
export type { PolicyFile } from "./policy-write.ts";

/** What the routes may do beside reading the log. */
export interface LogPartOptions {
  /** Where `PUT /v1/policy` writes. Default: nowhere, and it is refused. */
  readonly policyFile?: PolicyFile;
  /** What `GET /v1/gateway` answers, where an MCP gateway runs in this process. Default: there is none, and it answers 404. */
  readonly gateway?: () => GatewayView;
}

/**
 * The routes `/v1/me`, `PUT /v1/policy`, `/v1/policy/check`, `/v1/policy/simulate`, `/v1/decisions`, `/v1/explain/:id`, `/v1/top`, `/v1/near`,
 * `/v1/sessions`, `/v1/series` and `/v1/gateway`, for the option `parts` of `createService`.
 *
 * @param log the log that the service has as its option `log`; `null`: there is none, and only `/v1/me` answers
 *
 * @example
 * ```ts
 * import { memoryLog } from "tollgate/log";
 * import { createService } from "tollgate/service";
 * import { logPart } from "tollgate/service/log";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const log = memoryLog();
 * const service = createService({
 *   policy: "version: 1\nlimits: [{ name: per-session, per: [session], quota: 50 }]",
 *   store: memoryStore(),
 *   keys: false,
 *   log,
 *   parts: [logPart(log)],
 * });
 * const response = await service.fetch(new Request("http://localhost/v1/me"));
 * console.log(((await response.json()) as { log: object }).log); // { storage: 'memory', isShared: false }
 * await service.close();
 * ```
 */
export function logPart(log: ReadLog | null, { policyFile, gateway }: LogPartOptions = {}): ServicePart {
  const storage = log?.storage ?? null;
  return {
    routes: [
      meRoute(storage, { isPolicyWritable: policyFile !== undefined, hasGateway: gateway !== undefined }),
      ...logRoutes(log === null ? null : new FreshReads(log)),
      POLICY_CHECK,
      simulateRoute(storage),
      policyRoute(policyFile ?? null),
      gatewayRoute(gateway ?? null),
    ],
    async describe(document) {
      const { OPENAPI_OF_LOG } = await import("./openapi-log.gen.ts");
      return withPaths(document, OPENAPI_OF_LOG as OpenApi);
    },
  };
}
