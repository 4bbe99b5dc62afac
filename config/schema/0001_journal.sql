-- The journal's events, as they were written, and how far the projector has come.
--
-- body is the event's msgpack, byte for byte: the journal, this table and the hash speak of the same bytes, whatever the
-- program's release; nothing in it can be refused (jsonb refuses a NUL, rounds no number but reorders keys); it is half
-- the size of JSON and costs the projector nothing. People read the tables of 0002, or `tictac audit --events`.

CREATE TABLE event_types (
    code smallint PRIMARY KEY,
    name text NOT NULL UNIQUE
);
COMMENT ON TABLE event_types IS 'Tags of core/messages/events.py; filled by the projector at its start.';

CREATE TABLE events (
    event_no bigint PRIMARY KEY,
    sequence bigint NOT NULL,
    ts_ms bigint NOT NULL,
    type smallint NOT NULL,
    body bytea NOT NULL,
    hash bytea NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    CONSTRAINT events_numbered_from_one CHECK (event_no > 0),
    CONSTRAINT events_type FOREIGN KEY (type) REFERENCES event_types NOT ENFORCED
);
COMMENT ON TABLE events IS 'Append-only. hash = sha256(hash of the event before || body); 32 zero bytes stand before the first.';
COMMENT ON COLUMN events.sequence IS 'Sequence of the batch in the stream JOURNAL.';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Per statement: it costs an insert nothing, and refuses even a statement that would touch no row.
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE projection (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequence bigint NOT NULL,
    event_no bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
COMMENT ON TABLE projection IS 'The last batch and event that stand in all tables: moved in the transaction that writes them.';
INSERT INTO projection (sequence, event_no, hash) VALUES (0, 0, decode(repeat('00', 32), 'hex'));
