// Pieces of HTML. What comes from a trace or a policy is text, and nothing else.

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** @param content HTML */
export function element(tag: string, name: string, content: string): string {
  return `<${tag} class="${name}">${content}</${tag}>`;
}

/** @param rows texts */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (tag: string, cells: readonly string[]) =>
    cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("");
  const body = rows.map((row) => `<tr>${line("td", row)}</tr>`).join("\n");
  const head = `<thead><tr>${line("th", heading)}</tr></thead>`;
  return element("div", "wide", `<table>${head}<tbody>\n${body}\n</tbody></table>`);
}
