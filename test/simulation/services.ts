// The services of the world, and the load balancer in front of them: a client's `fetch` carries a request through the simulated
// network to one that lives.

import type { Service } from "../../src/service/handler.ts";
import type { Machine } from "./machine.ts";
import { ConnectionEnded, type Network } from "./network.ts";

/** What a client asks; what is lost in between stays in this world. */
interface Sent {
  readonly url: string;
  readonly init: RequestInit;
}

/** An answer as it crosses the network. */
interface Received {
  readonly status: number;
  readonly text: string;
}

export class Services {
  readonly #living = new Map<Machine, Service>();
  /** Services that a request has reached. */
  readonly asked = new Set<Machine>();

  add(machine: Machine, service: Service): void {
    this.#living.set(machine, service);
  }

  remove(machine: Machine): void {
    this.#living.delete(machine);
  }

  /** The `fetch` of a client's machine. */
  fetchFrom(machine: Machine, network: Network): typeof fetch {
    return async (url, init = {}) => {
      const { signal } = init;
      signal?.throwIfAborted();
      const chosen = machine.random.pick([...this.#living]);
      if (chosen === undefined) throw new TypeError("fetch failed", { cause: new ConnectionEnded("any service") });
      const asked = this.#ask(machine, network, chosen, { url: String(url), init });
      const ended = new Promise<never>((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
      const { status, text } = await Promise.race([asked, ended]);
      return new Response(text === "" ? null : text, { status, headers: { "content-type": "application/json" } });
    };
  }

  /** Asks one service. It sees when the client ends the request. */
  #ask(
    from: Machine,
    network: Network,
    [machine, service]: [Machine, Service],
    { url, init }: Sent,
  ): Promise<Received> {
    const gone = new AbortController();
    init.signal?.addEventListener("abort", () => from.world.after(1, machine, "message", () => gone.abort()), {
      once: true,
    });
    const { method = "GET", headers, body } = init;
    const host = { machine, isUp: !machine.isKilled };
    const answer = async (): Promise<Received> => {
      const request = new Request(url, {
        method,
        signal: gone.signal,
        headers: { ...(headers as Record<string, string>), ...lengthOf(body) },
        ...(body ? { body } : {}),
      });
      this.asked.add(machine);
      const response = await service.fetch(request);
      return { status: response.status, text: await response.text() };
    };
    return network.ask(from, host, answer, false);
  }
}

/** Node's `fetch` says how long a text is. */
function lengthOf(body: unknown): Record<string, string> {
  return typeof body === "string" ? { "content-length": String(Buffer.byteLength(body)) } : {};
}
