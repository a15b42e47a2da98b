/** A record as the code has it that makes it. */
export type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
