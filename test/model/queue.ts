// A token bucket as a queue: what was booked first flows off first, and a hold gives back its own part of the queue.

/** A part of the queue: what is left of a booking. */
export interface Part {
  level: number;
}

export interface Rate {
  readonly levelPerUnit: number;
  readonly levelPerMs: number;
}

export interface Queue {
  readonly parts: Part[];
  /** Up to when it has flowed. */
  sinceMs: number;
}

/** Lets all flow off until an instant. */
export function flowTo(queue: Queue, { levelPerMs }: Rate, atMs: number): void {
  takeOff(queue, Math.max(0, atMs - queue.sinceMs) * levelPerMs);
  queue.sinceMs = Math.max(queue.sinceMs, atMs);
}

/** Takes something off the parts that were booked first. */
export function takeOff(queue: Queue, level: number): void {
  let left = level;
  for (const part of queue.parts) {
    const off = Math.min(left, part.level);
    part.level -= off;
    left -= off;
  }
}

/** Books units at an instant. What is booked late joins what is there, or has flowed off by itself since its own instant. */
export function book(queue: Queue, rate: Rate, units: number, atMs: number): Part {
  const lateMs = levelOf(queue) > 0 ? 0 : Math.max(0, queue.sinceMs - atMs);
  const part = { level: Math.max(0, units * rate.levelPerUnit - lateMs * rate.levelPerMs) };
  queue.parts.push(part);
  return part;
}

export function levelOf({ parts }: Queue): number {
  return parts.reduce((sum, { level }) => sum + level, 0);
}
