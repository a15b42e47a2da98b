// The sections' panels as one SVG: a panel a section, bars from zero on a scale of the panel's own.

import * as echarts from "echarts";
import { number } from "./harness.ts";
import type { Kind } from "./race.ts";
import type { Bar, Measured } from "./section.ts";

const WIDTH = 1_000;
const LEFT = 430;
const RIGHT = 110;
const HEAD = 60;
const TITLE = 46;
const BAR = 21;
const GAP = 26;

/** Ours, the peers', the floors'. */
const COLORS: Readonly<Record<Kind, string>> = { tollgate: "#1f6feb", peer: "#d4772c", floor: "#9aa1a9" };
const LEGEND: Readonly<Record<Kind, string>> = {
  tollgate: "Tollgate",
  peer: "a peer, its fastest way",
  floor: "a floor: the least that is needed",
};
const FONT = "Helvetica, Arial, sans-serif";

export interface Drawn {
  readonly title: string;
  readonly panel: Measured["panel"];
}

export function plotOf(sections: readonly Drawn[]): string {
  const heights = sections.map(({ panel }) => panel.bars.length * BAR);
  const tops = heights.map(
    (_, i) => HEAD + heights.slice(0, i).reduce((sum, each) => sum + each + TITLE + GAP, 0) + TITLE,
  );
  const height = (tops.at(-1) ?? 0) + (heights.at(-1) ?? 0) + GAP;
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: FONT },
    title: sections.map(({ title, panel }, i) => ({
      text: title,
      subtext: panel.title,
      left: 16,
      top: (tops[i] ?? 0) - TITLE,
      itemGap: 3,
      padding: 0,
      textStyle: { fontSize: 15, color: "#1b1f24" },
      subtextStyle: { fontSize: 11, color: "#57606a" },
    })),
    grid: sections.map((_, i) => ({ left: LEFT, right: RIGHT, top: tops[i] ?? 0, height: heights[i] ?? 0 })),
    xAxis: sections.map((_, i) => ({ gridIndex: i, type: "value", min: 0, show: false })),
    yAxis: sections.map(({ panel }, i) => ({
      gridIndex: i,
      type: "category",
      inverse: true,
      data: panel.bars.map(({ name }) => name),
      axisLine: { lineStyle: { color: "#57606a" } },
      axisTick: { show: false },
      axisLabel: { interval: 0, fontSize: 11, color: "#1b1f24" },
    })),
    series: sections.map(({ panel }, i) => ({
      type: "bar",
      xAxisIndex: i,
      yAxisIndex: i,
      barWidth: BAR - 7,
      data: panel.bars.map(({ value, kind }) => ({ value, itemStyle: { color: COLORS[kind] } })),
      label: {
        show: true,
        position: "right",
        fontSize: 11,
        color: "#1b1f24",
        formatter: ({ dataIndex }: { dataIndex: number }) => labelOf(panel.bars[dataIndex]),
      },
    })),
    graphic: Object.entries(LEGEND).flatMap(([kind, text], i) => [
      {
        type: "rect",
        left: 16 + i * 210,
        top: 20,
        shape: { width: 12, height: 12 },
        style: { fill: COLORS[kind as Kind] },
      },
      { type: "text", left: 34 + i * 210, top: 20, style: { text, fontSize: 12, fill: "#1b1f24", fontFamily: FONT } },
    ]),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function labelOf(bar: Bar | undefined): string {
  if (bar === undefined) return "";
  return bar.value < 100 ? bar.value.toFixed(1) : number(bar.value);
}
