// Applies an edited policy with a reason, where the service may write it and the key may change it; else says why not.

import { useState } from "preact/hooks";
import { announce } from "../announce.ts";
import type { Me, PolicyAnswer } from "../answers.ts";
import { type ApiError, getTagged, put } from "../api.ts";
import { mayAdminister } from "../session.ts";
import { Note } from "./note.tsx";

interface ApplyProps {
  readonly me: Me;
  readonly source: string;
  readonly etag: string;
  /** Whether a service would refuse it, or it is not known yet. */
  readonly isWrong: boolean;
  /** Called with the policy that is in force now. `isOwn`: it is what was applied. */
  readonly onInForce: (policy: PolicyAnswer, isOwn: boolean) => void;
}

export function Apply({ me, source, etag, isWrong, onInForce }: ApplyProps) {
  const [error, setError] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  if (!me.isPolicyWritable) {
    return (
      <p class="quiet">
        This service may not write its policy: copy the text, and save it where the service reads it. With{" "}
        <code>tollgate serve --policy-writable</code> it is applied here.
      </p>
    );
  }
  if (!mayAdminister(me)) {
    return <p class="quiet">This key lacks the scope admin: a key that has it can apply the policy here.</p>;
  }
  const doing = async (act: () => Promise<void>) => {
    setBusy(true);
    try {
      await act();
      setError(null);
    } catch (reason) {
      setError(reason as ApiError);
    }
    setBusy(false);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget as HTMLFormElement).get("reason")).trim();
    void doing(async () => {
      await put("policy", { source, reason }, { "if-match": etag });
      onInForce(await getTagged<PolicyAnswer>("policy"), true);
      announce("The policy is applied");
    });
  };
  const takeIn = () => void doing(async () => onInForce(await getTagged<PolicyAnswer>("policy"), false));
  return (
    <form class="stack" onSubmit={submit}>
      <label>
        Reason, for the audit log
        <input name="reason" required maxLength={500} autocomplete="off" />
      </label>
      {error !== null && <Refused error={error} onTakeIn={takeIn} />}
      <div class="actions">
        <button type="submit" class="main" disabled={isBusy || isWrong}>
          Apply
        </button>
      </div>
    </form>
  );
}

function Refused({ error, onTakeIn }: { readonly error: ApiError; readonly onTakeIn: () => void }) {
  if (error.code !== "policy-changed") return <Note kind="bad">{error.message}</Note>;
  return (
    <Note kind="warn">
      <span role="alert">Another policy was applied meanwhile, so nothing was changed.</span> Take the new one in: your
      text stays, and the difference shows what it would undo.{" "}
      <button type="button" onClick={onTakeIn}>
        Take the new one in
      </button>
    </Note>
  );
}
