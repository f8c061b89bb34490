-- What has changed since, whatever kind of record it is.
CREATE INDEX records_by_change ON records (tenant_id, owner_id, changed_at);
