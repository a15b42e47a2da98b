// `GET /v1/gateway`: the servers that an MCP gateway stands before, and their tools, as they were seen on the way.

import { gatewaySchema } from "../http/log-answers.ts";
import { ProblemError } from "../service/problems.ts";
import type { Route } from "../service/route.ts";
import type { GatewayView } from "./gateway-view.ts";

/** @param view `null`: there is no gateway */
export function gatewayRoute(view: (() => GatewayView) | null): Route {
  return {
    method: "GET",
    path: "/v1/gateway",
    operationId: "getGateway",
    scope: "read",
    summary: "The servers and tools of the MCP gateway that runs beside the service",
    response: gatewaySchema,
    run({ caller }) {
      if (view === null) throw new ProblemError("not-found", "No MCP gateway runs beside this service.");
      if (caller.tenants !== null) throw new ProblemError("not-for-tenants", "The gateway is for keys of no tenant.");
      return view();
    },
  };
}
