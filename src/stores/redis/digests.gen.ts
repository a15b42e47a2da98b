// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "bb9a97d60904514b41c3fcc1ee3a523dd52803ce",
    "clock": "ba88946ab9d1024b4e20c664ee0f75a56429f50f"
  },
  "beat": {
    "server": "d3f01a08aae3f3c09d227f577b474ba92806fa2c",
    "clock": "84781780777d31c52329ff247455b0d40179e69d"
  }
} as const;
