// The frame of every page: who is signed in, where to go, and what a screen reader is told.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { hrefOf, PAGES, type Page } from "./address.ts";
import { announced } from "./announce.ts";
import type { Me } from "./answers.ts";
import { Login } from "./login.tsx";
import { Audit } from "./pages/audit.tsx";
import { Decisions } from "./pages/decisions.tsx";
import { Gateway } from "./pages/gateway.tsx";
import { Limits } from "./pages/limits.tsx";
import { Overview } from "./pages/overview.tsx";
import { Policy } from "./pages/policy.tsx";
import { Who } from "./pages/who.tsx";
import { Note } from "./parts/note.tsx";
import { route } from "./route.ts";
import { connect, mayRead, session, signOut } from "./session.ts";

interface PageProps {
  readonly me: Me;
}

interface Shown {
  readonly title: string;
  readonly View: (props: PageProps) => ComponentChildren;
}

const OVERVIEW: Shown = { title: "Overview", View: Overview };
const VIEWS: Readonly<Partial<Record<Page, Shown>>> = {
  overview: OVERVIEW,
  limits: { title: "Limits", View: Limits },
  who: { title: "Who", View: Who },
  decisions: { title: "Decisions", View: Decisions },
  gateway: { title: "Gateway", View: Gateway },
  policy: { title: "Policy", View: Policy },
  audit: { title: "Audit", View: Audit },
};

export function App() {
  useEffect(() => void connect(), []);
  const now = session.value;
  return (
    <>
      {now.is === "in" && <SignedIn me={now.me} />}
      {now.is === "out" && <Login note={now.note} />}
      {now.is === "connecting" && <p class="alone">Connecting …</p>}
      {now.is === "away" && (
        <main class="alone">
          <h1>Tollgate</h1>
          <Note kind="bad">{now.note}</Note>
          <button type="button" onClick={() => void connect()}>
            Try again
          </button>
        </main>
      )}
      <p class="unseen" role="status" aria-live="polite">
        {announced.value}
      </p>
    </>
  );
}

/** Pages that keys of tenants cannot use. */
const FOR_ALL_TENANTS: ReadonlySet<Page> = new Set(["gateway", "policy"]);

function isFor({ tenants, hasGateway }: Me, page: Page): boolean {
  if (page === "gateway" && !hasGateway) return false;
  return tenants === null || !FOR_ALL_TENANTS.has(page);
}

function SignedIn({ me }: PageProps) {
  const { page } = route.value;
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = useRef(page);
  const { title, View } = VIEWS[page] ?? OVERVIEW;
  useEffect(() => {
    document.title = `${title} - Tollgate`;
    // Another page is where a keyboard goes on from; the first one is not.
    if (shown.current !== page) heading.current?.focus();
    shown.current = page;
  }, [page, title]);
  return (
    <>
      <button type="button" class="skip" onClick={() => heading.current?.focus()}>
        Skip to the page
      </button>
      <header>
        <a class="brand" href={hrefOf(PAGES[0])}>
          <img src="icon.svg" alt="" width="22" height="22" />
          Tollgate
        </a>
        <nav aria-label="Pages">
          {PAGES.filter((each) => isFor(me, each)).map(
            (each) =>
              VIEWS[each] && <Link key={each} page={each} title={VIEWS[each].title} isCurrent={each === page} />,
          )}
        </nav>
        <SignedInAs me={me} />
      </header>
      <main id="main">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {mayRead(me) ? (
          <View me={me} key={page} />
        ) : (
          <Note kind="bad">
            This key may not read: it lacks the scope <code>read</code>. Make one with{" "}
            <code>tollgate keys create --file keys.json --scope read</code>.
          </Note>
        )}
      </main>
    </>
  );
}

function Link({
  page,
  title,
  isCurrent,
}: {
  readonly page: Page;
  readonly title: string;
  readonly isCurrent: boolean;
}) {
  return (
    <a href={hrefOf(page)} aria-current={isCurrent ? "page" : undefined}>
      {title}
    </a>
  );
}

function mayText(scopes: Me["scopes"]): string {
  if (scopes.includes("admin")) return "may change buckets";
  return scopes.includes("read") ? "read-only" : "may not read";
}

function SignedInAs({ me: { keyId, tenants, scopes } }: PageProps) {
  if (keyId === null) return <p class="who">no key needed</p>;
  return (
    <div class="who">
      <span title={`Scopes: ${scopes.join(", ")}`}>
        key {keyId}
        <span class="detail">
          {tenants === null ? "" : ` of ${tenants.join(", ")}`}, {mayText(scopes)}
        </span>
      </span>
      <button type="button" class="link" onClick={signOut}>
        Sign out
      </button>
    </div>
  );
}
