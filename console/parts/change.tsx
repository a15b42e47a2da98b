// Grants units to a bucket, or empties it: how it stands before, why, and how it stands after.

import { useEffect, useRef, useState } from "preact/hooks";
import { isMoney, nounOf } from "../../src/kernel/words.ts";
import { announce } from "../announce.ts";
import type { Usage } from "../answers.ts";
import { type ApiError, post } from "../api.ts";
import { capital } from "../format.ts";
import { Dimensions } from "./dimensions.tsx";
import { Choice } from "./field.tsx";
import { Meter } from "./meter.tsx";
import { Note } from "./note.tsx";

export interface Changing {
  readonly act: "grant" | "reset";
  readonly bucket: Usage;
  /** What gets the focus again. */
  readonly opener: HTMLElement;
}

interface ChangeProps extends Changing {
  readonly onDone: (isChanged: boolean) => void;
}

const MICROS = 1_000_000;
const DURATIONS = [
  ["900000", "15 minutes"],
  ["3600000", "1 hour"],
  ["86400000", "1 day"],
  ["604800000", "7 days"],
] as const;

export function Change({ act, bucket, onDone }: ChangeProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [after, setAfter] = useState<Usage | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [durationMs, setDurationMs] = useState("3600000");
  useEffect(() => dialog.current?.showModal(), []);
  const { limit, dimensions, unit } = bucket;
  const title = act === "grant" ? `Grant units of ${limit}` : `Reset ${limit}`;
  const submit = async (event: Event) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const reason = String(fields.get("reason")).trim();
    const units = unitsOf(String(fields.get("units")), unit);
    const grant = { grant: { id: crypto.randomUUID(), units, durationMs: Number(durationMs) } };
    setBusy(true);
    try {
      const body = { limit, dimensions, reason, ...(act === "grant" ? grant : {}) };
      const changed = await post<{ readonly after: Usage }>(act, body);
      setAfter(changed.after);
      setError(null);
      announce(act === "grant" ? `Granted units of ${limit}` : `Reset ${limit}`);
    } catch (reason) {
      setError(reason as ApiError);
    }
    setBusy(false);
  };
  return (
    <dialog ref={dialog} aria-labelledby="change" onClose={() => onDone(after !== null)}>
      <form class="stack" onSubmit={submit}>
        <h2 id="change">{title}</h2>
        <Dimensions of={dimensions} />
        <div class="pair">
          <Standing title={after === null ? "Now" : "Before"} of={bucket} />
          {after !== null && <Standing title="After" of={after} />}
        </div>
        {after === null && (
          <>
            {act === "grant" && (
              <div class="pair">
                <label>
                  {isMoney(unit) ? "Dollars" : capital(nounOf(unit, 2))} to add
                  <input
                    name="units"
                    type="number"
                    min={isMoney(unit) ? "0.000001" : "1"}
                    step={isMoney(unit) ? "any" : "1"}
                    value="1"
                    required
                  />
                </label>
                <Choice label="For" value={durationMs} options={DURATIONS} onChange={setDurationMs} />
              </div>
            )}
            {act === "reset" && <p>What was used is forgotten: the bucket begins at zero. Grants end, too.</p>}
            <label>
              Reason, for the audit log
              <input name="reason" required maxLength={500} autocomplete="off" />
            </label>
          </>
        )}
        {error !== null && <Note kind="bad">{error.message}</Note>}
        <div class="actions">
          {after === null && (
            <button type="submit" class="main" disabled={isBusy}>
              {act === "grant" ? "Grant" : "Reset"}
            </button>
          )}
          <button type="button" onClick={() => dialog.current?.close()}>
            {after === null ? "Cancel" : "Done"}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function unitsOf(text: string, unit: string): number {
  return isMoney(unit) ? Math.round(Number(text) * MICROS) : Math.round(Number(text));
}

function Standing({ title, of: { used, capacity, granted, unit } }: { readonly title: string; readonly of: Usage }) {
  return (
    <div>
      <div class="quiet">{title}</div>
      <Meter used={used} capacity={capacity === null ? null : capacity + granted} unit={unit} />
    </div>
  );
}
