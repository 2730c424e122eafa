-- What the gateway has sent, and every answer that it has heard: enough to go on after a restart.

CREATE TABLE sent (
  command_id   TEXT PRIMARY KEY,
  -- NULL: every account of the gateway.
  account_id   TEXT,
  action       TEXT NOT NULL,
  -- Who asked at this gateway: an API key, or its operator. The nodes see the gateway's own issuer.
  issuer       TEXT NOT NULL,
  door         TEXT NOT NULL,
  digest       TEXT NOT NULL,
  -- As signed: repeated byte by byte.
  envelope     BLOB NOT NULL,
  dry_run      INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
  reason       TEXT,
  -- The accounts that must confirm, as a JSON list.
  accounts     TEXT NOT NULL,
  -- Seconds since 1970.
  issued_at    REAL NOT NULL,
  expires_at   REAL NOT NULL,
  ended        INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1))
) STRICT;

CREATE INDEX sent_open ON sent (issued_at) WHERE ended = 0;

CREATE TABLE answer (
  position     INTEGER PRIMARY KEY,
  -- Of the row in `sent` that it belongs to.
  root_id      TEXT NOT NULL REFERENCES sent (command_id),
  -- Of the command that it speaks of: a child's, where all accounts were meant.
  command_id   TEXT NOT NULL,
  document     TEXT NOT NULL
) STRICT;

CREATE INDEX answer_root ON answer (root_id, position);
CREATE INDEX answer_command ON answer (command_id, position);

-- One row, written to learn whether the disk still takes writes.
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
INSERT INTO probe VALUES (1, 0);
