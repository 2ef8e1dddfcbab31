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
