// Tables as one SVG: a bar for each row. Bars begin at zero, and each table has a scale of its own.

import { type Kind, kindOf } from "./calls.ts";
import type { Table } from "./section.ts";

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
  peer: "another limiter",
  floor: "a floor: code that only counts",
};

export function plotOf(tables: readonly Table[]): string {
  let top = HEAD;
  const parts = Object.entries(LEGEND).map(([kind, name], i) => {
    return rect(16 + i * 240, 20, 12, 12, COLORS[kind as Kind]) + text(34 + i * 240, 30, name);
  });
  for (const { head, rows, drawn = 1 } of tables) {
    parts.push(text(16, top + 12, head[0] ?? "", 'font-size="15" font-weight="bold"'));
    parts.push(text(16, top + 30, head[drawn] ?? ""));
    top += TITLE;
    const bars = rows.map((row) => ({ name: row[0] ?? "", shown: row[drawn] ?? "" }));
    const figureOf = (shown: string) => Number(shown.replaceAll(",", ""));
    const max = Math.max(...bars.map(({ shown }) => figureOf(shown)), 1);
    for (const { name, shown } of bars) {
      const width = (figureOf(shown) / max) * (WIDTH - LEFT - RIGHT);
      parts.push(text(LEFT - 8, top + 14, name, 'text-anchor="end"'));
      parts.push(rect(LEFT, top + 3, width, BAR - 7, COLORS[kindOf(name)]) + text(LEFT + width + 6, top + 14, shown));
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
