-- A task that makes no call itself is known by its outcome alone: its type and parent with it.
ALTER TABLE outcomes ADD COLUMN task_type TEXT;
ALTER TABLE outcomes ADD COLUMN parent_task_id TEXT;
