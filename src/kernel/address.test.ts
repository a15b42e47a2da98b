import assert from "node:assert/strict";
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { networkOf } from "./address.ts";

const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
const groups = fc.array(group, { minLength: 8, maxLength: 8 });
const octets = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 });
const bits = fc.integer({ min: 32, max: 128 });

/** Whether an address stands for an IPv4 address. */
const holdsIpv4 = (all: readonly number[]) => /^(0,0,0,0,0,65535|100,65435,0,0,0,0),/.test(all.join());

/** One way to write an IPv6 address. */
function spelled(all: readonly number[], { isUpper, isPadded, isDotted, zeros }: Spelling): string {
  const hex = all.map((each) => each.toString(16).padStart(isPadded ? 4 : 1, "0"));
  const [high = 0, low = 0] = all.slice(6);
  const dotted = [high >> 8, high & 255, low >> 8, low & 255].join(".");
  const words = isDotted ? [...hex.slice(0, 6), dotted] : hex;
  const start = zeros % words.length;
  let end = start;
  while (end < hex.length - (isDotted ? 2 : 0) && all[end] === 0) end++;
  const text = end === start ? words.join(":") : `${words.slice(0, start).join(":")}::${words.slice(end).join(":")}`;
  return isUpper ? text.toUpperCase() : text;
}

interface Spelling {
  readonly isUpper: boolean;
  readonly isPadded: boolean;
  readonly isDotted: boolean;
  /** Where zeros are left out, if there are any. */
  readonly zeros: number;
}

const spelling = fc.record({
  isUpper: fc.boolean(),
  isPadded: fc.boolean(),
  isDotted: fc.boolean(),
  zeros: fc.nat(7),
});

describe("networkOf", () => {
  const cases: readonly [text: string, network: string][] = [
    ["203.0.113.7", "203.0.113.7"],
    ["203.0.113.7:5678", "203.0.113.7"],
    ["::ffff:203.0.113.7", "203.0.113.7"],
    ["::ffff:cb00:7107", "203.0.113.7"],
    ["0:0:0:0:0:FFFF:CB00:7107", "203.0.113.7"],
    ["[::ffff:203.0.113.7]:443", "203.0.113.7"],
    ["64:ff9b::203.0.113.7", "203.0.113.7"],
    ["2001:db8:0:1a3:8a2e:370:7334:1", "2001:db8:0:100::/56"],
    ["2001:db8:0:1ff::", "2001:db8:0:100::/56"],
    ["2001:db8:0:200::", "2001:db8:0:200::/56"],
    ["[2001:DB8::1]", "2001:db8::/56"],
    ["[2001:db8::1]:443", "2001:db8::/56"],
    ["fe80::1%eth0", "fe80::/56"],
    ["[fe80::1%eth0.1]:80", "fe80::/56"],
    ["::1", "::/56"],
    ["::", "::/56"],
  ];
  for (const [text, network] of cases) {
    it(`reads ${text} as ${network}`, () => assert.equal(networkOf(text, 56), network));
  }

  const none = [
    "",
    "unknown",
    "_hidden",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.256",
    "1.2.3.4:port",
    "[1.2.3.4]:80",
  ];
  const noIpv6 = [
    ":::",
    "1::2::3",
    ":1::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::1",
  ];
  const noEnd = ["::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "[::1", "::1]", "fe80::1%", " ::1"];
  for (const text of [...none, ...noIpv6, ...noEnd, `fe80::1%${"x".repeat(100)}`, "1".repeat(1_000_000)]) {
    it(`finds no address in ${JSON.stringify(text.slice(0, 40))}`, () => assert.equal(networkOf(text, 56), "unknown"));
  }

  it("shortens to any length", () => {
    const text = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff";
    const found = [32, 47, 48, 56, 60, 64, 127, 128].map((length) => networkOf(text, length));
    assert.deepEqual(found, [
      "2001:db8::/32",
      "2001:db8:fffe::/47",
      "2001:db8:ffff::/48",
      "2001:db8:ffff:ff00::/56",
      "2001:db8:ffff:fff0::/60",
      "2001:db8:ffff:ffff::/64",
      "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127",
      text,
    ]);
  });

  it("accepts the addresses that Node accepts, and no others", () => {
    const character = fc.constantFrom(..."0123456789abcdfF:.%".split(""), "::", "1.2.3.4", "ffff:");
    const text = fc.array(character, { maxLength: 14 }).map((all) => all.join(""));
    const known = fc.oneof(
      text,
      fc.ipV4(),
      fc.ipV6(),
      fc.ipV6().map((each) => each.replace("::", ":")),
    );
    fc.assert(
      fc.property(known, (text) => {
        const isKnown = networkOf(text, 128) !== "unknown";
        // Node takes no ports; nor is there one behind an IPv6 address without brackets.
        assert.equal(isKnown, isIP(text) !== 0 || isIPv4(text.replace(/:\d{1,5}$/, "")));
      }),
      { numRuns: 5_000 },
    );
  });

  it("gives every spelling of an address the same canonical text", () => {
    fc.assert(
      fc.property(groups, spelling, bits, (all, how, length) => {
        const plain = all.map((each) => each.toString(16)).join(":");
        const other = spelled(all, how);
        assert.ok(isIPv6(other), other);
        assert.equal(networkOf(other, length), networkOf(plain, length));
        if (!holdsIpv4(all)) assert.equal(networkOf(other, 128), new URL(`http://[${plain}]`).hostname.slice(1, -1));
      }),
    );
  });

  it("gives an IPv4 address the same text, in every IPv6 form", () => {
    fc.assert(
      fc.property(octets, spelling, bits, (all, how, length) => {
        const [a = 0, b = 0, c = 0, d = 0] = all;
        const plain = all.join(".");
        for (const before of [
          [0, 0, 0, 0, 0, 0xffff],
          [0x64, 0xff9b, 0, 0, 0, 0],
        ]) {
          assert.equal(networkOf(spelled([...before, (a << 8) | b, (c << 8) | d], how), length), plain);
        }
      }),
    );
  });

  it("gives two addresses of one network the same text, and addresses of two networks different ones", () => {
    fc.assert(
      fc.property(groups, groups, fc.nat(7), bits, (one, rest, same, length) => {
        const other = [...one.slice(0, same), ...rest.slice(same)];
        fc.pre(!holdsIpv4(one) && !holdsIpv4(other));
        const [a, b] = [one, other].map((all) => all.map((each) => each.toString(16)).join(":")) as [string, string];
        const network = new BlockList();
        network.addSubnet(a, length, "ipv6");
        assert.equal(networkOf(a, length) === networkOf(b, length), network.check(b, "ipv6"));
      }),
      { numRuns: 1_000 },
    );
  });
});
