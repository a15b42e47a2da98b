// `npm run demo:svg`: runs the demo and draws what it printed, with its colours, as docs/demo.svg.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FILE = new URL("../docs/demo.svg", import.meta.url);
const COMMAND = fileURLToPath(new URL("../bin/tollgate.js", import.meta.url));

const FONT_PX = 14;
const CHAR_PX = 8.4;
const LINE_PX = 20;
const PADDING_PX = 20;
const TITLE_PX = 28;

// A dark card of its own is legible on a light page and on a dark one.
const BACKGROUND = "#0d1117";
const FOREGROUND = "#e6edf3";
const BORDER = "#444c56";
const DIM = "#9198a1";

/** The colours that the demo uses, by the number in their escape sequence. */
const COLOURS: Readonly<Record<string, string>> = { "31": "#ff7b72", "32": "#7ee787" };

interface Run {
  readonly text: string;
  readonly colour: string;
}

/** The runs of equal colour in one line of a terminal. */
function runsOf(line: string): Run[] {
  const parts = line.split(/\u001b\[(\d+)m/);
  const colourAt = (i: number) => COLOURS[parts[i - 1] ?? ""] ?? FOREGROUND;
  return parts.flatMap((text, i) => (i % 2 === 1 || text === "" ? [] : [{ text, colour: colourAt(i) }]));
}

/** Draws a command and what it printed to a terminal as an SVG. */
export function terminalSvg(command: string, output: string): string {
  const lines = [[{ text: `$ ${command}`, colour: DIM }], ...output.trimEnd().split("\n").map(runsOf)];
  const columns = Math.max(...lines.map((runs) => runs.reduce((sum, { text }) => sum + text.length, 0)));
  const width = Math.ceil(columns * CHAR_PX) + 2 * PADDING_PX;
  const height = lines.length * LINE_PX + 2 * PADDING_PX + TITLE_PX;
  const texts = lines.flatMap((runs, row) => {
    let column = 0;
    return runs.map(({ text, colour }) => {
      const x = PADDING_PX + column * CHAR_PX;
      column += text.length;
      const y = TITLE_PX + PADDING_PX + row * LINE_PX + FONT_PX;
      // The length keeps columns aligned in any font.
      const place = `x="${x.toFixed(1)}" y="${y}" textLength="${(text.length * CHAR_PX).toFixed(1)}"`;
      return `<text ${place} fill="${colour}" xml:space="preserve">${escaped(text)}</text>`;
    });
  });
  const dots = ["#ff5f57", "#febc2e", "#28c840"].map(
    (fill, i) => `<circle cx="${PADDING_PX + 4 + i * 20}" cy="20" r="6" fill="${fill}"/>`,
  );
  const font = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(command)} in a terminal</title>`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10" fill="${BACKGROUND}" stroke="${BORDER}"/>`,
    ...dots,
    `<g font-family="${font}" font-size="${FONT_PX}">`,
    ...texts,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

/** What stands on the lines of such an SVG, without colours. */
export function linesOfSvg(svg: string): string[] {
  const lines = new Map<string, string>();
  for (const [, y = "", text = ""] of svg.matchAll(/<text x="[\d.]+" y="(\d+)"[^>]*>([^<]*)<\/text>/g)) {
    lines.set(y, (lines.get(y) ?? "") + unescaped(text));
  }
  return [...lines.values()];
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function unescaped(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

if (import.meta.main) {
  const env = { ...process.env, FORCE_COLOR: "1" };
  const { status, stdout } = spawnSync(process.execPath, [COMMAND, "demo"], {
    encoding: "utf8",
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`The demo ended with ${status}: ${stdout}`);
  writeFileSync(FILE, terminalSvg("npm run demo", stdout));
}
