// What a screen reader is told while pages change by themselves: at most one message in five seconds, the latest one.

import { signal } from "@preact/signals";

const BETWEEN_MS = 5_000;

export const announced = signal("");

let next: string | null = null;
let isWaiting = false;

export function announce(message: string): void {
  next = message;
  if (isWaiting) return;
  say();
}

function say(): void {
  if (next === null) {
    isWaiting = false;
    return;
  }
  announced.value = next;
  next = null;
  isWaiting = true;
  setTimeout(say, BETWEEN_MS);
}
