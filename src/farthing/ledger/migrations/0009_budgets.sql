-- The budgets that an exchange is held and spent in, beside 'scope': a JSON list of keys, each a
-- scope and a window ('everything@day:2026-11-21T00:00Z'). 'budgets' has a line for each key.
ALTER TABLE exchanges ADD COLUMN budget_keys TEXT;
