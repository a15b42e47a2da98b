// What an instance has once, however many shards its store has: its name, the others that it knows, and room.

import { type InstanceNames, instanceNames, Members } from "./members.ts";
import type { FailoverOptions } from "./options.ts";
import { Room } from "./room.ts";
import { ViewsRoom } from "./views.ts";

export interface InstanceParts {
  readonly names: InstanceNames;
  readonly members: Members;
  readonly views: ViewsRoom;
  readonly bookings: Room;
  /** For buckets that are decided without the store. */
  readonly local: Room;
}

/** Which part of a store a failover layer is for. */
export interface ShardTerms {
  readonly parts: InstanceParts;
  /** Whether the shard counts the instances. */
  readonly counts: boolean;
  /** How many shards are away now. */
  awayCount(): number;
}

export function instanceParts(group: string, { instances, journal }: FailoverOptions): InstanceParts {
  const members = new Members(instances, journal !== undefined);
  return { names: instanceNames(group), members, views: new ViewsRoom(), bookings: new Room(), local: new Room() };
}
