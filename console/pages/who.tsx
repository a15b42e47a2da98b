// A session or a user: its buckets, its last calls and why each was decided so; grant and reset, with a reason.

import { useState } from "preact/hooks";
import { hrefOf } from "../address.ts";
import type { DecisionEntry, Decisions, Listed, Me, SessionSum, Usage } from "../answers.ts";
import { type ApiError, get } from "../api.ts";
import { bucketsAsked } from "../buckets.ts";
import { agoOf, capital, grouped, timeOf } from "../format.ts";
import { Buckets } from "../parts/buckets.tsx";
import { Dimensions } from "../parts/dimensions.tsx";
import { entryClass, Outcome, What } from "../parts/entry.tsx";
import { TextField } from "../parts/field.tsx";
import { Failure } from "../parts/note.tsx";
import { Table } from "../parts/table.tsx";
import { usePoll } from "../poll.ts";
import { goTo, route, setParams } from "../route.ts";
import { mayAdminister } from "../session.ts";

const EVERY_MS = 3_000;
const CALLS = 50;

export function Who({ me }: { readonly me: Me }) {
  const { session, user } = route.value.params;
  if (session !== undefined) return <One name="session" value={session} me={me} key={session} />;
  if (user !== undefined) return <One name="user" value={user} me={me} key={user} />;
  return <Sessions />;
}

function Sessions() {
  const { prefix = "" } = route.value.params;
  const [older, setOlder] = useState<readonly SessionSum[]>([]);
  const [cursor, setCursor] = useState<string | null | undefined>(undefined);
  const { data, error } = usePoll(
    (signal) => get<Listed<SessionSum>>("sessions", { prefix }, signal),
    EVERY_MS,
    prefix,
  );
  const next = cursor === undefined ? (data?.nextCursor ?? null) : cursor;
  const shown = new Set(data?.items.map(({ session, tenant }) => `${tenant} ${session}`));
  const rows = [...(data?.items ?? []), ...older.filter(({ session, tenant }) => !shown.has(`${tenant} ${session}`))];
  const more = async () => {
    const page = await get<Listed<SessionSum>>("sessions", { prefix, cursor: next ?? "" });
    setOlder([...older, ...page.items]);
    setCursor(page.nextCursor);
  };
  const find = (value: string) => {
    setOlder([]);
    setCursor(undefined);
    setParams({ prefix: value });
  };
  return (
    <>
      <form
        class="filters"
        aria-label="Find"
        onSubmit={(event) => {
          event.preventDefault();
          const [only, ...others] = rows;
          if (only !== undefined && others.length === 0) goTo("who", { session: only.session });
        }}
      >
        <TextField label="Sessions that begin with" value={prefix} placeholder="any" onChange={find} />
        <TextField
          label="User"
          value=""
          placeholder="whole id"
          onChange={(user) => user !== "" && goTo("who", { user })}
        />
      </form>
      <Failure error={error} />
      <Table
        caption="Sessions, those that called last come first"
        rows={rows}
        keyOf={({ session, tenant }) => `${tenant} ${session}`}
        onRow={({ session }) => goTo("who", { session })}
        columns={[
          { title: "Session", isHead: true, cell: ({ session }) => <a href={hrefOf("who", { session })}>{session}</a> },
          { title: "Tenant", cell: ({ tenant }) => tenant || "-" },
          { title: "User", cell: ({ user }) => (user === "" ? "-" : <a href={hrefOf("who", { user })}>{user}</a>) },
          { title: "Last call", cell: ({ lastMs }) => agoOf(lastMs, Date.now()) },
          { title: "Calls", isNumber: true, cell: ({ calls }) => grouped(calls) },
          { title: "Denied", isNumber: true, cell: ({ denied }) => grouped(denied) },
          { title: "Last denied by", cell: ({ deniedBy }) => deniedBy ?? "-" },
        ]}
        empty={
          data === null
            ? "Loading …"
            : prefix === ""
              ? "No session has called yet."
              : `No session begins with ${prefix}.`
        }
      />
      {next !== null && (
        <button type="button" onClick={() => void more()}>
          More sessions
        </button>
      )}
    </>
  );
}

interface OneProps {
  readonly name: "session" | "user";
  readonly value: string;
  readonly me: Me;
}

interface Seen {
  readonly calls: readonly DecisionEntry[];
  readonly buckets: readonly Usage[];
  /** Why buckets are missing. */
  readonly error: ApiError | null;
}

async function look(name: string, value: string, signal: AbortSignal): Promise<Seen> {
  const query = { [name]: value, kind: "decision", pageSize: CALLS };
  const calls = (await get<Decisions>("decisions", query, signal)).items as readonly DecisionEntry[];
  try {
    const asked = await Promise.all(
      bucketsAsked(name, value, calls).map((dimensions) => get<Listed<Usage>>("usage", dimensions, signal)),
    );
    const known = new Map(
      asked.flatMap(({ items }) => items).map((each) => [JSON.stringify([each.limit, each.dimensions]), each]),
    );
    return { calls, buckets: [...known.values()], error: null };
  } catch (error) {
    if (signal.aborted) throw error;
    return { calls, buckets: [], error: error as ApiError };
  }
}

function One({ name, value, me }: OneProps) {
  const { data, error, again } = usePoll((signal) => look(name, value, signal), EVERY_MS);
  if (data === null) return error === null ? <p class="quiet">Loading …</p> : <Failure error={error} />;
  return (
    <>
      <p>
        <a href={hrefOf("who")}>All sessions</a>
      </p>
      <section>
        <h2>
          {capital(name)} {value}
        </h2>
        <Failure error={error ?? data.error} />
        <Buckets rows={data.buckets} mayChange={mayAdminister(me)} onChange={again} />
      </section>
      <section>
        <h2>Last calls</h2>
        <Table
          caption={`The last calls of ${name} ${value}`}
          rows={data.calls}
          keyOf={({ id }) => id}
          classOf={entryClass}
          onRow={({ id }) => goTo("decisions", { [name]: value, id, live: "off" })}
          columns={[
            {
              title: "Time",
              isHead: true,
              cell: ({ id, atMs }) => (
                <a href={hrefOf("decisions", { [name]: value, id, live: "off" })}>{timeOf(atMs, Date.now())}</a>
              ),
            },
            { title: "Outcome", cell: (entry) => <Outcome entry={entry} /> },
            { title: "Tool", cell: ({ tool }) => <code>{tool}</code> },
            { title: "Who", cell: ({ dimensions }) => <Dimensions of={dimensions} without={[name]} /> },
            { title: "Why", cell: (entry) => <What entry={entry} /> },
          ]}
          empty={`No call of this ${name} is in the log.`}
        />
        {data.calls.length === CALLS && (
          <p>
            <a href={hrefOf("decisions", { [name]: value })}>All calls</a>
          </p>
        )}
      </section>
    </>
  );
}
