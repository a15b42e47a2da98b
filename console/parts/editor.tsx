// A text with line numbers; lines with a finding are marked.

import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import type { Finding } from "../answers.ts";

interface EditorProps {
  readonly source: string;
  readonly findings: readonly Finding[];
  readonly onChange: (source: string) => void;
  readonly field: RefObject<HTMLTextAreaElement | null>;
}

export function Editor({ source, findings, onChange, field }: EditorProps) {
  const gutter = useRef<HTMLOListElement>(null);
  const levels = new Map(findings.map(({ line, level }) => [line, level]));
  const lines = source.split("\n").length;
  const scroll = () => {
    if (gutter.current !== null && field.current !== null) gutter.current.scrollTop = field.current.scrollTop;
  };
  return (
    <div class="editor">
      <ol ref={gutter} aria-hidden="true">
        {Array.from({ length: lines }, (_, i) => (
          <li key={i} class={levels.get(i + 1) ?? ""}>
            {i + 1}
          </li>
        ))}
      </ol>
      <textarea
        ref={field}
        class="code"
        aria-label="Policy"
        value={source}
        rows={Math.min(30, Math.max(12, lines + 1))}
        spellcheck={false}
        wrap="off"
        onInput={(event) => onChange(event.currentTarget.value)}
        onScroll={scroll}
      />
    </div>
  );
}
