// What the code under test does not tell its caller: promises that it does not handle, and process warnings about its own listeners.

/** Collects them until it is stopped. */
export function watchUnseen(): { take(): Promise<string[]>; stop(): void } {
  let seen: string[] = [];
  const rejected = (error: unknown) => seen.push(`a promise is rejected and not handled: ${String(error)}`);
  const warned = ({ name, message }: Error) => {
    if (name === "TollgateWarning") seen.push(`a process warning: ${message}`);
  };
  process.on("unhandledRejection", rejected);
  process.on("warning", warned);
  return {
    /** What was seen since the last time. Node reports it in a later turn. */
    async take() {
      await new Promise((resolve) => setImmediate(resolve));
      const taken = seen;
      seen = [];
      return taken;
    },
    stop() {
      process.off("unhandledRejection", rejected);
      process.off("warning", warned);
    },
  };
}
