// Bounds that every store keeps for the instances that share it.

/** Instances live for some minutes after each beat; no instance may claim more than this. */
export const LONGEST_LIFE_MS = 600_000;
/** Most instances that one beat removes after their end. */
export const ENDED_MEMBERS_PER_BEAT = 100;
