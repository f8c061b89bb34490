-- Invites, the mail they cause, and who did it. One `invite_sends` row is one confirmed send; its
-- invites and its outbox rows are written in the same transaction, so a send either exists whole or
-- not at all, and whatever was not delivered yet can be delivered by whoever finds the row.

CREATE TABLE invite_sends (
    id TEXT PRIMARY KEY NOT NULL,
    actor_id TEXT NOT NULL,
    actor_role TEXT NOT NULL,
    request_id TEXT NOT NULL,
    audit_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    -- What the key was used for: a second request with this key must carry the same fingerprint.
    fingerprint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Both set when every mail was tried: the answer that replays return.
    finished_at BIGINT,
    result TEXT,
    UNIQUE (actor_id, idempotency_key)
);
CREATE INDEX invite_sends_unfinished ON invite_sends (finished_at);

CREATE TABLE beta_invites (
    id TEXT PRIMARY KEY NOT NULL,
    send_id TEXT NOT NULL REFERENCES invite_sends (id),
    code TEXT NOT NULL UNIQUE,
    email TEXT,
    role TEXT NOT NULL CHECK (role IN ('instructor_beta', 'student_beta')),
    grant_founding_status BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    used_by_user_id TEXT REFERENCES users (id),
    -- Set when the mail could not be delivered: the code is void and its founding slot free again.
    revoked_at BIGINT,
    metadata TEXT NOT NULL DEFAULT '{}',
    created_at BIGINT NOT NULL
);
CREATE INDEX beta_invites_by_send ON beta_invites (send_id);
CREATE INDEX beta_invites_holding_slots ON beta_invites (grant_founding_status, used_at, expires_at);

CREATE TABLE mail_outbox (
    send_id TEXT NOT NULL REFERENCES invite_sends (id),
    position BIGINT NOT NULL,
    invite_id TEXT NOT NULL REFERENCES beta_invites (id),
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'failed')),
    tried_at BIGINT,
    PRIMARY KEY (send_id, position)
);

-- One row that every claim of founding slots updates first: the lock that makes counting and
-- claiming one step on databases with concurrent writers.
CREATE TABLE founding_lock (
    id BIGINT PRIMARY KEY NOT NULL,
    claims BIGINT NOT NULL
);
INSERT INTO founding_lock (id, claims) VALUES (1, 0);

-- Append-only. Numbers and flags, never addresses.
CREATE TABLE audit_log (
    id TEXT PRIMARY KEY NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    action TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_role TEXT NOT NULL,
    request_id TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    before_state TEXT,
    after_state TEXT
);
CREATE INDEX audit_log_by_time ON audit_log (occurred_at);
