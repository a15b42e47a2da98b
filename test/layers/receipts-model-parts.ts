// The parts of the model of receipts: a store and a sender that never change, but come to other ones. There is one object
// for equal ones, so that a state of the model is a few numbers, and nothing is worked out twice.

import { Backlog, type OpenBatch } from "../../src/layers/failover/backlog.ts";
import {
  bookBatch,
  type StoredState,
  StoreError,
  type StoreRequest,
  type Terms,
  TermsError,
} from "../../src/store/api.ts";

/** Nothing ends, and no deadline helps: receipts alone have to do. */
export const NOW_MS = 1_000;

type Receipt = NonNullable<Terms["receipt"]>;

/** What the store holds. */
export interface Server {
  readonly id: number;
  readonly states: ReadonlyMap<string, StoredState>;
  readonly arrivals: Map<Message, Arrival>;
}

/** What a message made of the store, and its answer: a digit for each call, 1 allowed, or an error's code. */
export interface Arrival {
  readonly server: Server;
  readonly answer: string;
}

export interface Message {
  readonly id: number;
  readonly name: string;
  readonly requests: readonly StoreRequest[];
  readonly receipt: Receipt;
}

/** A sender as what was done with its backlog, and what that shows. */
export interface Sender {
  readonly id: number;
  readonly instance: string;
  readonly inherited: ReadonlyMap<string, string>;
  readonly done: readonly Act[];
  readonly nexts: Map<string, Sender>;
  readonly journal: ReadonlyMap<string, string>;
  readonly size: number;
  /** What it settles first. */
  readonly batch: OpenBatch | undefined;
  /** The receipts of a batch that it sends next, and of the one that it settles first. */
  readonly sending: Receipt;
  readonly closing: Receipt | undefined;
}

type Act = (backlog: Backlog) => void;

/** All that the model has come across. */
export class Parts {
  readonly #servers = new Map<string, Server>();
  readonly #messages = new Map<string, Message>();
  readonly #senders = new Map<string, Sender>();

  /** What a message makes of a store. */
  arrive(server: Server, message: Message): Arrival {
    const known = server.arrivals.get(message) ?? this.#decide(server, message);
    server.arrivals.set(message, known);
    return known;
  }

  #decide(server: Server, { requests, receipt }: Message): Arrival {
    try {
      const { replies, changed } = bookBatch(requests, (key) => server.states.get(key), NOW_MS, { receipt });
      const states = new Map(server.states);
      for (const [key, state] of changed) {
        if (state === undefined) states.delete(key);
        else states.set(key, state);
      }
      const digits = replies.map((reply) => (!StoreError.isInstance(reply) && reply.allowed ? "1" : "0"));
      return { server: this.server(states), answer: digits.join("") };
    } catch (error) {
      if (!StoreError.isInstance(error)) throw error;
      return { server, answer: TermsError.refusalOf(error) ?? error.code };
    }
  }

  /** A sender after something was done with its backlog, which `name` says. */
  act(sender: Sender, name: string, act: Act): Sender {
    const known = sender.nexts.get(name) ?? this.sender(sender.instance, sender.inherited, [...sender.done, act]);
    sender.nexts.set(name, known);
    return known;
  }

  /** A backlog cannot be copied: it is made again, and everything is done with it again. */
  sender(instance: string, inherited: ReadonlyMap<string, string>, done: readonly Act[]): Sender {
    const journal = new Map(inherited);
    const backlog = new Backlog(
      { instance },
      {
        entries: () => [...journal],
        write(changes) {
          for (const [key, text] of changes) {
            if (text === null) journal.delete(key);
            else journal.set(key, text);
          }
        },
        close() {},
      },
    );
    for (const act of done) act(backlog);
    const { batches, looseCount: size } = backlog;
    const bookings = [...backlog.bookings()];
    const closing = batches[0] === undefined ? undefined : backlog.closingReceipt(batches[0]);
    const kept = new Map(journal);
    const sending = backlog.nextReceipt();
    const key = JSON.stringify([instance, [...kept], batches, bookings, size, sending, closing, openIn(backlog)]);
    const shown = { instance, inherited, done, journal: kept, size, batch: batches[0], sending, closing };
    return intern(this.#senders, key, (id) => ({ ...shown, id, nexts: new Map() }));
  }

  server(states: ReadonlyMap<string, StoredState>): Server {
    const key = JSON.stringify([...states].sort(([one], [other]) => (one < other ? -1 : 1)));
    return intern(this.#servers, key, (id) => ({ id, states, arrivals: new Map() }));
  }

  message(name: string, requests: readonly StoreRequest[], receipt: Receipt): Message {
    return intern(this.#messages, JSON.stringify([name, requests, receipt]), (id) => ({ id, name, requests, receipt }));
  }
}

/** The numbers that a backlog waits for, which show in its receipts alone. It is of no use afterwards. */
function openIn(backlog: Backlog): number[] {
  const open: number[] = [];
  for (
    let { number, from } = backlog.nextReceipt();
    from < number && open.length < number;
    { from } = backlog.nextReceipt()
  ) {
    open.push(from);
    backlog.answered(from);
    for (const batch of backlog.batches) if (batch.number === from) backlog.forget(batch);
  }
  return open;
}

function intern<Value>(known: Map<string, Value>, key: string, make: (id: number) => Value): Value {
  const value = known.get(key) ?? make(known.size);
  known.set(key, value);
  return value;
}
