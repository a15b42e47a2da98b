// Panels as one SVG: bars from zero, each panel on a scale of its own.

import * as echarts from "echarts";
import { number } from "./harness.ts";
import type { Kind } from "./race.ts";
import type { Bar, Panel } from "./section.ts";

const WIDTH = 1_000;
const LEFT = 430;
const RIGHT = 110;
const HEAD = 60;
const TITLE = 46;
const BAR = 21;
const GAP = 26;

const INK = "#1b1f24";
const GREY = "#57606a";
const COLORS: Readonly<Record<Kind, string>> = { tollgate: "#1f6feb", peer: "#d4772c", floor: "#9aa1a9" };
const FONT = "Helvetica, Arial, sans-serif";

export interface Drawn {
  readonly title: string;
  readonly panel: Panel;
}

const LEGEND: Readonly<Record<Kind, string>> = {
  tollgate: "Tollgate",
  peer: "a peer, used in its fastest way",
  floor: "a floor: code that only counts",
};

export function plotOf(sections: readonly Drawn[], legend = LEGEND): string {
  const panels = sections.map(({ title, panel }, i) => {
    const above = sections.slice(0, i).reduce((sum, { panel: { bars } }) => sum + bars.length * BAR + TITLE + GAP, 0);
    const { title: subtitle, bars } = panel;
    return { title, subtitle, bars, top: HEAD + above + TITLE, height: bars.length * BAR };
  });
  const last = panels.at(-1);
  const height = last === undefined ? HEAD : last.top + last.height + GAP;
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: FONT },
    title: panels.map(({ title, subtitle, top }) => ({
      text: title,
      subtext: subtitle,
      left: 16,
      top: top - TITLE,
      itemGap: 3,
      padding: 0,
      textStyle: { fontSize: 15, color: INK },
      subtextStyle: { fontSize: 11, color: GREY },
    })),
    grid: panels.map(({ top, height }) => ({ left: LEFT, right: RIGHT, top, height })),
    xAxis: panels.map((_, i) => ({ gridIndex: i, type: "value", min: 0, show: false })),
    yAxis: panels.map(({ bars }, i) => ({
      gridIndex: i,
      type: "category",
      inverse: true,
      data: bars.map(({ name }) => name),
      axisLine: { lineStyle: { color: GREY } },
      axisTick: { show: false },
      axisLabel: { interval: 0, fontSize: 11, color: INK },
    })),
    series: panels.map(({ bars }, i) => ({
      type: "bar",
      xAxisIndex: i,
      yAxisIndex: i,
      barWidth: BAR - 7,
      data: bars.map(({ value, kind }) => ({ value, itemStyle: { color: COLORS[kind] } })),
      label: {
        show: true,
        position: "right",
        fontSize: 11,
        color: INK,
        formatter: ({ dataIndex }: { dataIndex: number }) => labelOf(bars[dataIndex]),
      },
    })),
    graphic: Object.entries(legend).flatMap(([kind, text], i) => [
      {
        type: "rect",
        left: 16 + i * 240,
        top: 20,
        shape: { width: 12, height: 12 },
        style: { fill: COLORS[kind as Kind] },
      },
      { type: "text", left: 34 + i * 240, top: 20, style: { text, fontSize: 12, fill: INK, fontFamily: FONT } },
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
