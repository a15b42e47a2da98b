// Where the user is: the address as a signal.

import { signal } from "@preact/signals";
import { type Address, hrefOf, type Page, parseAddress } from "./address.ts";

export const route = signal<Address>(parseAddress(location.hash));

addEventListener("hashchange", () => {
  route.value = parseAddress(location.hash);
});

export function goTo(page: Page, params?: Readonly<Record<string, string | undefined>>): void {
  location.hash = hrefOf(page, params);
}

/** Changes some params of the page. Going back does not undo each letter of a filter. */
export function setParams(changed: Readonly<Record<string, string | undefined>>): void {
  const { page, params } = route.value;
  history.replaceState(null, "", hrefOf(page, { ...params, ...changed }));
  route.value = parseAddress(location.hash);
}
