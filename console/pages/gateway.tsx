// The MCP gateway beside the service: its servers, whether they answer, and what is called of their tools.

import { hrefOf } from "../address.ts";
import type { GatewayServer, GatewayView } from "../answers.ts";
import { get } from "../api.ts";
import { agoOf, grouped, percent } from "../format.ts";
import { Failure, Note } from "../parts/note.tsx";
import { Table } from "../parts/table.tsx";
import { usePoll } from "../poll.ts";

const EVERY_MS = 5_000;

export function Gateway() {
  const { data, error } = usePoll((signal) => get<GatewayView>("gateway", {}, signal), EVERY_MS);
  const leftOut = data?.leftOut ?? [];
  return (
    <>
      <Failure error={error} />
      {data === null && error === null && <p class="empty">Loading …</p>}
      {data?.items.map((server) => (
        <Server server={server} key={server.name} />
      ))}
      {leftOut.length > 0 && (
        <section>
          <h2>Left out</h2>
          <Table
            caption="Tools that clients cannot see, and why"
            rows={leftOut}
            keyOf={({ server, tool }) => `${server} ${tool}`}
            columns={[
              { title: "Tool", isHead: true, cell: ({ tool }) => <code>{tool}</code> },
              { title: "Server", cell: ({ server }) => server },
              { title: "Why", cell: ({ reason }) => reason },
            ]}
            empty=""
          />
        </section>
      )}
      <p class="quiet">Calls are counted from the start of this gateway. Decisions has those of all instances.</p>
    </>
  );
}

const STATES = { up: "answers", down: "does not answer", unknown: "was not asked yet" } as const;

function Server({ server: { name, url, state, error, lastErrorAtMs, tools } }: { readonly server: GatewayServer }) {
  const nowMs = Date.now();
  return (
    <section>
      <h2>{name}</h2>
      <p class="quiet">
        <code>{url}</code> {STATES[state]}
        {state === "up" && lastErrorAtMs !== null && `; its last fault was ${agoOf(lastErrorAtMs, nowMs)}`}.
      </p>
      {state === "down" && <Note kind="bad">{`It ${error}`}</Note>}
      <Table
        caption={`Tools of ${name}, those with most calls first`}
        rows={tools.toSorted((a, b) => b.calls - a.calls || a.name.localeCompare(b.name))}
        keyOf={(tool) => tool.name}
        columns={[
          {
            title: "Tool",
            isHead: true,
            cell: (tool) => <a href={hrefOf("decisions", { tool: tool.name })}>{tool.name}</a>,
          },
          { title: "What it does", cell: ({ description }) => description ?? "" },
          { title: "Calls", isNumber: true, cell: ({ calls }) => grouped(calls) },
          {
            title: "Denied",
            isNumber: true,
            cell: ({ calls, denied }) => (calls === 0 ? "" : `${grouped(denied)} (${percent(denied, calls)})`),
          },
          {
            title: "Last call",
            cell: ({ lastCallAtMs }) => (lastCallAtMs === null ? "none yet" : agoOf(lastCallAtMs, nowMs)),
          },
        ]}
        empty="No client has asked for its tools yet."
      />
    </section>
  );
}
