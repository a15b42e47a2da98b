// Panels of bars as one SVG. Bars begin at zero, and each panel has a scale of its own.

import { number } from "./harness.ts";
import type { Kind } from "./race.ts";
import type { Panel } from "./section.ts";

const WIDTH = 1_000;
const LEFT = 430;
const RIGHT = 110;
const HEAD = 60;
const TITLE = 46;
const BAR = 21;
const GAP = 26;
const FONT = 'font-family="Helvetica, Arial, sans-serif" font-size="11" fill="#1b1f24"';

const COLORS: Readonly<Record<Kind, string>> = { tollgate: "#1f6feb", peer: "#d4772c", floor: "#9aa1a9" };
const LEGEND: Readonly<Record<Kind, string>> = {
  tollgate: "Tollgate",
  peer: "a peer, used in its fastest way",
  floor: "a floor: code that only counts",
};

export interface Drawn {
  readonly title: string;
  readonly panel: Panel;
}

export function plotOf(panels: readonly Drawn[], legend = LEGEND): string {
  let top = HEAD;
  const parts = Object.entries(legend).map(([kind, name], i) => {
    return rect(16 + i * 240, 20, 12, 12, COLORS[kind as Kind]) + text(34 + i * 240, 30, name);
  });
  for (const { title, panel } of panels) {
    parts.push(text(16, top + 12, title, 'font-size="15" font-weight="bold"'), text(16, top + 30, panel.title));
    top += TITLE;
    const max = Math.max(...panel.bars.map(({ value }) => value));
    for (const { name, kind, value } of panel.bars) {
      const width = (value / max) * (WIDTH - LEFT - RIGHT);
      const shown = value < 100 ? value.toFixed(1) : number(value);
      parts.push(text(LEFT - 8, top + 14, name, 'text-anchor="end"'));
      parts.push(rect(LEFT, top + 3, width, BAR - 7, COLORS[kind]) + text(LEFT + width + 6, top + 14, shown));
      top += BAR;
    }
    top += GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top}" ${FONT}>
${[rect(0, 0, WIDTH, top, "#ffffff"), ...parts].join("\n")}
</svg>
`;
}

const rect = (x: number, y: number, width: number, height: number, fill: string) =>
  `<rect x="${x}" y="${y}" width="${width.toFixed(1)}" height="${height}" fill="${fill}"/>`;

const text = (x: number, y: number, content: string, attributes = "") =>
  `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${content.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text>`;
