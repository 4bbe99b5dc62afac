-- What people query. Everything here follows from events and is written by the projector alone (adapters/postgres/projector.py).
--
-- Money (_m) is in minor units of the row's currency, prices are decimal odds x 10 000, times (_ms) are milliseconds since
-- 1970; ts is the same time for people, computed when read. Ids compare bytewise (COLLATE "C"), as in the engine.
--
-- A bet's or a reserve's id may be used again once the engine has forgotten it (DESIGN promise 4), so the key is the number
-- of the event it began with. NOT ENFORCED foreign keys (hot tables) say what belongs together without the price of a look-up
-- per row; `tictac audit` checks them (docs/adr/0005-what-the-hot-tables-check.md).

CREATE TABLE rejections (
    code smallint PRIMARY KEY,
    name text NOT NULL UNIQUE
);
COMMENT ON TABLE rejections IS 'core/messages/rejections.py; filled by the projector at its start.';

CREATE TABLE bet_statuses (
    code smallint PRIMARY KEY,
    name text NOT NULL UNIQUE
);
COMMENT ON TABLE bet_statuses IS 'BetStatus of core/messages/events.py; filled by the projector at its start.';

CREATE TABLE engine_starts (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    term bigint NOT NULL,
    instance text NOT NULL,
    release text NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);

-- Customers and money.

-- numeric: a sum of accepted deposits may exceed 64 bits, and a projector must not be stopped by somebody's deposit.
CREATE TABLE customers (
    customer text COLLATE "C" PRIMARY KEY,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    opened_ms bigint NOT NULL,
    suspended boolean NOT NULL DEFAULT false,
    cash_m numeric(30) NOT NULL DEFAULT 0,
    open_stakes_m numeric(30) NOT NULL DEFAULT 0 CHECK (open_stakes_m >= 0),
    reserved_m numeric(30) NOT NULL DEFAULT 0 CHECK (reserved_m >= 0),
    opened timestamptz GENERATED ALWAYS AS (to_timestamp(opened_ms / 1000.0)) VIRTUAL
) WITH (fillfactor = 50); -- balances change all the time and are in no index: room for the new row on the old one's page
COMMENT ON COLUMN customers.cash_m IS 'Below zero only by a resettlement (DESIGN promise 5).';

CREATE TABLE house_accounts (
    account text COLLATE "C" NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    balance_m numeric(30) NOT NULL,
    PRIMARY KEY (account, currency)
) WITH (fillfactor = 50);

CREATE VIEW accounts AS
    SELECT customer, account, currency, balance_m
    FROM customers, LATERAL (VALUES ('cash', cash_m), ('open_stakes', open_stakes_m), ('reserved', reserved_m)) a (account, balance_m)
    UNION ALL
    SELECT NULL, account, currency, balance_m FROM house_accounts;

CREATE TABLE ledger_entries (
    event_no bigint NOT NULL REFERENCES events NOT ENFORCED,
    line smallint NOT NULL,
    ts_ms bigint NOT NULL,
    customer text COLLATE "C" NOT NULL REFERENCES customers NOT ENFORCED,
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    amount_m bigint NOT NULL CHECK (amount_m > 0),
    currency text NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    PRIMARY KEY (customer, event_no, line), -- a customer's statement in order; one index less to write
    CONSTRAINT ledger_entries_two_accounts CHECK (source <> target)
);
COMMENT ON TABLE ledger_entries IS 'amount_m went from account source to account target (core/ledger.py): one row takes and gives, so it cannot be out of balance.';
CREATE INDEX ledger_entries_event ON ledger_entries USING brin (event_no); -- rows lie in this order

CREATE VIEW ledger_postings AS
    SELECT event_no, line, ts, customer, account, signed_m, currency
    FROM ledger_entries, LATERAL (VALUES (source, -amount_m), (target, amount_m)) p (account, signed_m);
COMMENT ON VIEW ledger_postings IS 'The ledger as signed entries, two for every transfer. A name with a colon is the house''s account.';

CREATE TABLE payments (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('deposit', 'withdrawal', 'reserve')),
    customer text COLLATE "C" NOT NULL REFERENCES customers,
    currency text NOT NULL,
    amount_m bigint NOT NULL CHECK (amount_m > 0),
    provider text NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
CREATE INDEX payments_id ON payments (id);
CREATE INDEX payments_customer ON payments (customer, ts_ms);

CREATE TABLE reserves (
    reserve_no bigint PRIMARY KEY REFERENCES payments (event_no),
    hold_until_ms bigint NOT NULL,
    status text NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'posted', 'voided')),
    posted_m bigint NOT NULL DEFAULT 0 CHECK (posted_m >= 0),
    closed_no bigint REFERENCES events NOT ENFORCED,
    CONSTRAINT reserves_closed_when_decided CHECK ((status = 'held') = (closed_no IS NULL))
);
CREATE INDEX reserves_held ON reserves (reserve_no) WHERE status = 'held';

-- Fixtures and markets.

CREATE TABLE fixtures (
    fixture text COLLATE "C" PRIMARY KEY,
    source text NOT NULL,
    name text NOT NULL,
    sport text NOT NULL,
    competition text NOT NULL,
    start_ms bigint NOT NULL,
    start timestamptz GENERATED ALWAYS AS (to_timestamp(start_ms / 1000.0)) VIRTUAL
);
CREATE INDEX fixtures_start ON fixtures (start_ms);

CREATE TABLE markets (
    fixture text COLLATE "C" NOT NULL REFERENCES fixtures,
    market text COLLATE "C" NOT NULL,
    source text NOT NULL,
    market_type text NOT NULL,
    name text NOT NULL,
    market_group text NOT NULL,
    winners integer NOT NULL CHECK (winners > 0),
    cut_off_ms bigint NOT NULL,
    suspended boolean NOT NULL DEFAULT false,
    settled boolean NOT NULL DEFAULT false,
    archived boolean NOT NULL DEFAULT false,
    PRIMARY KEY (fixture, market)
);
COMMENT ON COLUMN markets.suspended IS 'By the desk; a feed''s suspensions are live and not journalled.';
COMMENT ON COLUMN markets.archived IS 'Long settled: the engine has forgotten it.';

CREATE TABLE selections (
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    selection text COLLATE "C" NOT NULL,
    place integer NOT NULL,
    name text NOT NULL,
    price integer NOT NULL DEFAULT 0 CHECK (price >= 0),
    result smallint CHECK (result IN (0, 1)),
    void_factor integer CHECK (void_factor BETWEEN 0 AND 10000),
    dead_heat_places smallint CHECK (dead_heat_places > 0),
    dead_heat_sharing smallint CHECK (dead_heat_sharing > 0),
    PRIMARY KEY (fixture, market, selection),
    FOREIGN KEY (fixture, market) REFERENCES markets,
    CONSTRAINT selections_result_whole CHECK (num_nulls(result, void_factor, dead_heat_places, dead_heat_sharing) IN (0, 4))
);
COMMENT ON COLUMN selections.price IS 'The desk''s own price; 0: the feed''s holds.';

CREATE TABLE market_results (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    source text NOT NULL,
    sequence bigint NOT NULL,
    results jsonb NOT NULL,
    reason text NOT NULL,
    rolled_back_no bigint REFERENCES events NOT ENFORCED,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    FOREIGN KEY (fixture, market) REFERENCES markets
);
COMMENT ON TABLE market_results IS 'Every result ever given; the last one not rolled back stands in selections. results: [[selection, result, void_factor, dead_heat_places, dead_heat_sharing], ...].';
CREATE INDEX market_results_market ON market_results (fixture, market);

CREATE TABLE market_cancels (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    source text NOT NULL,
    sequence bigint NOT NULL,
    from_ms bigint NOT NULL,
    to_ms bigint NOT NULL,
    reason text NOT NULL,
    rolled_back_no bigint REFERENCES events NOT ENFORCED,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    FOREIGN KEY (fixture, market) REFERENCES markets
);
COMMENT ON TABLE market_cancels IS 'Bets placed from from_ms until before to_ms (0: open-ended) are void on the market, unless rolled back.';
CREATE INDEX market_cancels_market ON market_cancels (fixture, market);

-- Bets.

CREATE TABLE bets (
    bet_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    id text COLLATE "C" NOT NULL,
    ts_ms bigint NOT NULL,
    customer text COLLATE "C" NOT NULL REFERENCES customers NOT ENFORCED,
    currency text NOT NULL,
    stake_m bigint NOT NULL CHECK (stake_m > 0),
    payout_m bigint NOT NULL CHECK (payout_m > 0),
    status smallint NOT NULL DEFAULT 0 REFERENCES bet_statuses NOT ENFORCED,
    paid_m bigint NOT NULL DEFAULT 0 CHECK (paid_m >= 0),
    settled_ms bigint,
    voided boolean NOT NULL DEFAULT false,
    accepted timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    settled timestamptz GENERATED ALWAYS AS (to_timestamp(settled_ms / 1000.0)) VIRTUAL,
    CONSTRAINT bets_settled_unless_open CHECK ((status = 0) = (settled_ms IS NULL))
) WITH (fillfactor = 70); -- as for customers: what a settlement changes is in no index
COMMENT ON COLUMN bets.payout_m IS 'What is paid if every leg wins, stake included.';
CREATE INDEX bets_id ON bets (id, bet_no);
CREATE INDEX bets_customer ON bets (customer, ts_ms);

-- An index of open bets would have to be written at every settlement, and would cost each of them its cheap update in place.
CREATE VIEW open_bets AS
    SELECT b.* FROM customers c JOIN bets b USING (customer) WHERE c.open_stakes_m > 0 AND b.status = 0;

CREATE TABLE bet_legs (
    bet_no bigint NOT NULL REFERENCES bets NOT ENFORCED,
    leg smallint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    selection text COLLATE "C" NOT NULL,
    price integer NOT NULL CHECK (price > 10000),
    requested integer NOT NULL,
    version bigint NOT NULL,
    producer text NOT NULL,
    sequence bigint NOT NULL,
    in_play boolean NOT NULL,
    PRIMARY KEY (bet_no, leg),
    FOREIGN KEY (fixture, market, selection) REFERENCES selections NOT ENFORCED
);
COMMENT ON TABLE bet_legs IS 'With what the bet was decided on: price used and shown, the market''s version, the producer and its feed sequence.';
CREATE INDEX bet_legs_market ON bet_legs (fixture, market, selection);

CREATE TABLE bet_rejections (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    id text COLLATE "C" NOT NULL,
    ts_ms bigint NOT NULL,
    customer text COLLATE "C" NOT NULL REFERENCES customers NOT ENFORCED,
    stake_m bigint NOT NULL,
    legs jsonb NOT NULL,
    reason smallint NOT NULL REFERENCES rejections NOT ENFORCED,
    leg integer NOT NULL,
    price integer NOT NULL,
    passed_limit bigint NOT NULL,
    stake_accepted_m bigint NOT NULL,
    detail text NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
COMMENT ON TABLE bet_rejections IS 'legs: [[fixture, market, selection, price asked for], ...]; the rest as in the answer Rejected.';
CREATE INDEX bet_rejections_id ON bet_rejections (id);
CREATE INDEX bet_rejections_customer ON bet_rejections (customer, ts_ms);

CREATE TABLE command_rejections (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    id text COLLATE "C" NOT NULL,
    ts_ms bigint NOT NULL,
    command text NOT NULL,
    customer text COLLATE "C" NOT NULL,
    author text NOT NULL,
    reason smallint NOT NULL REFERENCES rejections NOT ENFORCED,
    passed_limit bigint NOT NULL,
    detail text NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
COMMENT ON TABLE command_rejections IS 'Commands other than bets that were refused; customer or author may be empty.';
CREATE INDEX command_rejections_id ON command_rejections (id);

CREATE TABLE settlements (
    bet_no bigint NOT NULL REFERENCES bets NOT ENFORCED,
    event_no bigint NOT NULL REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    was smallint NOT NULL REFERENCES bet_statuses NOT ENFORCED,
    was_paid_m bigint NOT NULL CHECK (was_paid_m >= 0),
    status smallint NOT NULL REFERENCES bet_statuses NOT ENFORCED,
    paid_m bigint NOT NULL CHECK (paid_m >= 0),
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    PRIMARY KEY (bet_no, event_no)
);
CREATE INDEX settlements_event ON settlements USING brin (event_no);
COMMENT ON TABLE settlements IS 'Every change of a bet''s status or payout: settled, corrected, open again. The last one stands in bets.';

CREATE TABLE desk_actions (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    author text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
COMMENT ON TABLE desk_actions IS 'Who did what to what, and why. action: the event''s name; target: ids, from the fixture inwards.';
CREATE INDEX desk_actions_author ON desk_actions (author, ts_ms);
