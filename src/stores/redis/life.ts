// What a user's client reports by its events: that it has connected, and that its user has closed it.

/** valkey-glide reports neither. */
interface Emitter {
  on?(event: string, listener: () => void): unknown;
}

/** A part of a store that has to know. */
export interface LifeListener {
  connected(): void;
  ended(): void;
}

export class Life {
  /** Whether its user has closed the client, and not connected it again. */
  isEnded = false;
  readonly listeners = new Set<LifeListener>();

  constructor(client: Emitter) {
    client.on?.("ready", () => {
      this.isEnded = false;
      for (const listener of this.listeners) listener.connected();
    });
    // The clients of clusters have another name for it.
    for (const event of ["end", "disconnect"]) {
      client.on?.(event, () => {
        this.isEnded = true;
        for (const listener of this.listeners) listener.ended();
      });
    }
  }
}

const lives = new WeakMap<object, Life>();

/** One for all stores of a client, so that the client has few listeners. */
export function lifeOf(client: object): Life {
  const life = lives.get(client) ?? new Life(client as Emitter);
  lives.set(client, life);
  return life;
}
