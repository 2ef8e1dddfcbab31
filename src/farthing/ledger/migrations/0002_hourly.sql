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
