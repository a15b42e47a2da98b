-- Tollgate's tables, version 1. Run it once, in the schema that the store uses, or call migrate(). Each later file ends with
-- an UPDATE of the version.

CREATE TABLE tollgate_buckets (
  key text COLLATE "C" PRIMARY KEY,
  -- A plain number, or a text that begins with the tag and version of its layout: of a state, or
  -- (b1) of an instance that shares the store. The empty text: a row that was only locked.
  value text NOT NULL,
  -- From this instant on (ms since 1970) the row means the same as no row at all.
  expires_at_ms bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE tollgate_schema (
  version integer NOT NULL
);

INSERT INTO tollgate_schema (version) VALUES (1);
