// What each unit of a limiter says of its outages. A program hears only when the first unit leaves and when the last one is back.

import { Outages } from "../../../src/layers/units/outages.ts";

type Hear = (unit: number, type: string) => void;

let hear: Hear = () => {};

const { of } = Outages.prototype;

Outages.prototype.of = function (unit) {
  const tell = of.call(this, unit);
  return (event) => {
    hear(unit, event.type);
    tell(event);
  };
};

/** Listens to all units from now on. */
export function listenToUnits(listener: Hear): void {
  hear = listener;
}
