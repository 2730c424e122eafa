-- Webhook keys without their secrets, and every alert that a key has brought: enough never to place one twice.

CREATE TABLE webhook_key (
  id         TEXT PRIMARY KEY NOT NULL,
  owner      TEXT NOT NULL,
  name       TEXT NOT NULL,
  digest     BLOB NOT NULL CHECK (length(digest) = 32),  -- SHA-256 of the secret
  created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  revoked_at TEXT
) STRICT;

CREATE TRIGGER webhook_key_meaning_is_fixed
BEFORE UPDATE OF id, owner, name, digest, created_at, expires_at ON webhook_key
BEGIN SELECT RAISE(ABORT, 'what a key means is fixed'); END;

CREATE TRIGGER webhook_key_stays_revoked BEFORE UPDATE OF revoked_at ON webhook_key
WHEN OLD.revoked_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a revoked key stays revoked'); END;

CREATE TRIGGER webhook_key_not_deleted BEFORE DELETE ON webhook_key
BEGIN SELECT RAISE(ABORT, 'keys are kept'); END;

CREATE TABLE alert (
  position         INTEGER PRIMARY KEY,
  id               TEXT NOT NULL UNIQUE,
  owner            TEXT NOT NULL,
  key              TEXT NOT NULL REFERENCES webhook_key (id),
  deduplication_id TEXT,
  -- Of the message without its key.
  digest           BLOB NOT NULL,
  -- JSON, without the key.
  fields           TEXT NOT NULL,
  client_order_id  TEXT NOT NULL UNIQUE,
  -- Seconds since 1970.
  received_at      REAL NOT NULL,
  -- received: nothing has left. leaving: the order may leave at any moment. answered: its fate is known. unknown: it
  -- may have been placed. abandoned: nothing was placed, and the same alert may come again.
  state            TEXT NOT NULL CHECK (state IN ('received', 'leaving', 'answered', 'unknown', 'abandoned')),
  -- Of the lock, as it was when the order was let go.
  epoch            INTEGER,
  status           INTEGER,
  answer           TEXT,
  CHECK ((answer IS NULL) = (status IS NULL))
) STRICT;

CREATE INDEX alert_repeated ON alert (owner, deduplication_id, position);
CREATE INDEX alert_unknown ON alert (owner, digest) WHERE state = 'unknown';
CREATE INDEX alert_open ON alert (position) WHERE state IN ('received', 'leaving');

CREATE TRIGGER alert_fate_is_fixed BEFORE UPDATE OF state ON alert
WHEN OLD.state IN ('answered', 'abandoned')
BEGIN SELECT RAISE(ABORT, 'what became of an alert is fixed'); END;

-- One row, written to learn whether the disk still takes writes.
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
INSERT INTO probe VALUES (1, 0);
