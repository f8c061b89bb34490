-- What the reverse proxy answers for. The owner is an opaque name of a caller.
CREATE TABLE proxy_targets (
    hostname     TEXT PRIMARY KEY,
    target_url   TEXT NOT NULL,
    owner        TEXT NOT NULL,
    tenant       TEXT,
    created_by   TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    enable_http  BIGINT NOT NULL,
    enable_https BIGINT NOT NULL,
    auth_enabled BIGINT NOT NULL
);

-- One row for every request. It keeps the owner of that time: whoever gets a host name later does
-- not read about the time before. Requests for hosts that nobody has are owned by nobody ('').
CREATE TABLE proxy_requests (
    id         TEXT PRIMARY KEY,
    at         BIGINT NOT NULL,
    owner      TEXT NOT NULL,
    hostname   TEXT NOT NULL,
    severity   BIGINT NOT NULL,
    status     BIGINT NOT NULL,
    entry      TEXT NOT NULL
);
CREATE INDEX proxy_requests_by_time ON proxy_requests (at);
CREATE INDEX proxy_requests_by_owner ON proxy_requests (owner, at);

-- Commands that ran: by whom, exactly what, and how it went.
CREATE TABLE proxy_commands (
    id         TEXT PRIMARY KEY,
    at         BIGINT NOT NULL,
    subject    TEXT NOT NULL,
    request_id TEXT NOT NULL,
    argv       TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    exit_code  BIGINT,
    duration_ms BIGINT NOT NULL,
    bytes      BIGINT NOT NULL
);
