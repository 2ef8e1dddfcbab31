-- What was chosen for a lineage at its first request or an epoch: a row per lineage, the last epoch.
CREATE TABLE lineage_pins (
    lineage_id TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    chosen_at TEXT NOT NULL,
    used_at TEXT NOT NULL,
    pin TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX lineage_pins_used_at ON lineage_pins (used_at);

-- What was learned (return times, governor, estimators), by name; a later version takes the place
-- of the one it was made from.
CREATE TABLE learned_tables (
    name TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    saved_at TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
