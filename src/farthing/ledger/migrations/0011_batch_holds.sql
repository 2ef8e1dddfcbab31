-- What the rows of a batch hold in budgets, from its creation until nothing of it is left to book:
-- JSON without any text of a request. Which rows are booked is in 'exchanges'.
CREATE TABLE batch_holds (
    batch_id TEXT NOT NULL PRIMARY KEY,
    created_at TEXT NOT NULL,
    held TEXT NOT NULL
) STRICT;
