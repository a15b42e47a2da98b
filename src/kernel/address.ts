// A client's address as the value of a dimension. A client has one IPv4 address, and as many IPv6 addresses as it likes: its
// provider assigns it a network. So an IPv6 address counts as its network. Every spelling of an address gives one text.

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `(${OCTET})\\.(${OCTET})\\.(${OCTET})\\.(${OCTET})`;
const IPV4_PORT = new RegExp(`^${IPV4}(?::\\d{1,5})?$`);
const IPV4_AT_END = new RegExp(`(?<=:)${IPV4}$`);
const BRACKETS = /^\[([^\][]*)\](?::\d{1,5})?$/;
const ZONE = /%[\w.:-]+$/;

/** How many leading bits of an IPv6 address are one client's, unless something else is said. */
export const IPV6_BITS = 56;
export const MIN_IPV6_BITS = 32;
export const MAX_IPV6_BITS = 128;
/** The network of a text that is no address. */
const UNKNOWN = "unknown";
/** Longest text that is read. */
const MAX_LENGTH = 100;
const GROUPS = 8;
const GROUP_BITS = 16;

/** First groups of addresses that stand for an IPv4 address, which follows: mapped (RFC 4291), and translated (RFC 6052). */
const IPV4_WITHIN = ["0,0,0,0,0,65535", "100,65435,0,0,0,0"];

/**
 * The network of an address: an IPv4 address whole, an IPv6 address cut to its leading bits, in the form of RFC 5952. A port,
 * brackets and a zone are left out.
 *
 * @param bits how many leading bits of an IPv6 address count, `MIN_IPV6_BITS` to `MAX_IPV6_BITS`
 * @returns `203.0.113.7`, or `2001:db8:0:100::/56`; `unknown` when the text is no address
 */
export function networkOf(text: string, bits: number): string {
  if (text.length > MAX_LENGTH) return UNKNOWN;
  const octets = IPV4_PORT.exec(text);
  if (octets !== null) return octets.slice(1).join(".");
  const groups = groupsOf((BRACKETS.exec(text)?.[1] ?? text).replace(ZONE, ""));
  if (groups === null) return UNKNOWN;
  if (IPV4_WITHIN.includes(groups.slice(0, 6).join())) {
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 0xff])
      .join(".");
  }
  const network = formatGroups(groups.map((group, i) => group & maskOf(bits - i * GROUP_BITS)));
  return bits === MAX_IPV6_BITS ? network : `${network}/${bits}`;
}

/** The mask of one group, of which so many leading bits count. */
function maskOf(bits: number): number {
  return 0xffff & (0xffff << (GROUP_BITS - Math.min(Math.max(bits, 0), GROUP_BITS)));
}

/** The groups of an IPv6 address; `null` when the text is none. */
function groupsOf(text: string): number[] | null {
  const hex = text.replace(IPV4_AT_END, (_all, ...octets: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const halves = hex.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const written = halves.flat();
  const isShort = halves.length === 2 && written.length < GROUPS;
  if (!isShort && (halves.length !== 1 || written.length !== GROUPS)) return null;
  if (!written.every((group) => /^[\da-f]{1,4}$/i.test(group))) return null;
  const [head = [], tail = []] = halves;
  const zeros = Array.from({ length: GROUPS - written.length }, () => "0");
  return [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16));
}

/** Groups as RFC 5952 has them: the longest row of zeros is left out, the first of equal ones, and never a single zero. */
function formatGroups(groups: readonly number[]): string {
  const texts = groups.map((group) => group.toString(16));
  let row = { start: 0, length: 1 };
  for (let start = 0; start < GROUPS; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > row.length) row = { start, length };
  }
  if (row.length === 1) return texts.join(":");
  return `${texts.slice(0, row.start).join(":")}::${texts.slice(row.start + row.length).join(":")}`;
}
