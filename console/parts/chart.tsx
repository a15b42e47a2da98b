// A chart of two series over time, with a table of the same numbers. uPlot draws on a canvas, so that colours are read from the style
// sheet, and read again when the system turns dark.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { grouped, minuteOf } from "../format.ts";
import { Table } from "./table.tsx";

export interface Point {
  readonly atMs: number;
  readonly calls: number;
  readonly denied: number;
}

interface ChartProps {
  readonly title: string;
  readonly points: readonly Point[];
}

const HEIGHT = 220;
const MIN_WIDTH = 200;

export function Chart({ title, points }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useRef<uPlot.AlignedData>([[], [], []]);
  data.current = [
    points.map(({ atMs }) => atMs / 1_000),
    points.map((each) => each.calls),
    points.map((each) => each.denied),
  ];
  useEffect(() => {
    const { current } = place;
    if (current === null) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsFor(current), data.current, current);
    };
    draw();
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: widthOf(current), height: HEIGHT }));
    sized.observe(current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => {
      sized.disconnect();
      dark.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.setData(data.current), [points]);
  return (
    <figure class="chart">
      <figcaption>
        {title}: <span class="key calls">calls</span>, <span class="key denied">denied</span>
      </figcaption>
      <div class="plot" ref={place} aria-hidden="true" />
      <details>
        <summary>As a table</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, by the keyboard, too */}
        <section class="scroll" tabIndex={0} aria-label={title}>
          <Table
            caption={title}
            rows={points.toReversed()}
            keyOf={({ atMs }) => String(atMs)}
            columns={[
              { title: "Minute", isHead: true, cell: ({ atMs }) => minuteOf(atMs) },
              { title: "Calls", isNumber: true, cell: ({ calls }) => grouped(calls) },
              { title: "Denied", isNumber: true, cell: ({ denied }) => grouped(denied) },
            ]}
            empty="No calls."
          />
        </section>
      </details>
    </figure>
  );
}

function widthOf(place: HTMLElement): number {
  return Math.max(MIN_WIDTH, Math.floor(place.clientWidth));
}

function optionsFor(place: HTMLElement): uPlot.Options {
  const style = getComputedStyle(place);
  const colour = (name: string) => {
    // What the browser makes of light-dark() is only known of an element that has it.
    place.style.setProperty("color", `var(${name})`);
    const computed = style.color;
    place.style.removeProperty("color");
    return computed;
  };
  const [quiet, line, accent, bad] = ["--quiet", "--line", "--accent", "--bad"].map(colour) as [
    string,
    string,
    string,
    string,
  ];
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  return {
    width: widthOf(place),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] } },
    axes: [
      { ...axis, values: (_, splits) => splits.map((each) => minuteOf(each * 1_000)) },
      { ...axis, size: 48, values: (_, splits) => splits.map((each) => (Number.isInteger(each) ? grouped(each) : "")) },
    ],
    series: [
      {},
      { stroke: accent, width: 2, points: { show: false } },
      { stroke: bad, width: 2, points: { show: false }, dash: [5, 3] },
    ],
  };
}
