// The units of a cluster: 64 ranges of slots, whatever servers have them. All keys of a unit have one tag in front, so that they are in
// one slot and a script may name any of them together. The number of units and their tags are part of the layout of the keys: all
// instances must agree.

import { slotTag } from "./slot-tag.ts";

export const UNITS = 64;
const SLOTS = 16_384;
const SLOTS_PER_UNIT = SLOTS / UNITS;
/** Every third part of the slots has one. */
const HOMES: ReadonlySet<number> = new Set([0, 21, 42]);

/** What a unit's keys begin with, and the slot in which they are. */
export interface UnitPlace {
  readonly prefix: string;
  readonly slot: number;
}

/** The unit of a key: the slot that it would have by itself lies in the unit's range. */
export function unitOf(key: string): number {
  return Math.floor(slotOf(slotTag(key)) / SLOTS_PER_UNIT);
}

/** Whether a unit counts the instances. Three do, so that one server of three may be away. */
export function countsInstances(unit: number): boolean {
  return HOMES.has(unit);
}

/** Finds the places of all units: the tag of each is the smallest number whose slot lies in its range. */
export function unitPlaces(): readonly UnitPlace[] {
  const places: UnitPlace[] = [];
  for (let number = 0, found = 0; found < UNITS; number++) {
    const slot = slotOf(String(number));
    const unit = Math.floor(slot / SLOTS_PER_UNIT);
    if (places[unit] !== undefined) continue;
    places[unit] = { prefix: `{${number}}:`, slot };
    found++;
  }
  return places;
}

/** The slot of a tag, as Redis Cluster has it: CRC-16/XMODEM of its bytes. */
export function slotOf(tag: string): number {
  let crc = 0;
  for (let i = 0; i < tag.length; i++) {
    const code = tag.charCodeAt(i);
    if (code > 0x7f) return slotOfBytes(new TextEncoder().encode(tag));
    crc = withByte(crc, code);
  }
  return crc % SLOTS;
}

function slotOfBytes(bytes: Uint8Array): number {
  return bytes.reduce(withByte, 0) % SLOTS;
}

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

function withByte(crc: number, byte: number): number {
  return ((crc << 8) & 0xff_ff) ^ (TABLE[((crc >> 8) ^ byte) & 0xff] as number);
}
