// A type for records that are filled in before they are given away.

/** A record as the code has it that makes it. */
export type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
