// Colours for terminals. None where the output is no terminal, or where NO_COLOR is set (https://no-color.org).

import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

export function coloured(style: Style, text: string): string {
  const isOn = process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "";
  return isOn ? styleText(style, text, { validateStream: false }) : text;
}
