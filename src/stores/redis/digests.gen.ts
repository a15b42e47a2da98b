// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "78fbe38987ad6ae51c0603cb2db4845ad5694bb3",
    "clock": "22faa70975055a257f47d802e19340f5381dbc95"
  },
  "beat": {
    "server": "03a0b022b6d50fdbb12e4dc39ba05d19d9136ac9",
    "clock": "d3b66d584806ff7796ea067c4304bae35cfa26dc"
  }
} as const;
