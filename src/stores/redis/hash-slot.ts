// Which of a cluster's 16,384 slots a key is in.

import { slotTag } from "./slot-tag.ts";

export const HASH_SLOTS = 16_384;

/** CRC-16/XMODEM of what stands between braces, or of all of the key. */
export function hashSlot(key: string): number {
  let crc = 0;
  for (const byte of new TextEncoder().encode(slotTag(key))) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
  }
  return crc % HASH_SLOTS;
}
