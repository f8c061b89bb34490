-- Records: notes, tasks, comments, chats and chat messages, each of one owner inside one tenant.
-- Tenant and owner lead every key, so that no statement can reach a row without naming both.

-- Everybody who ever synchronised. `epoch` grows with every wipe; `changed_at` is the time of the
-- newest change, and the row that a write locks.
CREATE TABLE record_owners (
    tenant_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    wiped_at BIGINT,
    wiped_by TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, owner_id)
);

-- A row stays when its record is deleted: that is how other devices learn of it.
CREATE TABLE records (
    tenant_id TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    entity TEXT NOT NULL CHECK (entity IN ('notes', 'tasks', 'comments', 'chats', 'chat_messages')),
    uid TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- When the record was last changed, by the clock of whoever changed it: the later one wins.
    updated_at BIGINT NOT NULL,
    -- The order of changes as this database saw them, without two at one time: pages follow it.
    changed_at BIGINT NOT NULL,
    deleted_at BIGINT,
    created_at BIGINT NOT NULL,
    -- JSON, without uid, updatedTs and sync: those are columns.
    payload TEXT NOT NULL,
    PRIMARY KEY (tenant_id, owner_id, entity, uid),
    FOREIGN KEY (tenant_id, owner_id) REFERENCES record_owners (tenant_id, owner_id)
);
CREATE INDEX records_in_order ON records (tenant_id, owner_id, entity, changed_at, uid);
