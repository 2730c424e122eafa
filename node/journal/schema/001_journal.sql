-- The durable record. Everything that the code relies on is also enforced here, so that no fault of the code,
-- and no hand in the file, can quietly break it.

CREATE TABLE meta (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    created_at TEXT    NOT NULL,
    node_id    TEXT    NOT NULL,
    probed_at  TEXT
) STRICT;

CREATE TABLE command (
    id                TEXT    PRIMARY KEY NOT NULL,
    parent            TEXT    REFERENCES command (id),
    account           TEXT,                                -- NULL: the parent of a command for many accounts
    action            TEXT    NOT NULL CHECK (action IN ('CLOSE_ALL', 'FLATTEN', 'LOCK', 'UNLOCK')),
    params            TEXT    NOT NULL,                    -- JSON
    issuer            TEXT    NOT NULL,
    door              TEXT    NOT NULL CHECK (door IN ('mqtt', 'operator', 'http', 'direct')),
    digest            TEXT    NOT NULL,
    envelope          BLOB,                                -- as received: evidence
    issued_at         TEXT    NOT NULL,
    received_at       TEXT    NOT NULL,
    reply_topic       TEXT,
    reply_correlation BLOB,
    state             TEXT    NOT NULL DEFAULT 'accepted'
                      CHECK (state IN ('accepted', 'running', 'incomplete', 'done', 'rejected', 'failed')),
    attempt           INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    first_seq         INTEGER NOT NULL CHECK (first_seq > 0),
    newest_seq        INTEGER NOT NULL REFERENCES command_event (seq) DEFERRABLE INITIALLY DEFERRED,
    ended_at          TEXT,
    CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'rejected', 'failed'))),
    CHECK (reply_topic IS NOT NULL OR reply_correlation IS NULL)
) STRICT;

CREATE INDEX command_by_parent ON command (parent) WHERE parent IS NOT NULL;
CREATE INDEX command_unfinished ON command (first_seq) WHERE ended_at IS NULL;

CREATE TABLE command_event (
    seq      INTEGER PRIMARY KEY CHECK (seq > 0),
    command  TEXT    NOT NULL REFERENCES command (id),
    state    TEXT    NOT NULL
             CHECK (state IN ('accepted', 'running', 'incomplete', 'done', 'rejected', 'failed')),
    at       TEXT    NOT NULL,
    document TEXT    NOT NULL                              -- JSON, as sent
) STRICT;

CREATE INDEX command_event_by_command ON command_event (command, seq);

CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY REFERENCES command_event (seq),
    published_at TEXT
) STRICT;

CREATE INDEX outbox_pending ON outbox (seq) WHERE published_at IS NULL;

CREATE TABLE engine_lock (
    account TEXT    PRIMARY KEY NOT NULL,
    epoch   INTEGER NOT NULL CHECK (epoch >= 0),
    latched INTEGER NOT NULL CHECK (latched IN (0, 1)),
    since   TEXT,
    by      TEXT,
    reason  TEXT
) STRICT;

CREATE TABLE lock_hold (
    account TEXT NOT NULL REFERENCES engine_lock (account),
    command TEXT NOT NULL REFERENCES command (id),
    PRIMARY KEY (account, command)
) STRICT;

-- Rejects without a command of their own: the id belongs to another.
CREATE TABLE reject (
    seq     INTEGER PRIMARY KEY CHECK (seq > 0),
    id      TEXT    NOT NULL,
    issuer  TEXT    NOT NULL,
    account TEXT,
    code    TEXT    NOT NULL,
    message TEXT    NOT NULL,
    at      TEXT    NOT NULL
) STRICT;

-- History is only ever added to.
CREATE TRIGGER command_event_not_updated BEFORE UPDATE ON command_event
BEGIN SELECT RAISE(ABORT, 'command_event is append-only'); END;

CREATE TRIGGER command_event_not_deleted BEFORE DELETE ON command_event
BEGIN SELECT RAISE(ABORT, 'command_event is append-only'); END;

CREATE TRIGGER command_event_not_after_ending BEFORE INSERT ON command_event
WHEN (SELECT ended_at FROM command WHERE id = NEW.command) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the command has ended'); END;

-- A command's state is that of its newest event, and no event stays unsent.
CREATE TRIGGER command_event_moves_command AFTER INSERT ON command_event
BEGIN
    UPDATE command
       SET state = NEW.state,
           newest_seq = NEW.seq,
           ended_at = CASE WHEN NEW.state IN ('done', 'rejected', 'failed') THEN NEW.at END
     WHERE id = NEW.command;
    INSERT INTO outbox (seq) VALUES (NEW.seq);
END;

CREATE TRIGGER command_meaning_is_fixed
BEFORE UPDATE OF id, parent, account, action, params, issuer, door, digest, envelope, issued_at, received_at, first_seq
ON command
BEGIN SELECT RAISE(ABORT, 'what a command means is fixed'); END;

CREATE TRIGGER command_not_deleted BEFORE DELETE ON command
BEGIN SELECT RAISE(ABORT, 'commands are kept'); END;

-- The epoch is a fencing token: who has seen one must never see it again for another state of the lock.
CREATE TRIGGER engine_lock_epoch_rises BEFORE UPDATE ON engine_lock
WHEN NEW.epoch <= OLD.epoch
BEGIN SELECT RAISE(ABORT, 'the epoch of a lock only rises'); END;

CREATE TRIGGER engine_lock_not_deleted BEFORE DELETE ON engine_lock
BEGIN SELECT RAISE(ABORT, 'locks are kept'); END;
