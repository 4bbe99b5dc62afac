-- Exchange markets: orders, matches, what positions were settled at.
--
-- All of it is history, one row a fact, and nothing is ever changed: what rests of an order, and what a position has come to,
-- are views over it (order_states, position_states). An order's id may be taken again once the engine has forgotten it; the
-- latest of an id is meant.

ALTER TABLE customers
    ADD COLUMN exposure_m numeric(30) NOT NULL DEFAULT 0;
COMMENT ON COLUMN customers.exposure_m IS 'Set aside for orders and positions in exchange markets.';
ALTER TABLE markets
    ADD COLUMN exchange jsonb;
COMMENT ON COLUMN markets.exchange IS 'How customers'' orders are matched in it; NULL: it takes none.';
ALTER TABLE selections
    ADD COLUMN reduction_bp smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN selections.reduction_bp IS 'Withdrawn: what the others'' matched prices fall by in an exchange market, x 10 000.';

CREATE OR REPLACE VIEW accounts AS
    SELECT customer, account, currency, balance_m
    FROM customers, LATERAL (VALUES ('cash', cash_m), ('open_stakes', open_stakes_m), ('reserved', reserved_m),
                                    ('bonus', bonus_m), ('exposure', exposure_m)) a (account, balance_m)
    UNION ALL
    SELECT NULL, account, currency, balance_m FROM house_accounts;

CREATE TABLE order_ends (
    code smallint PRIMARY KEY,
    name text NOT NULL
);
COMMENT ON TABLE order_ends IS 'Why orders rest no more.';

CREATE TABLE orders (
    order_no bigint NOT NULL,
    step smallint NOT NULL,
    id text COLLATE "C" NOT NULL,
    ts_ms bigint NOT NULL,
    customer text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    selection text COLLATE "C" NOT NULL,
    side smallint NOT NULL CHECK (side IN (1, 2)),
    price integer NOT NULL,
    stake_m bigint NOT NULL,
    on_close boolean NOT NULL,
    persistence smallint NOT NULL,
    lapsed_m bigint NOT NULL,
    why smallint NOT NULL,
    replaces text COLLATE "C" NOT NULL,
    waited boolean NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    PRIMARY KEY (order_no, step)
);
COMMENT ON TABLE orders IS 'Orders as they came in. order_no: the event; step: its place in a batch. side 1 back, 2 lay; price 0: any, on close; stake_m: the backer''s, of a lay on close what it may lose; persistence 0 lapse, 1 persist, 2 on close; lapsed_m: at once, and why; waited: it had waited for the in-play delay.';
CREATE INDEX orders_id ON orders (id, order_no);
CREATE INDEX orders_customer ON orders (customer, ts_ms);
CREATE INDEX orders_market ON orders (fixture, market);

CREATE TABLE order_waits (
    event_no bigint NOT NULL,
    step smallint NOT NULL,
    id text COLLATE "C" NOT NULL,
    ts_ms bigint NOT NULL,
    customer text COLLATE "C" NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    until_ms bigint NOT NULL,
    command jsonb NOT NULL,
    PRIMARY KEY (event_no, step)
);
COMMENT ON TABLE order_waits IS 'Orders in play that wait for the market''s delay.';
CREATE INDEX order_waits_id ON order_waits (id, event_no);

CREATE TABLE order_changes (
    event_no bigint NOT NULL,
    line smallint NOT NULL,
    ts_ms bigint NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    change text NOT NULL CHECK (change IN ('ended', 'reduced')),
    by_m bigint NOT NULL,
    why smallint NOT NULL,
    reason smallint NOT NULL,
    PRIMARY KEY (event_no, line)
);
COMMENT ON TABLE order_changes IS 'ended: nothing of it rests any more, and why (order_ends); reason: the rejection of one that was refused after its delay. reduced: by_m less rests.';
CREATE INDEX order_changes_order ON order_changes (order_id, event_no);

CREATE TABLE order_refusals (
    event_no bigint NOT NULL,
    step smallint NOT NULL,
    ts_ms bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    reason smallint NOT NULL,
    passed_limit bigint NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (event_no, step)
);
COMMENT ON TABLE order_refusals IS 'Instructions of batches that were refused; whole commands are in command_rejections.';

CREATE TABLE trades (
    event_no bigint NOT NULL,
    line integer NOT NULL,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    selection text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    side smallint NOT NULL CHECK (side IN (1, 2)),
    price integer NOT NULL,
    stake_m bigint NOT NULL,
    between smallint NOT NULL,
    taker boolean NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    PRIMARY KEY (event_no, line)
);
COMMENT ON TABLE trades IS 'A row for each side of each match. between 0: backer and layer were matched with each other; 1: across selections, 2: at the starting price, the house standing between.';
CREATE INDEX trades_order ON trades (order_id, event_no);
CREATE INDEX trades_position ON trades (fixture, market, customer);

CREATE TABLE position_settlements (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    was_net_m bigint NOT NULL,
    was_commission_m bigint NOT NULL,
    settled boolean NOT NULL,
    net_m bigint NOT NULL,
    commission_m bigint NOT NULL CHECK (commission_m >= 0),
    exposure_m bigint NOT NULL
);
COMMENT ON TABLE position_settlements IS 'What a customer''s position in an exchange market has come to, with every correction; the latest holds. exposure_m: by how much what is set aside has changed.';
CREATE INDEX position_settlements_position ON position_settlements (fixture, market, customer, event_no);

CREATE TABLE exchange_clearings (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    why smallint NOT NULL
);
COMMENT ON TABLE exchange_clearings IS 'An exchange market turned in play, or was suspended for something material.';

CREATE TABLE exchange_starting_prices (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    selection text COLLATE "C" NOT NULL,
    price integer NOT NULL
);
COMMENT ON TABLE exchange_starting_prices IS 'Starting prices made in exchange markets; 0: there was none.';

CREATE TABLE market_archivings (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL
);
COMMENT ON TABLE market_archivings IS 'From then on the engine knows nothing of the market; one that is defined again begins anew.';
CREATE INDEX market_archivings_market ON market_archivings (fixture, market);

CREATE VIEW order_states AS
    SELECT o.*, coalesce(t.matched_m, 0) AS matched_m, coalesce(t.paid, 0) AS paid,
           CASE WHEN coalesce(c.ended, false) OR coalesce(r.replaced, false) THEN 0
                ELSE o.stake_m - o.lapsed_m - coalesce(t.matched_m, 0) - coalesce(c.reduced_m, 0) END AS resting_m
    FROM orders o
    LEFT JOIN LATERAL (SELECT sum(stake_m) AS matched_m, sum(stake_m::numeric * price) AS paid FROM trades
                       WHERE order_id = o.id AND event_no >= o.order_no) t ON true
    LEFT JOIN LATERAL (SELECT bool_or(change = 'ended') AS ended, sum(by_m) FILTER (WHERE change = 'reduced') AS reduced_m
                       FROM order_changes WHERE order_id = o.id AND event_no >= o.order_no) c ON true
    LEFT JOIN LATERAL (SELECT true AS replaced FROM orders n
                       WHERE n.replaces = o.id AND o.id <> '' AND (n.order_no, n.step) > (o.order_no, o.step) LIMIT 1) r ON true;
COMMENT ON VIEW order_states IS 'Orders as they stand: what was matched, at stakes x prices added up, and what rests.';
CREATE INDEX orders_replaces ON orders (replaces) WHERE replaces <> '';
