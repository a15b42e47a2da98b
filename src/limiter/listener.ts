// How listeners are called.

import { formatGot } from "../kernel/errors.ts";

/** Calls a listener. The units are booked: a fault of the listener must not look like a fault of the decision. */
export function tell(name: string, listener: () => unknown): void {
  const warn = (error: unknown) => {
    const message = `${name} threw: ${formatGot(error)}`;
    if (typeof process === "undefined") console.warn(message);
    else process.emitWarning(message, "TollgateWarning");
  };
  try {
    const told = listener();
    if (told instanceof Promise) told.catch(warn);
  } catch (error) {
    warn(error);
  }
}
