-- What an exchange was compared with: the cost of the client's own request, and calls of our own for
-- it. 'foreseen' is what the model of the prompt cache said of what was sent, before it was sent.
-- No row: nothing to compare (an answer without a usage, a model without a price).
CREATE TABLE accountings (
    exchange_id TEXT NOT NULL PRIMARY KEY,
    baseline_usd INTEGER NOT NULL,
    baseline_pico INTEGER NOT NULL,
    own_cost_usd INTEGER NOT NULL,
    own_cost_pico INTEGER NOT NULL,
    foreseen_uncached_tokens INTEGER,
    foreseen_cache_write_5m_tokens INTEGER,
    foreseen_cache_write_1h_tokens INTEGER,
    foreseen_cache_read_tokens INTEGER,
    miss_cause TEXT,
    is_held_out INTEGER NOT NULL,
    workload TEXT NOT NULL
) STRICT;

-- Per exchange and lever that acted, in the order of ablation: measured, and predicted before it was
-- sent. What an exchange's levers saved is its baseline minus its cost, exactly.
CREATE TABLE lever_savings (
    exchange_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    lever TEXT NOT NULL,
    saved_usd INTEGER NOT NULL,
    saved_pico INTEGER NOT NULL,
    predicted_usd INTEGER,
    predicted_pico INTEGER,
    PRIMARY KEY (exchange_id, place)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER accountings_go AFTER DELETE ON exchanges BEGIN
    DELETE FROM accountings WHERE exchange_id = OLD.exchange_id;
    DELETE FROM lever_savings WHERE exchange_id = OLD.exchange_id;
END;

-- Read model: per hour x task type x model x lever, changed in the transaction that changes the row.
-- Settled exchanges with a price and a comparison only. The lever '' is all of them, with or without
-- a lever that acted; a line of a lever is those on which it acted.
CREATE TABLE hourly_savings (
    hour TEXT NOT NULL,
    task_type TEXT NOT NULL,
    model TEXT NOT NULL,
    lever TEXT NOT NULL,
    exchanges INTEGER NOT NULL,
    held_out INTEGER NOT NULL,
    foretold INTEGER NOT NULL,
    baseline_usd INTEGER NOT NULL,
    baseline_pico INTEGER NOT NULL,
    cost_usd INTEGER NOT NULL,
    cost_pico INTEGER NOT NULL,
    saved_usd INTEGER NOT NULL,
    saved_pico INTEGER NOT NULL,
    own_cost_usd INTEGER NOT NULL,
    own_cost_pico INTEGER NOT NULL,
    predicted_usd INTEGER NOT NULL,
    predicted_pico INTEGER NOT NULL,
    PRIMARY KEY (hour, task_type, model, lever)
) STRICT, WITHOUT ROWID;
