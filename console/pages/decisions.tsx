// Decisions, live and in the past; a click explains one.

import { useEffect, useRef, useState } from "preact/hooks";
import { hrefOf } from "../address.ts";
import { announce } from "../announce.ts";
import type { LogEntry } from "../answers.ts";
import { useFeed } from "../feed.ts";
import { NAMED, OUTCOMES, SPANS } from "../filters.ts";
import { timeOf } from "../format.ts";
import { Explanation } from "../parts/explanation.tsx";
import { Choice, TextField } from "../parts/field.tsx";
import { entryClass, Outcome, What, Whose } from "../parts/entry.tsx";
import { Failure } from "../parts/note.tsx";
import { Table } from "../parts/table.tsx";
import { route, setParams } from "../route.ts";

const LABELS: Readonly<Record<(typeof NAMED)[number], string>> = {
  tool: "Tool",
  limit: "Limit",
  session: "Session",
  user: "User",
};

export function Decisions() {
  const { params } = route.value;
  const { id } = params;
  const isLive = params.live !== "off";
  const reading = useReading();
  const feed = useFeed(params, isLive, reading.isReading || id !== undefined);
  const list = useRef<HTMLElement>(null);
  useNews(feed.items);
  const close = () => {
    setParams({ id: "" });
    list.current?.querySelector<HTMLElement>(`[data-id="${id}"]`)?.focus();
  };
  useKeys(list, close);
  const isFiltered = ["outcome", "last", ...NAMED].some((name) => (params[name] ?? "") !== "");
  return (
    <>
      <Filters isLive={isLive} isFiltered={isFiltered} />
      <Failure error={feed.error} />
      <div class={id === undefined ? "" : "beside"}>
        <section ref={list} aria-label="Timeline" onMouseMove={reading.onMove} onMouseLeave={reading.onLeave}>
          <Waiting count={feed.waiting} show={feed.showWaiting} />
          <Table
            caption="Decisions, newest first"
            rows={feed.items}
            keyOf={(entry) => entry.id}
            classOf={(entry) => `${entryClass(entry)} ${entry.id === id ? "chosen" : ""}`}
            onRow={(entry) => setParams({ id: entry.id })}
            columns={columnsOf(params)}
            empty={emptyText(feed.isLoading, feed.error !== null, isFiltered)}
          />
          {feed.loadOlder !== null && (
            <button type="button" onClick={() => void feed.loadOlder?.()}>
              Older
            </button>
          )}
        </section>
        {id !== undefined && (
          <Explanation id={id} known={feed.items.find((each) => each.id === id)} onClose={close} key={id} />
        )}
      </div>
    </>
  );
}

function columnsOf(params: Readonly<Record<string, string>>) {
  return [
    {
      title: "Time",
      isHead: true,
      cell: (entry: LogEntry) => (
        <a
          href={hrefOf("decisions", { ...params, id: entry.id })}
          data-id={entry.id}
          onClick={(event) => {
            event.preventDefault();
            setParams({ id: entry.id });
          }}
        >
          {timeOf(entry.atMs, Date.now())}
        </a>
      ),
    },
    { title: "Outcome", cell: (entry: LogEntry) => <Outcome entry={entry} /> },
    { title: "Tool", cell: (entry: LogEntry) => (entry.kind === "decision" ? <code>{entry.tool}</code> : "") },
    { title: "Who", cell: (entry: LogEntry) => <Whose entry={entry} /> },
    { title: "Why", cell: (entry: LogEntry) => <What entry={entry} /> },
  ];
}

function Filters({ isLive, isFiltered }: { readonly isLive: boolean; readonly isFiltered: boolean }) {
  const { params } = route.value;
  const clear = { outcome: "", last: "", ...Object.fromEntries(NAMED.map((name) => [name, ""])) };
  return (
    <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <Choice
        label="Outcome"
        value={params.outcome ?? ""}
        options={OUTCOMES}
        onChange={(outcome) => setParams({ outcome })}
      />
      <Choice label="Time" value={params.last ?? ""} options={SPANS} onChange={(last) => setParams({ last })} />
      {NAMED.map((name) => (
        <TextField
          key={name}
          label={LABELS[name]}
          value={params[name] ?? ""}
          placeholder="any"
          onChange={(value) => setParams({ [name]: value })}
        />
      ))}
      <label class="switch">
        <input
          type="checkbox"
          checked={isLive}
          onChange={(event) => setParams({ live: event.currentTarget.checked ? "" : "off" })}
        />
        Live
      </label>
      {isFiltered && (
        <button type="button" class="link" onClick={() => setParams(clear)}>
          Clear filters
        </button>
      )}
    </form>
  );
}

function Waiting({ count, show }: { readonly count: number; readonly show: () => void }) {
  if (count === 0) return null;
  return (
    <button type="button" class="waiting" onClick={show}>
      {count === 1 ? "1 new entry" : `${count} new entries`}: show
    </button>
  );
}

function emptyText(isLoading: boolean, hasFailed: boolean, isFiltered: boolean): string {
  if (hasFailed) return "Nothing to show.";
  if (isLoading) return "Loading …";
  if (isFiltered) return "Nothing matches these filters.";
  return "No call was decided yet. Calls appear here as soon as they are.";
}

/** How long the list stands still after the pointer has moved over it, ms. */
const READS_MS = 3_000;

/** Whether the pointer moves over the list: then a row must not move away under it. */
function useReading() {
  const [isReading, setReading] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const onLeave = () => {
    clearTimeout(timer.current);
    setReading(false);
  };
  const onMove = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setReading(false), READS_MS);
    setReading(true);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return { isReading, onMove, onLeave };
}

/** Tells a screen reader of denials that appear. */
function useNews(items: readonly LogEntry[]): void {
  const newest = items[0];
  const before = useRef<string | undefined>(undefined);
  useEffect(() => {
    const isNew = before.current !== undefined && newest !== undefined && newest.id !== before.current;
    before.current = newest?.id ?? before.current;
    if (isNew && newest.kind === "decision" && !newest.allowed) {
      announce(`Denied: ${newest.tool}, by ${newest.deniedBy}`);
    }
  }, [newest]);
}

/** `j` and `k` go down and up, Escape closes the explanation. */
function useKeys(list: { readonly current: HTMLElement | null }, close: () => void): void {
  const closing = useRef(close);
  closing.current = close;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if ((event.target as Element).closest("input, select, textarea, dialog") !== null) return;
      if (event.key === "Escape") closing.current();
      const step = { j: 1, k: -1 }[event.key];
      if (step === undefined) return;
      const links = [...(list.current?.querySelectorAll<HTMLElement>("[data-id]") ?? [])];
      const at = links.indexOf(document.activeElement as HTMLElement);
      links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [list]);
}
