-- Batches created through a gateway: whose they are, and whether their results are booked. Its
-- items are rows of their own, '<batch_id>:<custom_id>'.
CREATE TABLE batches (
    batch_id TEXT NOT NULL PRIMARY KEY,
    created_at TEXT NOT NULL,
    exchange_id TEXT NOT NULL,
    attribution TEXT NOT NULL,
    scope TEXT,
    ending TEXT CHECK (ending IN ('booked', 'lost')),
    ended_at TEXT
) STRICT;
