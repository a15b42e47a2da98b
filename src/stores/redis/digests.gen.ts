// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "209cb58bc0935d6b411ddeb30af705ffc80a9623",
    "clock": "9429aed97c159c196ea113b496de4d6e79fdf77c"
  },
  "beat": {
    "server": "d3f01a08aae3f3c09d227f577b474ba92806fa2c",
    "clock": "84781780777d31c52329ff247455b0d40179e69d"
  }
} as const;
