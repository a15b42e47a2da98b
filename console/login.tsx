// Asks for an API key.

import { useEffect, useRef, useState } from "preact/hooks";
import { Note } from "./parts/note.tsx";
import { signIn } from "./session.ts";

export function Login({ note }: { readonly note: string | null }) {
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), [note]);
  const submit = async (event: Event) => {
    event.preventDefault();
    const key = field.current?.value ?? "";
    if (key.trim() === "") return;
    setBusy(true);
    await signIn(key);
    setBusy(false);
  };
  return (
    <main class="alone">
      <h1>Tollgate</h1>
      <form class="stack" onSubmit={submit}>
        <label>
          API key
          <input
            ref={field}
            type="password"
            name="key"
            autocomplete="off"
            spellcheck={false}
            placeholder="tg_…"
            aria-describedby="about-key"
          />
        </label>
        {note !== null && <Note kind="bad">{note}</Note>}
        <button type="submit" class="main" disabled={isBusy}>
          {isBusy ? "Signing in …" : "Sign in"}
        </button>
        <p id="about-key" class="quiet">
          The key stays in this tab, and is gone when you close it. It needs the scope <code>read</code>; with{" "}
          <code>admin</code> you can also grant and reset.
        </p>
        <pre>tollgate keys create --file keys.json --scope read --scope admin</pre>
      </form>
    </main>
  );
}
