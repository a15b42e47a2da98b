// The key of a bucket: `<prefix>:1:{<tag>}:<limit>:<values>`, such that two partition keys never meet.
// 1 is the version of this layout. Redis Cluster puts all keys with the same `{<tag>}` into one slot.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Dimension, PartitionKey } from "./call.ts";

/** Longest part of a key. */
export const MAX_PART_BYTES = 64;
const PLAIN = /^[A-Za-z0-9_.\-/@=+,;!~ ]{1,64}$/;
// What separates parts, what Redis Cluster reads, the escapes' own sign and that of a hash, controls, lone surrogates.
const ESCAPED = /[{}:%#\p{Cc}\p{Cs}]/gu;

/**
 * One part of a key: the value itself where it is harmless, `%XX` (or `%uXXXX` for a lone surrogate) for what is not.
 * Where that would take more than 64 bytes: `#` with the first 128 bits, in hexadecimal, of the SHA-256 of the value as
 * JSON, which is well-formed and unambiguous also where the value is not.
 */
export function keyPart(value: string): string {
  if (PLAIN.test(value)) return value;
  if (value.length <= MAX_PART_BYTES) {
    const escaped = value.replace(ESCAPED, escapeCharacter);
    if (utf8ToBytes(escaped).length <= MAX_PART_BYTES) return escaped;
  }
  return `#${digest(value)}`;
}

/** The first 128 bits, in hexadecimal, of the SHA-256 of a value as JSON. */
export function digest(value: unknown): string {
  return bytesToHex(sha256(utf8ToBytes(JSON.stringify(value))).subarray(0, 16));
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0);
  const digits = code.toString(16).toUpperCase();
  if (code >= 0xd800) return `%u${digits}`;
  // C1 controls take two bytes in UTF-8; one escape per code point stays unambiguous and shorter.
  return `%${digits.padStart(2, "0")}`;
}

/** The value of a part that `keyPart` made; `null` where that is only a hash. */
export function valueOfPart(part: string): string | null {
  if (part.startsWith("#")) return null;
  return part.replace(/%u([0-9A-F]{4})|%([0-9A-F]{2})/g, (_, wide, narrow) =>
    String.fromCharCode(Number.parseInt(wide ?? narrow, 16)),
  );
}

/** The part of a key for a dimension that calls lack. No value has this part: theirs have two digits, or `u`, after a `%`. */
const MISSING = "%none";

/**
 * The key of a limit's bucket for one partition key. The tag is the value of the policy's partition dimension; for a
 * limit without it, `<dimension>=<value>` of the first dimension; for a limit per nothing, the limit's name.
 *
 * @param partOf `keyPart`, or what remembers its answers
 */
export function bucketKey(
  prefix: string,
  partition: Dimension,
  limit: string,
  values: PartitionKey,
  partOf: (value: string) => string = keyPart,
): string {
  const inPartition = values.findIndex(([dimension]) => dimension === partition);
  const tagged = values[Math.max(inPartition, 0)];
  if (tagged === undefined) return `${prefix}:1:{${limit}}:${limit}`;
  const [dimension, value] = tagged;
  const part = value === null ? MISSING : partOf(value);
  const tag = inPartition === -1 ? `${dimension}=${part}` : part;
  // Joined, and not added up: a sum keeps its parts alive, a hundred bytes more for as long as the key lives.
  const parts = [prefix, ":1:{", tag, "}:", limit];
  for (const pair of values) {
    if (pair === tagged) continue;
    parts.push(":", pair[1] === null ? MISSING : partOf(pair[1]));
  }
  return parts.join("");
}

/**
 * The key of a kept answer, beside the buckets with the same tag. `$` begins no limit's name.
 *
 * @param of whether the answer is for an idempotency key, for the end of a hold, or for a hold that was taken over
 */
export function onceKey(prefix: string, tag: string, of: "once" | "settled" | "resumed", name: string): string {
  return `${prefix}:1:{${tag}}:$${of}:${keyPart(name)}`;
}

/** The key that counts what instances have borrowed of a bucket and not used, beside the bucket. */
export function borrowedKey(bucket: string): string {
  const afterTag = bucket.indexOf("}:") + 2;
  return `${bucket.slice(0, afterTag)}$borrowed:${bucket.slice(afterTag)}`;
}

/** Whether a key is of a kept answer. */
export function isAnswerKey(key: string): boolean {
  return key.includes("}:$once:") || key.includes("}:$resumed:") || isSettledKey(key);
}

/** Whether a key is of an answer that is kept for the end of a hold. */
export function isSettledKey(key: string): boolean {
  return key.includes("}:$settled:");
}

/** The key with another value's tag. */
export function withTag(key: string, value: string): string {
  return `${key.slice(0, key.indexOf("{") + 1)}${keyPart(value)}${key.slice(key.indexOf("}"))}`;
}

export function tagOf(key: string): string {
  return key.slice(key.indexOf("{") + 1, key.indexOf("}"));
}
