-- The school's own records. Written to run unchanged on SQLite and PostgreSQL, therefore: instants
-- are BIGINT milliseconds since 1970 (UTC), days are TEXT like 2026-01-31, times of day are BIGINT
-- minutes since midnight, booleans are BIGINT 0/1, money is BIGINT minor units, ids are TEXT.
--
-- The tenant is part of every key, also of those that refer to other tables: a row cannot point
-- into another school.

CREATE TABLE tenants (
    tenant_id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    currency TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE people (
    tenant_id TEXT NOT NULL REFERENCES tenants (tenant_id),
    id TEXT NOT NULL,
    -- `sub` of the identity provider, where it is known.
    auth_id TEXT,
    -- Lower-cased by the application.
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'teacher', 'student')),
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'archived')),
    password_hash TEXT,
    last_login BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (tenant_id, id)
);

CREATE UNIQUE INDEX people_by_email ON people (tenant_id, email) WHERE deleted_at IS NULL;
CREATE INDEX people_by_name ON people (tenant_id, name_folded);

CREATE TABLE classes (
    tenant_id TEXT NOT NULL REFERENCES tenants (tenant_id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('Beginner', 'Intermediate', 'Advanced')),
    capacity BIGINT NOT NULL CHECK (capacity > 0),
    teacher_id TEXT NOT NULL,
    schedule TEXT NOT NULL,
    start_date TEXT NOT NULL,
    end_date TEXT,
    status TEXT NOT NULL CHECK (status IN ('active', 'completed', 'cancelled')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, teacher_id) REFERENCES people (tenant_id, id)
);

CREATE TABLE enrollments (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    student_id TEXT NOT NULL,
    class_id TEXT NOT NULL,
    enrollment_date TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'completed', 'dropped')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, student_id) REFERENCES people (tenant_id, id),
    FOREIGN KEY (tenant_id, class_id) REFERENCES classes (tenant_id, id)
);

CREATE UNIQUE INDEX enrollments_once ON enrollments (tenant_id, student_id, class_id)
    WHERE status = 'active';
CREATE INDEX enrollments_by_class ON enrollments (tenant_id, class_id);

CREATE TABLE attendance (
    tenant_id TEXT NOT NULL,
    class_id TEXT NOT NULL,
    session_date TEXT NOT NULL,
    student_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('present', 'absent', 'late', 'excused')),
    notes TEXT,
    recorded_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, class_id, session_date, student_id),
    FOREIGN KEY (tenant_id, class_id) REFERENCES classes (tenant_id, id),
    FOREIGN KEY (tenant_id, student_id) REFERENCES people (tenant_id, id)
);

CREATE TABLE bookings (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    student_id TEXT NOT NULL,
    teacher_id TEXT NOT NULL,
    day TEXT NOT NULL,
    starts_at_minute BIGINT NOT NULL,
    duration_minutes BIGINT NOT NULL CHECK (duration_minutes > 0),
    subject TEXT,
    notes TEXT,
    status TEXT NOT NULL CHECK (status IN ('booked', 'cancelled')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, student_id) REFERENCES people (tenant_id, id),
    FOREIGN KEY (tenant_id, teacher_id) REFERENCES people (tenant_id, id)
);

CREATE INDEX bookings_by_day ON bookings (tenant_id, day);

CREATE TABLE invoices (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    number TEXT NOT NULL,
    student_id TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    paid BIGINT NOT NULL CHECK (paid >= 0 AND paid <= amount),
    currency TEXT NOT NULL,
    description TEXT NOT NULL,
    -- JSON
    line_items TEXT NOT NULL,
    issue_date TEXT NOT NULL,
    due_date TEXT NOT NULL,
    -- `overdue` is not kept: it is what a pending invoice is after its due date.
    status TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'cancelled')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, student_id) REFERENCES people (tenant_id, id)
);

CREATE UNIQUE INDEX invoices_by_number ON invoices (tenant_id, number);
CREATE INDEX invoices_by_student ON invoices (tenant_id, student_id);

CREATE TABLE receipts (
    tenant_id TEXT NOT NULL,
    -- The number of the receipt.
    id TEXT NOT NULL,
    student_id TEXT NOT NULL,
    invoice_id TEXT,
    amount BIGINT NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    transaction_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'captured', 'declined')),
    -- Recorded as payment.
    settled BIGINT NOT NULL,
    idempotency_key TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, student_id) REFERENCES people (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id)
);

CREATE UNIQUE INDEX receipts_once ON receipts (tenant_id, requested_by, idempotency_key);

CREATE TABLE payments (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    invoice_id TEXT NOT NULL,
    student_id TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('stripe', 'cash', 'bank_transfer', 'other')),
    transaction_id TEXT,
    payment_date TEXT NOT NULL,
    notes TEXT,
    recorded_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id),
    FOREIGN KEY (tenant_id, student_id) REFERENCES people (tenant_id, id)
);

-- One transaction may settle several invoices, each once.
CREATE UNIQUE INDEX payments_once ON payments (tenant_id, transaction_id, invoice_id)
    WHERE transaction_id IS NOT NULL;

-- Append-only: who changed what.
CREATE TABLE audit (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    action TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    -- JSON
    changes TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE exports (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    template TEXT NOT NULL,
    version BIGINT NOT NULL,
    file_name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    -- Base64: text is text in every database.
    content TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE backups (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('full', 'incremental')),
    size_bytes BIGINT NOT NULL,
    place TEXT NOT NULL,
    status TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
