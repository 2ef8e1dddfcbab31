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
