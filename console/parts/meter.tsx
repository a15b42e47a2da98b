// How full a bucket is: the amounts as text, and a bar that only repeats them.

import { usedOf } from "../format.ts";

interface MeterProps {
  readonly used: number;
  readonly capacity: number | null;
  readonly unit: string;
}

export function Meter({ used, capacity, unit }: MeterProps) {
  const share = capacity === null ? 0 : Math.min(1, used / Math.max(1, capacity));
  const step = Math.round(share * 20) * 5;
  return (
    <span class="meter">
      <span>{usedOf(used, capacity, unit)}</span>
      {capacity !== null && (
        <svg
          class={share >= 1 ? "full" : share >= 0.8 ? "near" : ""}
          viewBox="0 0 100 6"
          preserveAspectRatio="none"
          aria-hidden="true"
        >
          <rect class="track" width="100" height="6" rx="3" />
          <rect class="fill" width={step} height="6" rx="3" />
        </svg>
      )}
    </span>
  );
}
