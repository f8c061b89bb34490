-- Counts what was written, so that pages which are kept are known to be old.
ALTER TABLE tenants ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
