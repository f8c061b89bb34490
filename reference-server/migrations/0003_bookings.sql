-- What admins do with bookings, and what their money does. As before: instants are BIGINT
-- milliseconds, money is BIGINT cents, booleans are BIGINT 0/1, lists and plans are JSON as TEXT.

ALTER TABLE bookings ADD COLUMN duration_minutes BIGINT NOT NULL DEFAULT 60;
ALTER TABLE bookings ADD COLUMN location_type TEXT NOT NULL DEFAULT 'student_location';
ALTER TABLE bookings ADD COLUMN cancelled_at BIGINT;
-- What went back to the student, and how: card or credit.
ALTER TABLE bookings ADD COLUMN refunded_cents BIGINT NOT NULL DEFAULT 0;
ALTER TABLE bookings ADD COLUMN refund_method TEXT;
-- When the instructor got the money.
ALTER TABLE bookings ADD COLUMN paid_out_at BIGINT;
CREATE INDEX bookings_by_start ON bookings (starts_at);
CREATE INDEX bookings_by_creation ON bookings (created_at);
CREATE INDEX bookings_by_student ON bookings (student_id, starts_at);
CREATE INDEX users_by_role ON users (role, created_at);

-- Instructors who can be paid.
CREATE TABLE payout_accounts (
    instructor_id TEXT PRIMARY KEY NOT NULL REFERENCES users (id),
    connected_at BIGINT NOT NULL
);

-- Append-only.
CREATE TABLE booking_notes (
    id TEXT PRIMARY KEY NOT NULL,
    booking_id TEXT NOT NULL REFERENCES bookings (id),
    author_id TEXT NOT NULL,
    note TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX booking_notes_by_booking ON booking_notes (booking_id, created_at);

CREATE TABLE booking_messages (
    id TEXT PRIMARY KEY NOT NULL,
    booking_id TEXT NOT NULL REFERENCES bookings (id),
    sender_role TEXT NOT NULL CHECK (sender_role IN ('student', 'instructor')),
    sent_at BIGINT NOT NULL
);
CREATE INDEX booking_messages_by_booking ON booking_messages (booking_id, sent_at);

-- What the payment provider said about a booking.
CREATE TABLE payment_webhooks (
    id TEXT PRIMARY KEY NOT NULL,
    booking_id TEXT NOT NULL REFERENCES bookings (id),
    event_type TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('processed', 'failed')),
    received_at BIGINT NOT NULL
);
CREATE INDEX payment_webhooks_by_booking ON payment_webhooks (booking_id, received_at);

-- One row is one confirmed change of a booking, written in the transaction of the change. Whoever
-- finds one without a result still has to tell the two people, and writes the result.
CREATE TABLE booking_changes (
    id TEXT PRIMARY KEY NOT NULL,
    booking_id TEXT NOT NULL REFERENCES bookings (id),
    operation TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    audit_id TEXT NOT NULL,
    -- What happened, as the answer tells it; without who was told.
    outcome TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    result TEXT,
    UNIQUE (actor_id, operation, idempotency_key)
);
CREATE INDEX booking_changes_unfinished ON booking_changes (finished_at);

-- Who is changing a booking right now. A lock whose holder died ends by itself.
CREATE TABLE booking_locks (
    booking_id TEXT PRIMARY KEY NOT NULL REFERENCES bookings (id),
    holder TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- One row a person, updated first by every change of when something takes place: the lock that
-- makes looking for a free slot and taking it one step.
CREATE TABLE calendars (
    user_id TEXT PRIMARY KEY NOT NULL REFERENCES users (id),
    changes BIGINT NOT NULL
);
