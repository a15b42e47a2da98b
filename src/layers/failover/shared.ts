// What the failover layers of one instance share where a store has units: the instance, the others that it knows, and room.

import { BacklogRoom } from "./backlog-room.ts";
import { type InstanceNames, instanceNames, Members } from "./members.ts";
import type { FailoverOptions } from "./options.ts";
import { ViewsRoom } from "./views.ts";

export interface SharedByUnits {
  readonly names: InstanceNames;
  readonly members: Members;
  readonly views: ViewsRoom;
  readonly bookings: BacklogRoom;
  /** How many buckets each of them decides alone at most. Default: as many as one layer by itself. */
  readonly maxLocal?: number;
}

/** Which part of a store a failover layer is for. */
export interface UnitTerms {
  readonly shared: SharedByUnits;
  /** Whether the unit counts the instances. */
  readonly counts: boolean;
}

/** What a failover layer has that is the only one of its instance. */
export function sharedByUnits(group: string, { instances, journal }: FailoverOptions): SharedByUnits {
  const members = new Members(instances, journal !== undefined);
  return { names: instanceNames(group), members, views: new ViewsRoom(), bookings: new BacklogRoom() };
}
