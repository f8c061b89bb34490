-- The marketplace's own records. Written to run unchanged on SQLite and PostgreSQL, therefore:
-- instants are BIGINT milliseconds since 1970 (UTC), booleans are BIGINT 0/1, money is BIGINT cents,
-- ids are ULIDs as TEXT. Column names ending in _at are instants.

CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    -- Lower-cased by the application: LOWER() differs between databases beyond ASCII.
    name_folded TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE,
    phone TEXT,
    role TEXT NOT NULL CHECK (role IN ('instructor', 'student', 'admin')),
    created_at BIGINT NOT NULL
);

CREATE TABLE instructor_profiles (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL UNIQUE REFERENCES users (id),
    is_founding_instructor BIGINT NOT NULL DEFAULT 0,
    founding_granted_at BIGINT,
    skills_configured BIGINT NOT NULL DEFAULT 0,
    identity_verified_at BIGINT,
    background_check_uploaded_at BIGINT,
    bgc_status TEXT,
    bgc_invited_at BIGINT,
    bgc_completed_at BIGINT,
    bgc_valid_until BIGINT,
    onboarding_completed_at BIGINT,
    is_live BIGINT NOT NULL DEFAULT 0,
    response_rate DOUBLE PRECISION,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Append-only.
CREATE TABLE lifecycle_events (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    event_type TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}',
    created_at BIGINT NOT NULL
);
CREATE INDEX lifecycle_events_by_type ON lifecycle_events (event_type, occurred_at);
CREATE INDEX lifecycle_events_by_user ON lifecycle_events (user_id, occurred_at, id);

CREATE TABLE service_categories (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE
);

CREATE TABLE service_catalog (
    id TEXT PRIMARY KEY NOT NULL,
    category_id TEXT NOT NULL REFERENCES service_categories (id),
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE
);

CREATE TABLE instructor_services (
    id TEXT PRIMARY KEY NOT NULL,
    profile_id TEXT NOT NULL REFERENCES instructor_profiles (id),
    catalog_id TEXT NOT NULL REFERENCES service_catalog (id),
    hourly_rate_cents BIGINT NOT NULL,
    is_active BIGINT NOT NULL DEFAULT 1,
    UNIQUE (profile_id, catalog_id)
);

CREATE TABLE bookings (
    id TEXT PRIMARY KEY NOT NULL,
    instructor_id TEXT NOT NULL REFERENCES users (id),
    student_id TEXT NOT NULL REFERENCES users (id),
    service_id TEXT NOT NULL REFERENCES instructor_services (id),
    status TEXT NOT NULL CHECK (status IN ('PENDING', 'CONFIRMED', 'COMPLETED', 'CANCELLED', 'NO_SHOW')),
    payment_status TEXT NOT NULL CHECK (payment_status IN
        ('scheduled', 'authorized', 'payment_method_required', 'manual_review', 'locked', 'settled')),
    total_cents BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX bookings_by_instructor ON bookings (instructor_id, status);

CREATE TABLE reviews (
    id TEXT PRIMARY KEY NOT NULL,
    booking_id TEXT NOT NULL UNIQUE REFERENCES bookings (id),
    instructor_id TEXT NOT NULL REFERENCES users (id),
    rating BIGINT NOT NULL CHECK (rating BETWEEN 1 AND 5),
    created_at BIGINT NOT NULL
);
CREATE INDEX reviews_by_instructor ON reviews (instructor_id);

CREATE TABLE search_queries (
    id TEXT PRIMARY KEY NOT NULL,
    original_query TEXT NOT NULL,
    normalized_query TEXT NOT NULL,
    parsing_mode TEXT NOT NULL CHECK (parsing_mode IN ('regex', 'llm', 'hybrid')),
    result_count BIGINT NOT NULL,
    user_id TEXT REFERENCES users (id),
    session_id TEXT,
    parsing_latency_ms BIGINT NOT NULL,
    total_latency_ms BIGINT NOT NULL,
    cache_hit BIGINT NOT NULL DEFAULT 0,
    degraded BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE INDEX search_queries_by_time ON search_queries (created_at);

CREATE TABLE search_clicks (
    id TEXT PRIMARY KEY NOT NULL,
    search_query_id TEXT NOT NULL REFERENCES search_queries (id),
    service_id TEXT NOT NULL REFERENCES service_catalog (id),
    instructor_id TEXT NOT NULL REFERENCES users (id),
    position BIGINT NOT NULL CHECK (position >= 1),
    action TEXT NOT NULL CHECK (action IN ('view', 'book', 'message', 'favorite')),
    created_at BIGINT NOT NULL
);
CREATE INDEX search_clicks_by_query ON search_clicks (search_query_id, action);

-- One row per instructor as the admin sees them. The status is derived, never stored: live beats
-- everything, a finished onboarding without being live is a pause.
CREATE VIEW instructors AS
SELECT
    u.id AS user_id,
    p.id AS profile_id,
    u.first_name,
    u.last_name,
    u.name_folded,
    u.email,
    u.phone,
    CASE
        WHEN p.is_live = 1 THEN 'live'
        WHEN p.onboarding_completed_at IS NOT NULL THEN 'paused'
        WHEN p.skills_configured = 1
            OR p.background_check_uploaded_at IS NOT NULL
            OR p.bgc_invited_at IS NOT NULL THEN 'onboarding'
        ELSE 'registered'
    END AS status,
    p.is_founding_instructor,
    p.founding_granted_at,
    (SELECT MIN(e.occurred_at) FROM lifecycle_events e
        WHERE e.user_id = u.id AND e.event_type = 'went_live') AS live_at,
    p.created_at AS profile_created_at,
    p.updated_at AS profile_updated_at,
    p.identity_verified_at,
    p.background_check_uploaded_at,
    p.bgc_status,
    p.bgc_invited_at,
    p.bgc_completed_at,
    p.bgc_valid_until,
    p.onboarding_completed_at,
    p.response_rate
FROM instructor_profiles p
JOIN users u ON u.id = p.user_id;
