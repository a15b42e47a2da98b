// Client addresses for limits per address: which of a request's addresses is the client's, and which of them are one client.
// Nothing of Node is imported.

import { IPV6_BITS, MAX_IPV6_BITS, MIN_IPV6_BITS, networkOf } from "../kernel/address.ts";
import { checkOptionKeys, checkWhole, formatGot, MisuseError } from "../kernel/errors.ts";

/** How a client's address is found. */
export interface AddressOptions {
  /**
   * How many leading bits of an IPv6 address are one client's, 32 to 128. Default 56: providers assign a customer a /56 or a
   * /64, so that the customer's devices have 2^64 addresses or more.
   */
  readonly ipv6?: number | undefined;
  /**
   * How many proxies of your own each request passes, 0 to 16. Each adds the address that it was asked from to
   * `X-Forwarded-For`, so the client's is that many from the end. Default 0: `forwardedFor` is not read.
   */
  readonly trustedProxies?: number | undefined;
  /** The request's `X-Forwarded-For`. */
  readonly forwardedFor?: string | readonly string[] | null | undefined;
}

/**
 * The value of a dimension for limits per client address: an IPv4 address, or the network of an IPv6 address.
 *
 * @param address the other end of the connection, or the client's address as your framework finds it, such as `request.ip`
 * @returns `203.0.113.7`, or `2001:db8:0:100::/56`; `unknown` where there is no address: all such requests share a bucket
 * @throws MisuseError `invalid-option`, `invalid-dimension`
 *
 * @example
 * ```ts
 * import { addressOf } from "tollgate/adapters/address";
 *
 * console.log(addressOf("2001:db8:0:1a3:8a2e:370:7334:1")); // 2001:db8:0:100::/56
 * console.log(addressOf("::ffff:203.0.113.7")); // 203.0.113.7
 * console.log(addressOf("10.0.0.5", { trustedProxies: 1, forwardedFor: "made-up, 203.0.113.7" })); // 203.0.113.7
 * ```
 */
export function addressOf(address: string | null | undefined, options: AddressOptions = {}): string {
  checkOptionKeys(options, ["ipv6", "trustedProxies", "forwardedFor"]);
  const { ipv6 = IPV6_BITS, trustedProxies = 0, forwardedFor } = options;
  checkWhole("ipv6", ipv6, MIN_IPV6_BITS, MAX_IPV6_BITS);
  checkWhole("trustedProxies", trustedProxies, 0, 16);
  checkText("address", address);
  for (const field of [forwardedFor].flat()) checkText("forwardedFor", field);
  const passed = trustedProxies === 0 ? [] : [forwardedFor ?? []].flat().join().split(",");
  const from = [...passed.filter((each) => each.trim() !== ""), address ?? ""];
  const client = from.at(-1 - trustedProxies) ?? from[0];
  return networkOf((client as string).trim(), ipv6);
}

function checkText(path: string, value: unknown): void {
  if (value === undefined || value === null || typeof value === "string") return;
  const expected = "an address as text, or nothing";
  throw new MisuseError("invalid-dimension", { path, expected, got: formatGot(value) });
}
