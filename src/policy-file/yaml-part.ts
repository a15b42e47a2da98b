// Where one part of a YAML text stands. Nothing of the parser is named here, because published types use it.

/** A value and its key, as offsets into the text. */
export interface YamlPart {
  /** `null` for an entry of a list. */
  readonly key: { readonly start: number; readonly end: number } | null;
  /** Begins with the anchor or the tag where there is one, and ends before a comment. */
  readonly start: number;
  readonly end: number;
  /** Whether it is a list or an object without brackets. */
  readonly isBlock: boolean;
  /** Where the entry before it in its object ends, and where the one behind it begins; `null` for none. */
  readonly previousEnd: number | null;
  readonly nextStart: number | null;
}
