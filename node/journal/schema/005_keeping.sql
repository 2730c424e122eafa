-- Old history may go, nothing else: what has ended before an instant that is written down here first. The tables still
-- refuse every other deletion, whoever asks. Numbers and the ids of commands that may come again are remembered.

ALTER TABLE meta ADD COLUMN seq_floor INTEGER NOT NULL DEFAULT 0;     -- every number up to it was given out
ALTER TABLE meta ADD COLUMN forgotten_before TEXT;                    -- nothing that ended later has been dropped
ALTER TABLE meta ADD COLUMN restored_at TEXT;
ALTER TABLE meta ADD COLUMN restored_from TEXT;

CREATE TRIGGER meta_horizon_only_moves_on BEFORE UPDATE OF forgotten_before ON meta
WHEN OLD.forgotten_before IS NOT NULL AND (NEW.forgotten_before IS NULL OR NEW.forgotten_before < OLD.forgotten_before)
BEGIN SELECT RAISE(ABORT, 'what was forgotten stays so'); END;

CREATE TRIGGER meta_seq_floor_rises BEFORE UPDATE OF seq_floor ON meta WHEN NEW.seq_floor < OLD.seq_floor
BEGIN SELECT RAISE(ABORT, 'numbers only rise'); END;

-- A signed LOCK may be valid for ever: its id must never act again.
CREATE TABLE spent (
    id TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER spent_not_deleted BEFORE DELETE ON spent
BEGIN SELECT RAISE(ABORT, 'spent ids are kept'); END;

DROP TRIGGER command_not_deleted;
CREATE TRIGGER command_not_deleted BEFORE DELETE ON command
WHEN OLD.ended_at IS NULL OR OLD.ended_at >= coalesce((SELECT forgotten_before FROM meta), '')
BEGIN SELECT RAISE(ABORT, 'commands are kept'); END;

DROP TRIGGER command_event_not_deleted;
CREATE TRIGGER command_event_not_deleted BEFORE DELETE ON command_event
WHEN coalesce((SELECT ended_at FROM command WHERE id = OLD.command), '~')
     >= coalesce((SELECT forgotten_before FROM meta), '')
BEGIN SELECT RAISE(ABORT, 'command_event is append-only'); END;

CREATE TRIGGER outbox_not_deleted BEFORE DELETE ON outbox WHEN OLD.published_at IS NULL
BEGIN SELECT RAISE(ABORT, 'what is not published is kept'); END;

CREATE TRIGGER reject_not_deleted BEFORE DELETE ON reject
WHEN OLD.at >= coalesce((SELECT forgotten_before FROM meta), '')
BEGIN SELECT RAISE(ABORT, 'rejects are kept'); END;

-- Whoever drops an event must find the command that names it.
CREATE INDEX command_by_newest_seq ON command (newest_seq);
CREATE INDEX command_by_end ON command (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX reject_by_time ON reject (at);
