-- What the guard of an account must not forget while it is locked: the baseline, and a person's word on its mode.

CREATE TABLE guard (
    account  TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL,                                -- JSON
    at       TEXT NOT NULL
) STRICT;

-- For the newest drill of each account.
CREATE INDEX command_closes_done ON command (account, newest_seq)
WHERE state = 'done' AND action IN ('CLOSE_ALL', 'FLATTEN');
