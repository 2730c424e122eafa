"""Which history may go: what has ended long ago, and nothing that anybody still rests on.

Kept whatever their age: locks and what holds them, unfinished commands, what no broker has confirmed, the newest drills
and the executions that the estimate is made from, API keys; and of signed LOCKs, which may be valid for ever, the id.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Final

from node.journal import rows

#: Executions of an account that are kept for its estimate; the desk asks for as many.
EXECUTIONS_KEPT: Final = 50

_HORIZON: Final = "UPDATE meta SET forgotten_before = max(coalesce(forgotten_before, ''), ?)"
_FLOOR: Final = "UPDATE meta SET seq_floor = max(seq_floor, ?)"
_ROOM: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS kept (id TEXT PRIMARY KEY) STRICT",
    "CREATE TEMP TABLE IF NOT EXISTS going (id TEXT PRIMARY KEY) STRICT",
    "DELETE FROM temp.kept",
    "DELETE FROM temp.going",
)
_KEEP_EXECUTIONS: Final = (
    "INSERT OR IGNORE INTO temp.kept SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY account,"
    " json_extract(params, '$.dry_run') ORDER BY newest_seq DESC) AS age FROM command"
    " WHERE state = 'done' AND action IN ('CLOSE_ALL', 'FLATTEN')) WHERE age <= ?"
)
_KEEP_DRILLS: Final = (
    "INSERT OR IGNORE INTO temp.kept SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY account"
    " ORDER BY newest_seq DESC) AS age FROM command WHERE ended_at IS NOT NULL"
    " AND action IN ('CLOSE_ALL', 'FLATTEN') AND json_extract(params, '$.dry_run')) WHERE age = 1"
)
#: Families: a command for many accounts goes with its children, or not at all.
_CHOOSE: Final = (
    "INSERT INTO temp.going SELECT c.id FROM command c WHERE c.parent IS NULL AND c.ended_at < ?1"
    " AND NOT EXISTS (SELECT 1 FROM command f WHERE (f.id = c.id OR f.parent = c.id) AND ("
    "  f.ended_at IS NULL OR f.ended_at >= ?1"
    "  OR f.id IN (SELECT id FROM temp.kept) OR f.id IN (SELECT command FROM lock_hold)"
    "  OR EXISTS (SELECT 1 FROM command_event e JOIN outbox o ON o.seq = e.seq"
    "   WHERE e.command = f.id AND o.published_at IS NULL)))"
    " ORDER BY c.ended_at LIMIT ?2"
)
_DROP: Final = (
    "INSERT INTO temp.going SELECT id FROM command WHERE parent IN (SELECT id FROM temp.going)",
    (
        "INSERT OR IGNORE INTO spent SELECT id FROM command"
        " WHERE id IN (SELECT id FROM temp.going) AND action = 'LOCK' AND envelope IS NOT NULL"
    ),
    "DELETE FROM outbox WHERE seq IN (SELECT seq FROM command_event WHERE command IN (SELECT id FROM temp.going))",
    # The command names its newest event, and the event its command: the one constraint waits for the commit.
    "DELETE FROM command_event WHERE command IN (SELECT id FROM temp.going)",
    "DELETE FROM command WHERE id IN (SELECT id FROM temp.going)",
)
_DROP_REJECTS: Final = "DELETE FROM reject WHERE seq IN (SELECT seq FROM reject WHERE at < ? ORDER BY at LIMIT ?)"


def forget(connection: sqlite3.Connection, before: datetime, limit: int) -> int:
    """Drop at most so many commands (with their children), and rejects, that ended before an instant; how many went.

    Call it in a transaction.
    """
    horizon = rows.instant(before)
    ((seq,),) = connection.execute(rows.SELECT_SEQ).fetchall()
    connection.execute(_FLOOR, (seq,))
    connection.execute(_HORIZON, (horizon,))
    for statement in _ROOM:
        connection.execute(statement)
    connection.execute(_KEEP_EXECUTIONS, (EXECUTIONS_KEPT,))
    connection.execute(_KEEP_DRILLS)
    chosen = connection.execute(_CHOOSE, (horizon, limit))
    if chosen.rowcount:
        for statement in _DROP:
            connection.execute(statement)
    rejects = connection.execute(_DROP_REJECTS, (horizon, limit))
    return chosen.rowcount + rejects.rowcount
