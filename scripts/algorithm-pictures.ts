// `npm run pictures`: draws what each algorithm decides for a few calls, as docs/algorithms/NAME.svg.
// The limiter decides, on a clock that only moves between the calls, so that each run draws the same.

import { mkdirSync, writeFileSync } from "node:fs";
import { createLimiter, type LimitInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

/** A limit without what is the same in each picture. */
type Shown = LimitInput extends infer Limit ? (Limit extends unknown ? Omit<Limit, "name" | "per"> : never) : never;

interface PictureCall {
  readonly atMs: number;
  /** How long it runs. Default: it ends at once. */
  readonly forMs?: number;
  readonly fails?: boolean;
}

interface Picture {
  readonly limit: Shown;
  /** Where the time axis ends. */
  readonly untilMs: number;
  readonly calls: readonly PictureCall[];
  /** What the height of the area is. */
  readonly height: string;
}

const seconds = (...list: number[]): PictureCall[] => list.map((each) => ({ atMs: each * 1_000 }));

const AROUND_A_WINDOW = seconds(16, 17, 18, 19, 19.6, 20.4, 21, 22, 23, 24, 25, 38, 39);

/** A picture for each algorithm, by its name. */
export const PICTURES: Readonly<Record<string, Picture>> = {
  budget: {
    limit: { quota: 5, resetAfterIdle: "20s" },
    untilMs: 45_000,
    calls: seconds(1, 3, 5, 7, 9, 11, 13, 32, 34, 36),
    height: "calls used",
  },
  "fixed-window": {
    limit: { algorithm: "fixed-window", quota: 5, window: "20s" },
    untilMs: 45_000,
    calls: AROUND_A_WINDOW,
    height: "calls used",
  },
  "sliding-window": {
    limit: { algorithm: "sliding-window", quota: 5, window: "20s" },
    untilMs: 45_000,
    calls: AROUND_A_WINDOW,
    height: "calls used",
  },
  "token-bucket": {
    limit: { quota: 5, window: "10s", burst: 3 },
    untilMs: 25_000,
    calls: seconds(1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 20, 20.5, 21, 21.5),
    height: "calls used",
  },
  cooldown: {
    limit: { algorithm: "cooldown", pause: "2s" },
    untilMs: 15_000,
    calls: seconds(1, 1.5, 2.5, 3, 4, 5, 8, 9, 11),
    height: "calls used",
  },
  concurrency: {
    limit: { algorithm: "concurrency", quota: 2 },
    untilMs: 20_000,
    calls: [
      { atMs: 1_000, forMs: 6_000 },
      { atMs: 3_000, forMs: 9_000 },
      ...seconds(5),
      { atMs: 8_000, forMs: 7_000 },
      ...seconds(10),
      { atMs: 13_000, forMs: 4_000 },
    ],
    height: "calls running",
  },
  elapsed: {
    limit: { algorithm: "elapsed", quota: "15s" },
    untilMs: 25_000,
    calls: seconds(2, 5, 6, 11, 16, 18, 22),
    height: "time used",
  },
  streak: {
    limit: { algorithm: "streak", of: "errors", quota: 3, resetAfterIdle: "15s" },
    untilMs: 35_000,
    calls: [
      ...seconds(1),
      { atMs: 3_000, fails: true },
      { atMs: 5_000, fails: true },
      ...seconds(7),
      { atMs: 9_000, fails: true },
      { atMs: 11_000, fails: true },
      { atMs: 13_000, fails: true },
      ...seconds(15, 17, 19, 29, 31),
    ],
    height: "errors in a row",
  },
};

interface Drawn {
  readonly made: readonly (PictureCall & { readonly allowed: boolean })[];
  /** Units used at each step of the time axis. */
  readonly used: readonly number[];
  readonly quota: number;
}

const STEP_MS = 100;

/** Makes the calls of a picture, and looks at the bucket in between. */
async function play({ limit, untilMs, calls }: Picture): Promise<Drawn> {
  const clock = fakeClock();
  const policy = { version: 1, limits: [{ ...limit, name: "limit", per: ["session"] } as LimitInput] } as const;
  const limiter = createLimiter({ policy, store: memoryStore({ clock }) });
  const made: (PictureCall & { allowed: boolean })[] = [];
  const used: number[] = [];
  let quota = 0;
  for (let nowMs = 0; nowMs <= untilMs; nowMs += STEP_MS) {
    for (const call of calls.filter(({ atMs }) => atMs === nowMs)) made.push({ ...call, allowed: await make(call) });
    const [usage] = await limiter.usage({ session: "s1" });
    quota = usage?.capacity ?? 0;
    used.push(usage?.used ?? 0);
    clock.advance(STEP_MS);
    // What a timer of the clock began goes on.
    await new Promise(setImmediate);
  }
  await limiter.close();
  return { made, used, quota };

  async function make({ forMs = 0, fails = false }: PictureCall): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let isStarted = false;
    const ran = limiter.run({ tool: "search", session: "s1" }, async () => {
      isStarted = true;
      if (fails) throw new Error("The tool failed.");
      if (forMs > 0) await promise;
    });
    if (forMs > 0) clock.setTimer(forMs, resolve);
    else await ran.catch(() => {});
    await new Promise(setImmediate);
    return isStarted;
  }
}

const WIDTH = 720;
const HEIGHT = 230;
const LEFT = 124;
const RIGHT = 24;
const CALLS_Y = 64;
const TOP = 96;
const BOTTOM = 186;

const INK = "#1f2328";
const GREY = "#57606a";
const LINE = "#d0d7de";
const BLUE = "#0969da";
const RED = "#cf222e";

/** Draws one picture. */
export async function drawAlgorithm(name: string, picture: Picture): Promise<string> {
  const { made, used, quota } = await play(picture);
  const x = (ms: number) => LEFT + ((WIDTH - LEFT - RIGHT) * ms) / picture.untilMs;
  const highest = Math.max(quota, ...used);
  const y = (units: number) => BOTTOM - ((BOTTOM - TOP) * units) / highest;
  const text = (at: { x: number; y: number }, words: string, more = "") =>
    `<text x="${at.x.toFixed(1)}" y="${at.y.toFixed(1)}" ${more}>${words}</text>`;
  const points = used.flatMap((units, i) => {
    const before = used[i - 1] ?? units;
    const from = `${x(i * STEP_MS).toFixed(1)} ${y(before).toFixed(1)}`;
    const to = `${x(i * STEP_MS).toFixed(1)} ${y(units).toFixed(1)}`;
    return units === before && i > 0 && i < used.length - 1 ? [] : [from, to];
  });
  const marks = made.map(({ atMs, allowed, fails = false }) => mark(x(atMs), allowed, fails));
  const ticks = Array.from({ length: picture.untilMs / 5_000 + 1 }, (_, i) => i * 5_000).map((ms) => {
    const line = `<path d="M${x(ms).toFixed(1)} ${BOTTOM}v5" stroke="${GREY}"/>`;
    return line + text({ x: x(ms), y: BOTTOM + 20 }, `${ms / 1_000} s`, 'text-anchor="middle"');
  });
  const hasFailures = made.some(({ fails }) => fails);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `<title>${name}: which calls it allows, and how full its bucket is</title>`,
    `<rect x="0.5" y="0.5" width="${WIDTH - 1}" height="${HEIGHT - 1}" rx="8" fill="#ffffff" stroke="${LINE}"/>`,
    `<g font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13" fill="${GREY}">`,
    text({ x: 16, y: 28 }, yaml(picture.limit), `font-family="ui-monospace, Menlo, Consolas, monospace" fill="${INK}"`),
    legend(hasFailures),
    text({ x: 16, y: CALLS_Y + 5 }, "calls"),
    ...marks,
    text({ x: 16, y: (TOP + BOTTOM) / 2 + 5 }, picture.height),
    `<path d="M${points.join("L")}L${x(picture.untilMs)} ${BOTTOM}L${LEFT} ${BOTTOM}Z" fill="${BLUE}" fill-opacity="0.16"/>`,
    `<path d="M${points.join("L")}" fill="none" stroke="${BLUE}" stroke-width="2"/>`,
    `<path d="M${LEFT} ${y(quota)}H${WIDTH - RIGHT}" stroke="${RED}" stroke-dasharray="5 4"/>`,
    text({ x: WIDTH - RIGHT, y: y(quota) - 5 }, quotaText(picture, quota), `text-anchor="end" fill="${RED}"`),
    `<path d="M${LEFT} ${BOTTOM}H${WIDTH - RIGHT}" stroke="${GREY}"/>`,
    ...ticks,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

function quotaText({ limit }: Picture, quota: number): string {
  if (limit.algorithm === "elapsed") return `quota ${quota / 1_000} s`;
  return "burst" in limit ? `burst ${quota}` : `quota ${quota}`;
}

/** A call: a filled dot is allowed, a ring was allowed and failed, a cross is denied. */
function mark(x: number, allowed: boolean, fails: boolean): string {
  const at = `cx="${x.toFixed(1)}" cy="${CALLS_Y}" r="5"`;
  if (!allowed) {
    const cross = `M${(x - 4.5).toFixed(1)} ${CALLS_Y - 4.5}l9 9m0 -9l-9 9`;
    return `<path d="${cross}" stroke="${RED}" stroke-width="2.5"/>`;
  }
  return fails
    ? `<circle ${at} fill="#ffffff" stroke="${BLUE}" stroke-width="2.5"/>`
    : `<circle ${at} fill="${BLUE}"/>`;
}

function legend(hasFailures: boolean): string {
  const entries: [string, boolean, boolean][] = [
    ["allowed", true, false],
    ...(hasFailures ? ([["failed", true, true]] as [string, boolean, boolean][]) : []),
    ["denied", false, false],
  ];
  let x = WIDTH - RIGHT - entries.reduce((sum, [words]) => sum + words.length * 7 + 26, 0);
  const parts = entries.map(([words, allowed, fails]) => {
    const drawn = mark(x, allowed, fails)
      .replaceAll(String(CALLS_Y), "24")
      .replaceAll(` ${CALLS_Y - 4.5}`, " 19.5");
    const label = `<text x="${x + 10}" y="28">${words}</text>`;
    x += words.length * 7 + 26;
    return drawn + label;
  });
  return parts.join("");
}

function yaml(limit: Shown): string {
  return Object.entries(limit)
    .map(([key, value]) => `${key}: ${value}`)
    .join(", ");
}

if (import.meta.main) {
  const folder = new URL("../docs/algorithms/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  for (const [name, picture] of Object.entries(PICTURES)) {
    writeFileSync(new URL(`${name}.svg`, folder), await drawAlgorithm(name, picture));
  }
}
