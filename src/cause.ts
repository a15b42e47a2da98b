// What an error says, also where Node says it only in the errors below it.

/**
 * The message of an error. Where it has none, as for a name with several addresses that all refuse, the messages of what it
 * is made of, or its code.
 */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message.trim() !== "") return error.message;
  const below: unknown[] =
    error instanceof AggregateError ? error.errors : error.cause === undefined ? [] : [error.cause];
  const said = [...new Set(below.map(causeOf))].join("; ");
  if (said !== "") return said;
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
