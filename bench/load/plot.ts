// The runs as one SVG of three panels: what was admitted, how long it took, how much there was.

import * as echarts from "echarts";
import { named, PERCENTILES, percentilesMs } from "./report.ts";
import type { Run, Size } from "./run.ts";

const WIDTH = 1_000;
const HEIGHT = 860;
const LEFT = 80;
const RIGHT = 250;
const PANELS = [
  { top: 70, height: 170, title: "Calls by number of instances" },
  { top: 320, height: 260, title: "Latency by percentile, ms, from the moment a call was due" },
  { top: 670, height: 140, title: "Decisions per second, as many as can be" },
] as const;
const COLORS = ["#1f6feb", "#d4772c", "#2da44e", "#8250df"];
const GREY = "#9aa1a9";
const INK = "#1b1f24";

export function plotOf(runs: readonly Run[], size: Size): string {
  const names = runs.map(({ instances }) => named(instances));
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
  const label = { show: true, position: "top", fontSize: 11, color: INK };
  const bars = (name: string, panel: number, color: string, data: readonly number[]) => ({
    name,
    type: "bar",
    xAxisIndex: panel,
    yAxisIndex: panel,
    data,
    barMaxWidth: 60,
    itemStyle: { color },
    label,
  });
  const line = (name: string, color: string, style: "solid" | "dashed", values: readonly number[]) => ({
    name,
    type: "line",
    xAxisIndex: 1,
    yAxisIndex: 1,
    data: values,
    itemStyle: { color },
    lineStyle: { color, type: style },
  });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: "Helvetica, Arial, sans-serif" },
    title: PANELS.map(({ title, top }) => ({
      text: title,
      left: 16,
      top: top - 46,
      textStyle: { fontSize: 15, color: INK },
    })),
    legend: PANELS.slice(0, 2).map(({ top }, panel) => ({
      orient: "vertical",
      left: WIDTH - RIGHT + 20,
      top,
      data:
        panel === 0
          ? ["offered", "the limits allow", "admitted"]
          : names.flatMap((name) => [`${name}, undisturbed`, `${name}, disturbed`]),
    })),
    grid: PANELS.map(({ top, height }) => ({ left: LEFT, right: RIGHT, top, height })),
    xAxis: PANELS.map((_, panel) => ({
      gridIndex: panel,
      type: "category",
      data: panel === 1 ? PERCENTILES.map((each) => (each === 100 ? "max" : `p${each}`)) : names,
    })),
    yAxis: PANELS.map((_, panel) => ({
      gridIndex: panel,
      ...(panel === 1 ? { type: "log" } : { type: "value", min: 0 }),
    })),
    series: [
      bars(
        "offered",
        0,
        GREY,
        runs.map(({ judgement }) => judgement.offered),
      ),
      bars(
        "the limits allow",
        0,
        "#d4772c",
        runs.map(({ judgement }) => judgement.allowed),
      ),
      bars(
        "admitted",
        0,
        "#1f6feb",
        runs.map(({ judgement }) => judgement.admitted),
      ),
      ...runs.flatMap(({ calm, disturbed }, i) => {
        const color = COLORS[i % COLORS.length] ?? GREY;
        return [
          line(`${names[i]}, undisturbed`, color, "solid", percentilesMs(calm.latency)),
          line(`${names[i]}, disturbed`, color, "dashed", percentilesMs(disturbed.latency)),
        ];
      }),
      bars(
        "decisions per second",
        2,
        "#1f6feb",
        runs.map(({ perSecond }) => Math.round(perSecond)),
      ),
    ],
    graphic: {
      type: "text",
      left: WIDTH - RIGHT + 20,
      top: 500,
      style: {
        text: `${size.perSecond.toLocaleString("en-US")} calls a second;\ndisturbed: instances are\nkilled and started`,
        fontSize: 11,
        fill: INK,
      },
    },
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
