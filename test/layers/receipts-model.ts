// A model of one sender, its journal, a network and the store, whose states are explored one and all: batches that are
// lost, come late, in another order or again, and a sender that dies. The store is `decideBatch`, and what has to be booked
// is kept by `Backlog`; what failover.ts does with both is told again here, a step at a time.

import assert from "node:assert/strict";
import { receiptsKey } from "../../src/kernel/receipts.ts";
import type { OpenBatch } from "../../src/layers/failover/backlog.ts";
import { asSettled } from "../../src/layers/failover/booking.ts";
import type { StoreRequest } from "../../src/store/api.ts";
import { type Message, NOW_MS, Parts, type Sender, type Server } from "./receipts-model-parts.ts";

/** How far is explored. */
export interface Bounds {
  /** Batches that are sent in total, of two calls each. */
  readonly batches: number;
  /** How many of them may be under way at once. */
  readonly underWay: number;
  /** Calls that the sender admits by itself. */
  readonly alone: number;
  /** How often the sender dies, and starts again from its journal. */
  readonly deaths: number;
  /** How often a message arrives that will arrive again: a client resends it, or its sender asks again. */
  readonly repeats: number;
  /** Of the one bucket. */
  readonly quota: number;
}

/** What was explored. */
export interface Explored {
  readonly states: number;
  /** States in which nothing is left to be booked or answered, each of which was checked. */
  readonly ends: number;
}

const BUCKET = "b";
const CALLS = 2;

/** An original whose answer its sender waits for, or died waiting for. */
interface Flight {
  readonly message: Message;
  /** Answers that are on their way back. */
  readonly answers: readonly string[];
}

interface State {
  readonly server: Server;
  readonly sender: Sender;
  readonly isAway: boolean;
  /** What may arrive, at any time or never: a message that is lost is one that is late for ever. */
  readonly underWay: readonly Message[];
  readonly flights: readonly Flight[];
  /** Those that its sender died waiting for. */
  readonly dead: readonly Flight[];
  /** What the sender asks in order to settle its first batch, and whether the answer is on its way. */
  readonly asked: { readonly message: Message; readonly isAnswered: boolean } | null;
  readonly admitted: number;
  readonly left: Pick<Bounds, "batches" | "alone" | "deaths" | "repeats">;
  readonly trace: Trace | null;
}

interface Trace {
  readonly text: string;
  readonly before: Trace | null;
}

/** Explores all states within the bounds, those with the shortest ways first. Throws the way to the first one that is wrong. */
export function explore(bounds: Bounds): Explored {
  const model = new Model(bounds);
  const seen = new Set<string>();
  let ends = 0;
  let states = [model.start()];
  while (states.length > 0) {
    const found: State[] = [];
    for (const state of states) {
      if (isEnd(state)) {
        ends++;
        checkCount(state);
      }
      for (const next of model.nexts(state)) {
        const key = keyOf(next);
        if (seen.has(key)) continue;
        seen.add(key);
        found.push(next);
      }
    }
    states = found;
  }
  return { states: seen.size, ends };
}

class Model {
  readonly #parts = new Parts();
  readonly #bounds: Bounds;
  readonly #call: StoreRequest;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
    const limit = { algorithm: "budget", quota: bounds.quota, ttlMs: 60_000, ttlFrom: "last" } as const;
    this.#call = { mode: "judge", steps: [{ bucket: BUCKET, limit, event: { type: "charge", cost: 1 } }] };
  }

  start(): State {
    const server = this.#parts.server(new Map());
    const sender = this.#parts.sender("A", new Map(), []);
    const { batches, alone, deaths, repeats } = this.#bounds;
    const left = { batches, alone, deaths, repeats };
    return { ...idle, server, sender, isAway: false, underWay: [], dead: [], admitted: 0, left, trace: null };
  }

  /** What may happen next. */
  *nexts(state: State): Generator<State> {
    yield* this.#arrivals(state);
    yield* this.#ofFlights(state);
    yield* this.#ofSender(state);
    yield* this.#ofRecovery(state);
    yield* this.#death(state);
  }

  *#arrivals(state: State): Generator<State> {
    const { server, underWay, left } = state;
    for (const message of new Set(underWay)) {
      const arrival = this.#parts.arrive(server, message);
      const isAsked = state.asked?.message === message;
      const text = `${message.name} arrives: ${arrival.answer}`;
      if (isAsked && arrival.answer === "settled") fail("what has to be settled is refused", after(state, text, {}));
      if (keepsSettled(arrival.server, message))
        fail("what is settled is not pruned", after(state, text, { server: arrival.server }));
      const heard = (flight: Flight) => (flight.message === message ? withAnswer(flight, arrival.answer) : flight);
      const change = {
        server: arrival.server,
        flights: state.flights.map(heard),
        dead: state.dead.map(heard),
        asked: isAsked ? { message, isAnswered: true } : state.asked,
      };
      yield after(state, text, { ...change, underWay: without(underWay, message) });
      if (left.repeats === 0) continue;
      yield after(state, `${text} (and it will again)`, { ...change, left: { ...left, repeats: left.repeats - 1 } });
    }
  }

  /** An answer comes, or the sender decides by itself. */
  *#ofFlights(state: State): Generator<State> {
    const { sender, admitted } = state;
    for (const flight of state.flights) {
      const { name, requests, receipt } = flight.message;
      const flights = state.flights.filter((other) => other !== flight);
      for (const answer of flight.answers) {
        yield after(state, `${name} is answered: ${answer}`, {
          sender: this.#parts.act(sender, `answered ${receipt.number}`, (backlog) => backlog.answered(receipt.number)),
          flights,
          admitted: admitted + ones(answer),
        });
      }
      for (const admits of ["00", "01", "10", "11"]) {
        const settled = requests.map((request, i) => asSettled(request, admits[i] === "1", NOW_MS));
        yield after(state, `${name} is given up, its calls decided: ${admits}`, {
          sender: this.#parts.act(sender, `doubt ${receipt.number} ${admits}`, (backlog) =>
            backlog.addDoubtful(receipt.number, settled, NOW_MS),
          ),
          isAway: true,
          flights,
          admitted: admitted + ones(admits),
        });
      }
    }
  }

  *#ofSender(state: State): Generator<State> {
    const { sender, isAway, flights, underWay, left, admitted } = state;
    const { instance, sending } = sender;
    if (!isAway && left.batches > 0 && flights.length < this.#bounds.underWay) {
      const message = this.#parts.message(`${instance}/${sending.number}`, Array(CALLS).fill(this.#call), sending);
      const next = after(state, `${message.name} is sent, from ${sending.from}`, {
        sender: this.#parts.act(sender, "send", (backlog) => void backlog.nextReceipt()),
        underWay: withOne(underWay, message),
        flights: [...flights, { message, answers: [] }],
        left: { ...left, batches: left.batches - 1 },
      });
      const lowest = Math.min(...next.flights.map((flight) => flight.message.receipt.number));
      if (sending.from !== lowest) fail(`the lowest number that is open is ${lowest}`, next);
      yield next;
    }
    if (!isAway && left.alone > 0) yield after(state, `${instance} misses the store`, { isAway: true });
    if (isAway && left.alone > 0) {
      yield after(state, `${instance} admits a call by itself`, {
        sender: this.#parts.act(sender, "add", (backlog) => backlog.add(this.#call, NOW_MS, [])),
        admitted: admitted + 1,
        left: { ...left, alone: left.alone - 1 },
      });
    }
  }

  /** While the store is away, and everything that was sent is answered or given up. */
  *#ofRecovery(state: State): Generator<State> {
    const { sender, asked, underWay } = state;
    const { instance, batch, closing, size } = sender;
    if (!state.isAway || state.flights.length > 0) return;
    if (asked?.isAnswered) {
      const settled = this.#parts.act(sender, "settle", (backlog) => backlog.forget(backlog.batches[0] as OpenBatch));
      const next = after(state, `${asked.message.name} is answered`, { sender: settled, asked: null });
      if (isSame(settled.batch, batch)) fail("what is settled is not forgotten", next);
      yield next;
    }
    if (asked !== null) return;
    if (batch !== undefined && closing !== undefined) {
      const name = `the settling of ${batch.instance}/${batch.number}`;
      const message = this.#parts.message(name, batch.requests, closing);
      const words = batch.requests.map(({ mode }) => mode).join(" ");
      yield after(state, `${name} is asked, from ${closing.from}: ${words}`, {
        asked: { message, isAnswered: false },
        underWay: withOne(underWay, message),
      });
    } else if (size > 0) {
      yield after(state, `${instance} makes a batch of what it admitted`, {
        sender: this.#parts.act(sender, "cut", (backlog) => backlog.makeBatches(CALLS, NOW_MS)),
      });
    } else {
      yield after(state, `${instance} asks the store again`, { isAway: false });
    }
  }

  *#death(state: State): Generator<State> {
    const { sender, left, flights, dead } = state;
    if (left.deaths === 0) return;
    const instance = String.fromCharCode(sender.instance.charCodeAt(0) + 1);
    const heir = this.#parts.sender(instance, sender.journal, []);
    yield after(state, `${sender.instance} dies, and ${instance} starts from its journal`, {
      ...idle,
      sender: heir,
      isAway: heir.batch !== undefined || heir.size > 0,
      dead: [...dead, ...flights],
      left: { ...left, deaths: left.deaths - 1 },
    });
  }
}

/** A sender that waits for nothing. */
const idle = { flights: [], asked: null } as const;

function isSame(one: OpenBatch | undefined, other: OpenBatch | undefined): boolean {
  return one?.instance === other?.instance && one?.number === other?.number;
}

function isEnd({ sender, flights }: State): boolean {
  return flights.length === 0 && sender.batch === undefined && sender.size === 0;
}

/** Every unit that was admitted is counted once, and so is what the store booked for calls that their sender died waiting for. */
function checkCount(state: State): void {
  const surplus = ones(...state.dead.map(bookedOf));
  if (countIn(state) === state.admitted + surplus) return;
  fail(`the store counts ${countIn(state)}: admitted were ${state.admitted}, booked for the dead ${surplus}`, state);
}

function countIn({ server }: State): number {
  const state = server.states.get(BUCKET);
  return state?.kind === "counter" ? state.spent : 0;
}

/** The calls of an original that any of its arrivals was allowed: all that its sender could have heard of. */
function bookedOf({ answers, message }: Flight): string {
  return message.requests.map((_, i) => (answers.some((answer) => answer[i] === "1") ? "1" : "0")).join("");
}

/** Whether receipts are kept that the sender of a message that has arrived has said to be settled. */
function keepsSettled({ states }: Server, { receipt: { instance, from } }: Message): boolean {
  const state = states.get(receiptsKey(instance));
  return state?.kind === "receipts" && state.receipts.some(({ number }) => number < from);
}

function after(state: State, text: string, change: Partial<State>): State {
  return { ...state, ...change, trace: { text, before: state.trace } };
}

/** A refusal tells its sender no more than silence does. */
function withAnswer(flight: Flight, answer: string): Flight {
  if (answer === "settled") return flight;
  return { ...flight, answers: [...new Set([...flight.answers, answer])].sort() };
}

function without(messages: readonly Message[], message: Message): Message[] {
  return messages.toSpliced(messages.indexOf(message), 1);
}

function withOne(messages: readonly Message[], message: Message): Message[] {
  return [...messages, message].sort((one, other) => one.id - other.id);
}

function ones(...digits: string[]): number {
  return digits.join("").replaceAll("0", "").length;
}

/** All of a state but the way to it. */
function keyOf({ server, sender, isAway, underWay, flights, dead, asked, admitted, left }: State): string {
  const flown = flights.map(({ message, answers }) => `${message.id}:${answers}`);
  const died = dead.map((flight) => `${flight.message.id}:${bookedOf(flight)}`);
  const question = asked === null ? "" : `${asked.message.id}${asked.isAnswered}`;
  const ids = underWay.map(({ id }) => id);
  const rest = [left.batches, left.alone, left.deaths, left.repeats];
  return [server.id, sender.id, isAway, ids, flown, died, question, admitted, rest].join("|");
}

function fail(problem: string, state: State): never {
  const steps: string[] = [];
  for (let at = state.trace; at !== null; at = at.before) steps.unshift(at.text);
  const way = steps.map((text, i) => `  ${i + 1}. ${text}`);
  const journal = [...state.sender.journal.keys()].join(" ") || "nothing";
  const receipts = [...state.server.states].filter(([, { kind }]) => kind === "receipts");
  const known = receipts.map(([key, receipt]) => `  ${key} ${JSON.stringify(receipt)}`);
  assert.fail([`${problem}, after`, ...way, `The journal has ${journal}. The store has`, ...known].join("\n"));
}
