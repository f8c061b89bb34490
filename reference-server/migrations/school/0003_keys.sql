-- A key of process_payment is good in the whole school, whoever sends it. Receipts for which
-- several admins used the same key stay as they are: each knows how many of them came before it.
-- Nothing that is new comes behind others.
DROP INDEX receipts_once;
ALTER TABLE receipts ADD COLUMN older_namesakes BIGINT NOT NULL DEFAULT 0;
CREATE INDEX receipts_by_key ON receipts (tenant_id, idempotency_key, id);
UPDATE receipts SET older_namesakes = (
    SELECT COUNT(*) FROM receipts o
    WHERE o.tenant_id = receipts.tenant_id AND o.idempotency_key = receipts.idempotency_key
        AND o.id < receipts.id
)
WHERE EXISTS (
    SELECT 1 FROM receipts o
    WHERE o.tenant_id = receipts.tenant_id AND o.idempotency_key = receipts.idempotency_key
        AND o.id < receipts.id
);
DROP INDEX receipts_by_key;
CREATE UNIQUE INDEX receipts_once ON receipts (tenant_id, idempotency_key, older_namesakes);

-- Transactions are looked up without regard to case and to spaces around them.
CREATE INDEX receipts_by_transaction ON receipts (tenant_id, LOWER(TRIM(transaction_id)));
CREATE INDEX payments_by_transaction ON payments (tenant_id, LOWER(TRIM(transaction_id)));
