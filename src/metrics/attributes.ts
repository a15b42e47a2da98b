// What OpenTelemetry calls the things that Tollgate reports. Names of the semantic conventions are those of one version:
// `gen_ai.*` is still in development there, so another version is taken on purpose, here alone.

/** The version of OpenTelemetry's semantic conventions. */
export const CONVENTIONS = "1.45.0";
/** Says the version to backends, which can translate the names of one version into those of another. */
export const SCHEMA_URL = `https://opentelemetry.io/schemas/${CONVENTIONS}`;

/** Attributes by the label that Prometheus has for them. */
export const ATTRIBUTES = {
  allowed: "tollgate.decision.allowed",
  degraded: "tollgate.decision.degraded",
  replayed: "tollgate.decision.replayed",
  tool: "gen_ai.tool.name",
  limit: "tollgate.limit.name",
  mode: "tollgate.limit.mode",
  unit: "tollgate.unit",
  operation: "tollgate.operation.name",
  error_type: "error.type",
  outcome: "tollgate.booking.outcome",
  type: "tollgate.event.type",
} as const;

/** Attributes that only spans have. */
export const SPAN_ATTRIBUTES = {
  genAiOperation: "gen_ai.operation.name",
  toolCallId: "gen_ai.tool.call.id",
  retryAfterMs: "tollgate.decision.retry_after_ms",
  deniedBy: "tollgate.decision.denied_by",
} as const;

/** The operation of `gen_ai.operation.name` that the execution of a tool is. */
export const EXECUTE_TOOL = "execute_tool";

/** What the conventions have for a value that is not one of the known ones. */
export const OTHER = "_OTHER";
