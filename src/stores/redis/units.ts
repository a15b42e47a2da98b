// The units of a cluster: 64 ranges of slots, whatever servers have them. All keys of a unit have one tag in front, so that they are in
// one slot and a script may name any of them together. The number of units and their tags are part of the layout of the keys: all
// instances must agree.

import { HASH_SLOTS, slotOf } from "./hash-slot.ts";
import { slotTag } from "./slot-tag.ts";

export const UNITS = 64;
const SLOTS_PER_UNIT = HASH_SLOTS / UNITS;
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
