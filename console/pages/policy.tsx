// The policy in force: look at it, edit a copy, see at once what is wrong with it, try it on what was called, and apply it or take the
// difference along.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Finding, Me, PolicyAnswer, PolicyChecked } from "../answers.ts";
import { type ApiError, getTagged, post } from "../api.ts";
import { diffOf, patchOf } from "../diff.ts";
import { Apply } from "../parts/apply.tsx";
import { Editor } from "../parts/editor.tsx";
import { Failure, Note } from "../parts/note.tsx";
import { Trial } from "../parts/trial.tsx";
import { mayAdminister } from "../session.ts";

/** How long after the last letter a policy is checked, ms. */
const TYPES_MS = 400;

export function Policy({ me }: { readonly me: Me }) {
  const [inForce, setInForce] = useState<PolicyAnswer | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    getTagged<PolicyAnswer>("policy", stop.signal)
      .then(setInForce)
      .catch((reason) => stop.signal.aborted || setError(reason));
    return () => stop.abort();
  }, []);
  if (inForce === null) return error === null ? <p class="quiet">Loading …</p> : <Failure error={error} />;
  return <Editing me={me} inForce={inForce} onInForce={setInForce} />;
}

interface EditingProps {
  readonly me: Me;
  readonly inForce: PolicyAnswer;
  readonly onInForce: (policy: PolicyAnswer) => void;
}

function Editing({ me, inForce, onInForce }: EditingProps) {
  const [source, setSource] = useState(inForce.source);
  const [isApplied, setApplied] = useState(false);
  const { checked, error } = useCheck(source);
  const editor = useRef<HTMLTextAreaElement>(null);
  const isChanged = source !== inForce.source;
  const findings = checked?.findings ?? [];
  const isWrong = checked === null || findings.some(({ level }) => level === "error");
  const canApply = me.isPolicyWritable && mayAdminister(me);
  const edit = (text: string) => {
    setApplied(false);
    setSource(text);
  };
  return (
    <>
      <p>
        Version <code title={inForce.version}>{inForce.version.slice(0, 8)}</code> is in force. This is a copy: editing
        it changes nothing until you {canApply ? "apply it" : "save it where the service reads its policy"}.
      </p>
      {isApplied && <Note kind="good">Your policy is in force.</Note>}
      <Failure error={error} />
      <Editor source={source} findings={findings} onChange={edit} field={editor} />
      <Findings findings={findings} isChecked={checked !== null} onGo={(line) => goToLine(editor.current, line)} />
      {isChanged && (
        <>
          <Trial source={source} isWrong={isWrong} />
          <Difference before={inForce.source} after={source} onUndo={() => edit(inForce.source)}>
            <Apply
              me={me}
              source={source}
              etag={inForce.etag}
              isWrong={isWrong}
              onInForce={(policy, isOwn) => {
                setApplied(isOwn);
                onInForce(policy);
              }}
            />
          </Difference>
        </>
      )}
    </>
  );
}

function useCheck(source: string) {
  const [checked, setChecked] = useState<PolicyChecked | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => {
    let isStale = false;
    const check = async () => {
      try {
        const answer = await post<PolicyChecked>("policy/check", { source });
        if (isStale) return;
        setChecked(answer);
        setError(null);
      } catch (reason) {
        if (!isStale) setError(reason as ApiError);
      }
    };
    const timer = setTimeout(check, TYPES_MS);
    return () => {
      isStale = true;
      clearTimeout(timer);
    };
  }, [source]);
  return { checked, error };
}

interface FindingsProps {
  readonly findings: readonly Finding[];
  readonly isChecked: boolean;
  readonly onGo: (line: number) => void;
}

function Findings({ findings, isChecked, onGo }: FindingsProps) {
  if (!isChecked) return <p class="quiet">Checking …</p>;
  if (findings.length === 0) return <Note kind="good">The policy is fine.</Note>;
  const hasErrors = findings.some(({ level }) => level === "error");
  return (
    <Note kind={hasErrors ? "bad" : "warn"}>
      {hasErrors ? "A service would refuse this policy:" : "Parts of this policy have no effect as they are written:"}
      <ul class="findings">
        {findings.map(({ path, line, message, hint }) => (
          <li key={`${line} ${path} ${message}`}>
            {line !== null && (
              <button type="button" class="link" onClick={() => onGo(line)}>
                line {line}
              </button>
            )}{" "}
            <code>{path}</code>: {message}
            {hint === null ? "" : `. ${hint}`}
          </li>
        ))}
      </ul>
    </Note>
  );
}

/** Selects a line in the editor. */
function goToLine(field: HTMLTextAreaElement | null, line: number): void {
  if (field === null) return;
  const lines = field.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  field.focus();
  field.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
}

interface DifferenceProps {
  readonly before: string;
  readonly after: string;
  readonly onUndo: () => void;
  readonly children: ComponentChildren;
}

function Difference({ before, after, onUndo, children }: DifferenceProps) {
  const patch = patchOf("policy.yaml", diffOf(before, after));
  const [isCopied, setCopied] = useState(false);
  const copy = async (text: string) => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return (
    <section>
      <h2>What you changed</h2>
      <pre class="patch">
        {patch.split("\n").map((line, i) => (
          <span key={i} class={line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : undefined}>
            {`${line}\n`}
          </span>
        ))}
      </pre>
      <div class="actions">
        <button type="button" onClick={() => void copy(after)}>
          Copy the policy
        </button>
        <button type="button" onClick={() => void copy(patch)}>
          Copy the difference
        </button>
        <button type="button" class="danger" onClick={onUndo}>
          Undo all
        </button>
        {isCopied && <span role="status">Copied.</span>}
      </div>
      {children}
    </section>
  );
}
