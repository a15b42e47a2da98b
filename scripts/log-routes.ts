// The routes of a decision log, and all routes of `tollgate serve`, for what is generated from them. There is no log: nothing is asked.

import { gatewayRoute } from "../src/service-log/gateway.ts";
import { meRoute } from "../src/service-log/me.ts";
import { POLICY_CHECK } from "../src/service-log/policy-check.ts";
import { policyRoute } from "../src/service-log/policy-write.ts";
import { simulateRoute } from "../src/service-log/policy-simulate.ts";
import { logRoutes } from "../src/service-log/routes.ts";
import type { Route } from "../src/service/route.ts";
import { ROUTES } from "../src/service/routes.ts";

export const LOG_ROUTES: readonly Route[] = [
  meRoute(null, { isPolicyWritable: false, hasGateway: false }),
  ...logRoutes(null),
  POLICY_CHECK,
  simulateRoute(null),
  policyRoute(null),
  gatewayRoute(null),
];

export const ALL_ROUTES: readonly Route[] = [...ROUTES, ...LOG_ROUTES];
