-- Alerts as they were raised, and what is to be told to whom: a row per channel and message, kept
-- until it is delivered or given up ('dead'), and from then on for a month.
CREATE TABLE alerts (
    number INTEGER NOT NULL PRIMARY KEY,
    at TEXT NOT NULL,
    dedup_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('firing', 'resolved')),
    alert TEXT NOT NULL,
    message_id TEXT
) STRICT;

CREATE INDEX alerts_dedup_key ON alerts (dedup_key, number);
CREATE INDEX alerts_to_tell ON alerts (number) WHERE message_id IS NULL;

CREATE TABLE alert_deliveries (
    number INTEGER NOT NULL PRIMARY KEY,
    message_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    message TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    created_at TEXT NOT NULL,
    due_at TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    why TEXT
) STRICT;

CREATE INDEX alert_deliveries_to_do ON alert_deliveries (channel, number)
    WHERE state IN ('waiting', 'dead');
