// The policy in force: look at it, edit a copy, see at once what is wrong with it, and take the difference along.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Finding, PolicyAnswer, PolicyChecked } from "../answers.ts";
import { type ApiError, get, post } from "../api.ts";
import { diffOf, patchOf } from "../diff.ts";
import { Editor } from "../parts/editor.tsx";
import { Failure, Note } from "../parts/note.tsx";

/** How long after the last letter a policy is checked, ms. */
const TYPES_MS = 400;

export function Policy() {
  const [inForce, setInForce] = useState<PolicyAnswer | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    get<PolicyAnswer>("policy", {}, stop.signal)
      .then(setInForce)
      .catch((reason) => stop.signal.aborted || setError(reason));
    return () => stop.abort();
  }, []);
  if (inForce === null) return error === null ? <p class="quiet">Loading …</p> : <Failure error={error} />;
  return <Editing inForce={inForce} />;
}

function Editing({ inForce }: { readonly inForce: PolicyAnswer }) {
  const [source, setSource] = useState(inForce.source);
  const { checked, error } = useCheck(source);
  const editor = useRef<HTMLTextAreaElement>(null);
  const isChanged = source !== inForce.source;
  const findings = checked?.findings ?? [];
  return (
    <>
      <p>
        Version <code>{inForce.version}</code> is in force. This is a copy: editing it changes nothing until you save it
        where the service reads its policy.
      </p>
      <Failure error={error} />
      <Editor source={source} findings={findings} onChange={setSource} field={editor} />
      <Findings findings={findings} isChecked={checked !== null} onGo={(line) => goToLine(editor.current, line)} />
      {isChanged && <Difference before={inForce.source} after={source} onUndo={() => setSource(inForce.source)} />}
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
            <code>{path}</code>: {message} {hint}
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
}

function Difference({ before, after, onUndo }: DifferenceProps) {
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
      <p class="quiet">
        Test it against what was called: <code>tollgate simulate TRACE --policy NEW --against OLD</code>.
      </p>
    </section>
  );
}
