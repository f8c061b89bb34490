-- Counts the changes of targets, so that whoever remembers them knows when there are others.
CREATE TABLE proxy_revision (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    changes BIGINT NOT NULL
);
INSERT INTO proxy_revision (one, changes) VALUES (1, 0);
