// Buckets with what is left in them, and for administrators how to change them.

import { useState } from "preact/hooks";
import { amount } from "../../src/kernel/words.ts";
import type { Usage } from "../answers.ts";
import { formatDuration } from "../format.ts";
import { Change, type Changing } from "./change.tsx";
import { Dimensions } from "./dimensions.tsx";
import { Meter } from "./meter.tsx";
import { Table } from "./table.tsx";

interface BucketsProps {
  readonly rows: readonly Usage[];
  readonly mayChange: boolean;
  readonly onChange: () => void;
}

export function Buckets({ rows, mayChange, onChange }: BucketsProps) {
  const [changing, setChanging] = useState<Changing | null>(null);
  const act = (act: Changing["act"], bucket: Usage) => (event: Event) => {
    setChanging({ act, bucket, opener: event.currentTarget as HTMLElement });
  };
  const fullest = rows.toSorted((a, b) => fullness(b) - fullness(a));
  return (
    <>
      <Table
        caption="Buckets, the fullest first"
        rows={fullest}
        keyOf={({ limit, dimensions }) => JSON.stringify([limit, dimensions])}
        columns={[
          { title: "Limit", isHead: true, cell: ({ limit }) => limit },
          { title: "Whose", cell: ({ dimensions }) => <Dimensions of={dimensions} /> },
          {
            title: "Used",
            cell: ({ used, capacity, granted, unit }) => (
              <Meter used={used} capacity={capacity === null ? null : capacity + granted} unit={unit} />
            ),
          },
          { title: "Granted", cell: ({ grants, unit }) => <Grants of={grants} unit={unit} /> },
          {
            title: "Whole again",
            cell: ({ resetAfterMs }) => (resetAfterMs === 0 ? "now" : `in ${formatDuration(resetAfterMs)}`),
          },
          ...(mayChange
            ? [
                {
                  title: "Change",
                  cell: (bucket: Usage) => (
                    <div class="actions">
                      <button
                        type="button"
                        onClick={act("grant", bucket)}
                        aria-label={`Grant units of ${bucket.limit}`}
                      >
                        Grant
                      </button>
                      <button type="button" onClick={act("reset", bucket)} aria-label={`Reset ${bucket.limit}`}>
                        Reset
                      </button>
                    </div>
                  ),
                },
              ]
            : []),
        ]}
        empty="No limit counts these calls, or their buckets are per arguments, which the log does not have."
      />
      {changing !== null && (
        <Change
          {...changing}
          onDone={(isChanged) => {
            setChanging(null);
            changing.opener.focus();
            if (isChanged) onChange();
          }}
        />
      )}
    </>
  );
}

function fullness({ used, capacity, granted }: Usage): number {
  return capacity === null ? -1 : used / Math.max(1, capacity + granted);
}

function Grants({ of, unit }: { readonly of: Usage["grants"]; readonly unit: string }) {
  if (of.length === 0) return <>-</>;
  return (
    <ul class="dimensions">
      {of.map(({ id, units, endsInMs }) => (
        <li key={id}>
          +{amount(units, unit)} for {formatDuration(endsInMs)}
        </li>
      ))}
    </ul>
  );
}
