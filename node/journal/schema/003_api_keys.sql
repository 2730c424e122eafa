-- API keys of the risk API, without their secrets, and what a restart must not forget of their use.

CREATE TABLE api_key (
    id         TEXT PRIMARY KEY NOT NULL,
    owner      TEXT NOT NULL,
    label      TEXT,
    digest     BLOB NOT NULL CHECK (length(digest) = 32),  -- SHA-256 of the secret
    scopes     TEXT NOT NULL,                              -- JSON
    accounts   TEXT,                                       -- JSON; NULL: every account of the owner
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT
) STRICT;

CREATE INDEX api_key_by_owner ON api_key (owner);

CREATE TABLE api_key_usage (
    key          TEXT PRIMARY KEY NOT NULL REFERENCES api_key (id),
    last_used_at TEXT NOT NULL,
    taken        TEXT NOT NULL                             -- JSON: per rate bucket the instants in its window
) STRICT;

CREATE TRIGGER api_key_at_most_five_active BEFORE INSERT ON api_key
WHEN (
    SELECT count(*) FROM api_key
     WHERE owner = NEW.owner AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > NEW.created_at)
) >= 5
BEGIN SELECT RAISE(ABORT, 'an owner has at most 5 active keys'); END;

CREATE TRIGGER api_key_meaning_is_fixed
BEFORE UPDATE OF id, owner, digest, scopes, accounts, created_at ON api_key
BEGIN SELECT RAISE(ABORT, 'what a key means is fixed'); END;

CREATE TRIGGER api_key_stays_revoked BEFORE UPDATE OF revoked_at ON api_key
WHEN OLD.revoked_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a revoked key stays revoked'); END;

CREATE TRIGGER api_key_expires_no_later BEFORE UPDATE OF expires_at ON api_key
WHEN OLD.expires_at IS NOT NULL AND (NEW.expires_at IS NULL OR NEW.expires_at > OLD.expires_at)
BEGIN SELECT RAISE(ABORT, 'the life of a key is only ever shortened'); END;

CREATE TRIGGER api_key_not_deleted BEFORE DELETE ON api_key
BEGIN SELECT RAISE(ABORT, 'keys are kept'); END;
