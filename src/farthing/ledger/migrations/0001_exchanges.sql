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
) STRICT;

CREATE INDEX exchanges_opened_at ON exchanges (opened_at);
CREATE INDEX exchanges_task_id ON exchanges (task_id);
CREATE INDEX exchanges_to_close ON exchanges (state) WHERE state IN ('held', 'unsettled');

-- How tasks ended, as their caller judged it; the last word counts.
CREATE TABLE outcomes (
    task_id TEXT NOT NULL PRIMARY KEY,
    outcome TEXT NOT NULL CHECK (outcome IN ('passed', 'failed', 'abandoned')),
    score REAL
) STRICT;

-- What was spent under a scope that has a budget: settled rows at their cost, unsettled ones at
-- the upper end of their interval.
CREATE TABLE budgets (
    scope TEXT NOT NULL PRIMARY KEY,
    spent_usd INTEGER NOT NULL,
    spent_pico INTEGER NOT NULL
) STRICT;
