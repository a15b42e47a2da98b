// Addresses that a command cannot listen at: what is wrong, and what to do, in the words of its options.

import { CommandError } from "./exit.ts";

/** An address, and the options that say it. */
export interface Address {
  readonly host: string;
  readonly port: number | string;
  readonly hostOption: string;
  readonly portOption: string;
}

/** The sentence for an error of the system; `null` for another error. */
export function addressError(error: unknown, address: Address): CommandError | null {
  const { host, port, hostOption, portOption } = address;
  const code = codeOf(error);
  if (code === null) return null;
  const sentences: Readonly<Record<string, string>> = {
    EADDRINUSE: `Port ${port} on ${host} is already in use. Choose another with ${portOption}.`,
    EACCES: `This user may not listen at port ${port}. Choose one from 1024 on with ${portOption}.`,
    EADDRNOTAVAIL: `${host} is no address of this machine. Choose one of its own with ${hostOption}, such as 127.0.0.1.`,
    ENOTFOUND: `No address is known for the host ${host}. Choose another with ${hostOption}, such as 127.0.0.1.`,
    EAI_AGAIN: `The address of the host ${host} cannot be looked up now. Choose an IP address with ${hostOption}.`,
  };
  const sentence = sentences[code] ?? `Cannot listen at ${host}, port ${port}. Choose another with ${portOption}.`;
  return new CommandError(`${sentence} (${code})`, { cause: error });
}

/** The system's code for why a server cannot listen: in an error, in its cause, or in the words of gRPC. */
function codeOf(error: unknown): string | null {
  for (let each = error; each instanceof Error; each = each.cause) {
    const found = /\b(EADDRINUSE|EACCES|EADDRNOTAVAIL|ENOTFOUND|EAI_AGAIN)\b/.exec(each.message);
    if (found?.[1] !== undefined) return found[1];
    if (each.message.startsWith("Name resolution failed")) return "ENOTFOUND";
    if ("syscall" in each && each.syscall === "listen" && "code" in each) return String(each.code);
  }
  return null;
}
