// The page and its filters as the part of the address behind #: `#/decisions?session=s1&outcome=denied`.

export const PAGES = ["overview", "limits", "who", "decisions", "gateway", "policy", "audit"] as const;
export type Page = (typeof PAGES)[number];

export type Params = Readonly<Record<string, string>>;

export interface Address {
  readonly page: Page;
  readonly params: Params;
}

/** What an address says. An unknown page is the first one. */
export function parseAddress(hash: string): Address {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const page = PAGES.find((each) => each === path) ?? PAGES[0];
  return { page, params: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a page. Params that are empty or undefined are left out. */
export function hrefOf(page: Page, params: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(params).filter((pair): pair is [string, string] => (pair[1] ?? "") !== "");
  const query = new URLSearchParams(given).toString();
  return `#/${page}${query === "" ? "" : `?${query}`}`;
}
