// Charts in SVG. Labels are in HTML beside them, so that they can be read at any width; each chart has its figures as a table.

import { amount, grouped } from "../../kernel/words.ts";
import { element, escaped, table } from "./markup.ts";
import type { Line } from "./series.ts";

const HEIGHT = 160;
const MAX_BINS = 40;

export interface Bar {
  readonly name: string;
  /** One of each policy; `null` where it has no such limit. */
  readonly values: readonly (number | null)[];
  /** What stands at the end of the row where the number alone does not say it. */
  readonly note?: string;
}

/** Bars from left to right: a row for each name. */
export function barChart(title: string, names: readonly string[], bars: readonly Bar[]): string {
  const most = Math.max(1, ...bars.flatMap(({ values }) => values.map(Number)));
  const rows = bars.map(({ name, values, note }) => {
    const drawn = values.map((value, i) => {
      if (value === null) return "";
      const rect = `<rect class="s${i}" width="${percent(value / most)}" height="14" rx="2"/>`;
      const number = element("span", "number", escaped(grouped(value)));
      return element("div", "bar", `<svg width="100%" height="14" aria-hidden="true">${rect}</svg>${number}`);
    });
    const label = element("div", "label", escaped(note === undefined ? name : `${name} (${note})`));
    return element("div", "row", label + element("div", "bars", drawn.join("")));
  });
  const figures = table(
    ["", ...names],
    bars.map(({ name, values }) => [name, ...values.map((value) => (value === null ? "-" : grouped(value)))]),
  );
  return chart(title, legend(names) + rows.join("\n"), figures);
}

/** How many sessions are how long, with the quotas of sessions as lines. */
export function lengthChart(title: string, lengths: readonly number[], quotas: readonly (readonly [string, number])[]) {
  const longest = Math.max(1, ...lengths);
  const width = Math.ceil(longest / MAX_BINS);
  const bins = new Array<number>(Math.ceil(longest / width)).fill(0);
  for (const length of lengths) {
    const bin = Math.ceil(length / width) - 1;
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  const most = Math.max(...bins);
  const end = bins.length * width;
  const rects = bins.map((count, i) => {
    const high = (count / most) * HEIGHT;
    return `<rect class="s0" x="${percent(i / bins.length)}" y="${round(HEIGHT - high)}" width="${percent(0.9 / bins.length)}" height="${round(high)}"/>`;
  });
  const shown = quotas.filter(([, quota]) => quota <= end);
  const lines = shown.map(([, quota]) => {
    const x = percent(quota / end);
    return `<line class="quota" x1="${x}" x2="${x}" y1="0" y2="${HEIGHT}"/>`;
  });
  const beyond = quotas.map(([name, quota]) => {
    const where = quota <= end ? "dashed line" : "beyond the longest session";
    return `${name}: ${grouped(quota)} (${where})`;
  });
  const axis = element("div", "axis", `<span>1 call</span><span>${escaped(amount(end, "calls"))}</span>`);
  const top = element("div", "top", escaped(`up to ${amount(most, "sessions")}`));
  const rangeOf = (i: number) => (width === 1 ? String(i + 1) : `${i * width + 1} to ${(i + 1) * width}`);
  const figures = table(
    ["calls of the session", "sessions"],
    bins.flatMap((count, i) => (count === 0 ? [] : [[rangeOf(i), grouped(count)]])),
  );
  const quotaText = beyond.length === 0 ? "" : element("p", "note", escaped(beyond.join("; ")));
  const picture = svg(title, rects.join("") + lines.join(""));
  return chart(title, top + picture + axis + quotaText, figures);
}

/** How units add up over the trace, under each policy and without one. */
export function useChart(title: string, names: readonly string[], lines: readonly Line[]): string {
  const [first] = lines;
  const last = first?.points.at(-1);
  const most = Math.max(1, last?.all ?? 1);
  const calls = Math.max(1, last?.calls ?? 1);
  const path = (line: Line | undefined, of: "allowed" | "all") =>
    (line?.points ?? [])
      .map((point) => `${round((point.calls / calls) * 1_000)},${round(HEIGHT - (point[of] / most) * HEIGHT)}`)
      .join(" ");
  const start = `0,${HEIGHT} `;
  const drawn = [
    `<polyline class="all" points="${start}${path(first, "all")}"/>`,
    ...lines.map((line, i) => `<polyline class="line l${i}" points="${start}${path(line, "allowed")}"/>`),
  ];
  const unit = first?.unit ?? "calls";
  const top = element("div", "top", escaped(amount(most, unit)));
  const axis = element("div", "axis", `<span>first call</span><span>${escaped(`call ${grouped(calls)}`)}</span>`);
  const ends = lines.map(({ points }, i) => [names[i] ?? "", amount(points.at(-1)?.allowed ?? 0, unit)]);
  const figures = table(["", "at the end"], [...ends, ["without a policy", amount(last?.all ?? 0, unit)]]);
  const picture = svg(title, drawn.join(""), `viewBox="0 0 1000 ${HEIGHT}" preserveAspectRatio="none"`);
  return chart(title, legend([...names, "without a policy"], "all") + top + picture + axis, figures);
}

function chart(title: string, picture: string, figures: string): string {
  const details = `<details><summary>Figures</summary>${figures}</details>`;
  return `<section><h2>${escaped(title)}</h2>\n<div class="chart">${picture}</div>\n${details}</section>`;
}

function svg(title: string, content: string, more = ""): string {
  return `<svg role="img" aria-label="${escaped(title)}" width="100%" height="${HEIGHT}" ${more}>${content}</svg>`;
}

/** Which colour is what; nothing where there is one. */
function legend(names: readonly string[], last = ""): string {
  if (names.length < 2) return "";
  const items = names.map((name, i) => {
    const colour = last !== "" && i === names.length - 1 ? last : `s${i}`;
    return `<span><i class="${colour}"></i>${escaped(name)}</span>`;
  });
  return element("p", "legend", items.join(" "));
}

function percent(share: number): string {
  return `${round(100 * share)}%`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
