-- The schema as it stands after every migration; a test compares the two.

CREATE TABLE migrations (
    number INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;

-- One row per exchange: the intent, then how it ended. No prompt text, no keys.
--
-- Money is two integers, whole dollars and the remainder in 10^-12 USD (0 <= pico < 10^12), so that
-- neither a row nor a sum can leave 64 bits. Instants are UTC text, 2026-11-21T02:50:00.000000Z.
CREATE TABLE exchanges (
    exchange_id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL
        CHECK (state IN ('held', 'settled', 'released', 'expired', 'unsettled')),
    opened_at TEXT NOT NULL,
    task_id TEXT NOT NULL,
    parent_task_id TEXT,
    root_task_id TEXT NOT NULL,
    task_type TEXT,
    key_scope TEXT NOT NULL,
    session_id TEXT,
    agent_id TEXT,
    attributed_by TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    path TEXT NOT NULL,
    model_asked TEXT,
    is_streamed INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    body_digest TEXT NOT NULL,
    scope TEXT,
    reservation_id TEXT,
    hold_usd INTEGER,
    hold_pico INTEGER,
    worst_usd INTEGER,
    worst_pico INTEGER,
    engine_version TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    ended_at TEXT,
    model_served TEXT,
    uncached_tokens INTEGER,
    cache_write_5m_tokens INTEGER,
    cache_write_1h_tokens INTEGER,
    cache_read_tokens INTEGER,
    output_tokens INTEGER,
    output_thinking_tokens INTEGER,
    web_search_requests INTEGER,
    web_fetch_requests INTEGER,
    code_execution_requests INTEGER,
    usage_more TEXT,
    cost_usd INTEGER,
    cost_pico INTEGER,
    cost_parts TEXT,
    low_usd INTEGER,
    low_pico INTEGER,
    high_usd INTEGER,
    high_pico INTEGER,
    rate_card_id TEXT,
    baseline_usd INTEGER,
    baseline_pico INTEGER,
    http_status INTEGER,
    stop_reason TEXT,
    error_type TEXT,
    provider_request_id TEXT,
    message_id TEXT,
    attempts INTEGER,
    response_bytes INTEGER,
    overhead_us INTEGER,
    ttft_us INTEGER,
    total_us INTEGER,
    plan TEXT,
    notes TEXT
    , budget_keys TEXT) STRICT;

CREATE INDEX exchanges_opened_at ON exchanges (opened_at);
CREATE INDEX exchanges_task_id ON exchanges (task_id);
CREATE INDEX exchanges_to_close ON exchanges (state) WHERE state IN ('held', 'unsettled');

-- How tasks ended, as their caller judged it; the last word counts. Type and parent are of tasks
-- that make no call themselves; the others are known by their exchanges.
CREATE TABLE outcomes (
    task_id TEXT NOT NULL PRIMARY KEY,
    outcome TEXT NOT NULL CHECK (outcome IN ('passed', 'failed', 'abandoned')),
    score REAL
    , task_type TEXT, parent_task_id TEXT) STRICT;

-- What was spent under a scope that has a budget: settled rows at their cost, unsettled ones at
-- the upper end of their interval.
CREATE TABLE budgets (
    scope TEXT NOT NULL PRIMARY KEY,
    spent_usd INTEGER NOT NULL,
    spent_pico INTEGER NOT NULL
) STRICT;

-- Read model: per hour x task type x model, changed in the transaction that changes the row.
-- Ended exchanges only. An unknown task type or model is ''. The hour is that of opened_at.
CREATE TABLE hourly (
    hour TEXT NOT NULL,
    task_type TEXT NOT NULL,
    model TEXT NOT NULL,
    settled INTEGER NOT NULL,
    released INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    unsettled INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    uncached_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd INTEGER NOT NULL,
    cost_pico INTEGER NOT NULL,
    baseline_usd INTEGER NOT NULL,
    baseline_pico INTEGER NOT NULL,
    compared_usd INTEGER NOT NULL,
    compared_pico INTEGER NOT NULL,
    low_usd INTEGER NOT NULL,
    low_pico INTEGER NOT NULL,
    high_usd INTEGER NOT NULL,
    high_pico INTEGER NOT NULL,
    PRIMARY KEY (hour, task_type, model)
) STRICT, WITHOUT ROWID;

-- Single facts about this file; 'rows_from': rows opened before this hour were deleted on request.
CREATE TABLE facts (
    name TEXT NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

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

-- The journal of decisions: each entry seals the one before it, the head says where it ends. These
-- triggers stop programs and slips; the seals show what somebody does who removes the triggers.
CREATE TABLE audit_log (
    number INTEGER NOT NULL PRIMARY KEY,
    event TEXT NOT NULL,
    digest BLOB NOT NULL
) STRICT;

CREATE TABLE audit_head (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    count INTEGER NOT NULL,
    digest BLOB NOT NULL,
    seal BLOB NOT NULL
) STRICT;

CREATE TRIGGER audit_log_keeps_entries BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER audit_log_loses_nothing BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER audit_head_only_advances BEFORE UPDATE ON audit_head WHEN NEW.count <> OLD.count + 1
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

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

-- Virtual keys: a row per key, kept for ever. Of a secret only a salted digest is in the body.
CREATE TABLE virtual_keys (
    place INTEGER NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- How often keys were changed, so that a gateway sees at a glance that there is something new.
CREATE TABLE key_changes (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    count INTEGER NOT NULL
) STRICT;

INSERT INTO key_changes (only, count) VALUES (1, 0);

CREATE TRIGGER virtual_keys_added AFTER INSERT ON virtual_keys
BEGIN
    UPDATE key_changes SET count = count + 1;
END;

CREATE TRIGGER virtual_keys_changed AFTER UPDATE ON virtual_keys
BEGIN
    UPDATE key_changes SET count = count + 1;
END;

CREATE TRIGGER virtual_keys_stay BEFORE DELETE ON virtual_keys
BEGIN
    SELECT RAISE(ABORT, 'a key is revoked, never deleted');
END;

-- What the rows of a batch hold in budgets, from its creation until nothing of it is left to book:
-- JSON without any text of a request. Which rows are booked is in 'exchanges'.
CREATE TABLE batch_holds (
    batch_id TEXT NOT NULL PRIMARY KEY,
    created_at TEXT NOT NULL,
    held TEXT NOT NULL
) STRICT;
