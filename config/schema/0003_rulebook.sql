-- The whole rulebook of betting: kinds of bets, bets that wait, cash-out, races, limits, bonuses, customers' own limits.
--
-- What changes by an event that has a table of its own is kept as that history, and what holds now is a view over it: the
-- latest word (own_limits, customer_factors, rates, limit_settings). What is asked for with every row, a balance or a bet's
-- status, stands in the row. The rest is as in 0002.

-- Customers.

ALTER TABLE customers
    ADD COLUMN bonus_m numeric(30) NOT NULL DEFAULT 0 CHECK (bonus_m >= 0),
    ADD COLUMN verified boolean NOT NULL DEFAULT false,
    ADD COLUMN timed_out_until_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN excluded_until_ms bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN customers.bonus_m IS 'Bonuses that are not paid yet.';
COMMENT ON COLUMN customers.timed_out_until_ms IS 'No bet and no deposit until then, by his own wish; 0: he never asked. excluded_until_ms: his self-exclusion.';

CREATE OR REPLACE VIEW accounts AS
    SELECT customer, account, currency, balance_m
    FROM customers, LATERAL (VALUES ('cash', cash_m), ('open_stakes', open_stakes_m), ('reserved', reserved_m),
                                    ('bonus', bonus_m)) a (account, balance_m)
    UNION ALL
    SELECT NULL, account, currency, balance_m FROM house_accounts;

CREATE TABLE exclusions (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL REFERENCES customers,
    kind text NOT NULL CHECK (kind IN ('time_out', 'self_exclusion')),
    until_ms bigint NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
CREATE INDEX exclusions_customer ON exclusions (customer, ts_ms);

CREATE TABLE own_limit_changes (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL REFERENCES customers,
    kind text NOT NULL CHECK (kind IN ('deposit', 'loss', 'stake')),
    period text NOT NULL CHECK (period IN ('day', 'week', 'month')),
    step text NOT NULL CHECK (step IN ('set', 'asked', 'confirmed')),
    limit_m bigint NOT NULL CHECK (limit_m >= 0),
    confirm_from_ms bigint NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
COMMENT ON TABLE own_limit_changes IS 'Every change of a limit that a customer has set himself. set: it holds from then on, and whatever waited waits no more; asked: raised, and waits for its confirmation, possible from confirm_from_ms; confirmed: the raised one holds. limit_m 0: no limit.';
CREATE INDEX own_limit_changes_customer ON own_limit_changes (customer, kind, period, event_no);

CREATE VIEW own_limits AS
    SELECT customer, kind, period, held.limit_m,
           CASE WHEN last.step = 'asked' THEN last.limit_m ELSE 0 END AS next_m,
           CASE WHEN last.step = 'asked' THEN last.confirm_from_ms ELSE 0 END AS confirm_from_ms
    FROM (SELECT DISTINCT ON (customer, kind, period) * FROM own_limit_changes
          ORDER BY customer, kind, period, event_no DESC) last
    JOIN (SELECT DISTINCT ON (customer, kind, period) * FROM own_limit_changes WHERE step <> 'asked'
          ORDER BY customer, kind, period, event_no DESC) held USING (customer, kind, period)
    WHERE held.limit_m > 0;
COMMENT ON VIEW own_limits IS 'What holds now. next_m: what it is to be raised to (0: taken away) once confirmed, possible from confirm_from_ms; confirm_from_ms 0: nothing waits.';

CREATE TABLE bonuses (
    granted_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    customer text COLLATE "C" NOT NULL REFERENCES customers,
    bonus text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('free_bet', 'match')),
    amount_m bigint NOT NULL CHECK (amount_m > 0),
    required_m bigint NOT NULL CHECK (required_m >= 0),
    ends_ms bigint NOT NULL,
    price_min integer NOT NULL CHECK (price_min >= 0),
    ended_no bigint REFERENCES events NOT ENFORCED,
    how text CHECK (how IN ('paid', 'expired', 'cancelled')),
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    CONSTRAINT bonuses_how_ended CHECK ((ended_no IS NULL) = (how IS NULL))
);
COMMENT ON TABLE bonuses IS 'Free bets (bonus: the token; amount_m: its stake) and deposit matches (paid once required_m is staked). A free bet that was staked has no end of its own: the bet names it (bets.free_bet).';
CREATE INDEX bonuses_customer ON bonuses (customer, bonus, granted_no);

-- Bets.

CREATE TABLE pending_stages (
    code smallint PRIMARY KEY,
    name text NOT NULL UNIQUE
);
COMMENT ON TABLE pending_stages IS 'Stage of core/messages/events.py; filled by the projector at its start.';

CREATE TABLE pending_bets (
    pending_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    id text COLLATE "C" NOT NULL,
    ts_ms bigint NOT NULL,
    customer text COLLATE "C" NOT NULL REFERENCES customers NOT ENFORCED,
    currency text NOT NULL,
    stage smallint NOT NULL REFERENCES pending_stages NOT ENFORCED,
    until_ms bigint NOT NULL,
    reserved_m bigint NOT NULL CHECK (reserved_m >= 0),
    command jsonb NOT NULL,
    reason smallint REFERENCES rejections NOT ENFORCED,
    leg integer NOT NULL,
    passed_limit bigint NOT NULL,
    stake_accepted_m bigint NOT NULL,
    detail text NOT NULL,
    answered_no bigint REFERENCES events NOT ENFORCED,
    answer jsonb,
    offered_no bigint REFERENCES events NOT ENFORCED,
    offer jsonb,
    taken boolean,
    ended_no bigint REFERENCES events NOT ENFORCED,
    ended text CHECK (ended IN ('accepted', 'rejected')),
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    until timestamptz GENERATED ALWAYS AS (to_timestamp(until_ms / 1000.0)) VIRTUAL,
    CONSTRAINT pending_bets_how_ended CHECK ((ended_no IS NULL) = (ended IS NULL))
) WITH (fillfactor = 70); -- every one is changed once at least
COMMENT ON TABLE pending_bets IS 'Bets that wait, or have waited. command: as it came. reason and what follows it: why it was referred to a trader.';
COMMENT ON COLUMN pending_bets.stage IS 'The last one; until_ms and reserved_m are of that stage.';
COMMENT ON COLUMN pending_bets.answer IS 'The trader''s: {"author", "action", "stake_m", "prices", "until_ms", "reason"}. offer: the bet that it would become.';
COMMENT ON COLUMN pending_bets.taken IS 'The customer''s word on the offer, or that he no longer wants the bet.';
COMMENT ON COLUMN pending_bets.ended_no IS 'Of the row in bets (bet_no) or bet_rejections (event_no) that it became.';
CREATE INDEX pending_bets_id ON pending_bets (id, pending_no);
CREATE INDEX pending_bets_customer ON pending_bets (customer, ts_ms);

ALTER TABLE bets
    ADD COLUMN kind text NOT NULL DEFAULT '',
    ADD COLUMN folds smallint[],
    ADD COLUMN lines integer NOT NULL DEFAULT 1 CHECK (lines > 0),
    ADD COLUMN each_way boolean NOT NULL DEFAULT false,
    ADD COLUMN free_bet text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN rate bigint NOT NULL DEFAULT 1000000,
    ADD COLUMN payout_max_m bigint NOT NULL DEFAULT 0,
    ADD COLUMN cashed_out_stake_m bigint NOT NULL DEFAULT 0,
    ADD COLUMN cashed_out_m bigint NOT NULL DEFAULT 0,
    ADD COLUMN capped_m bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT bets_payout_m_check, -- a free bet at a price near 1 wins nothing beyond its stake, which is not paid
    ADD CONSTRAINT bets_payout_m_check CHECK (payout_m >= 0),
    ADD CONSTRAINT bets_sold_at_most_whole CHECK (cashed_out_stake_m BETWEEN 0 AND stake_m);
COMMENT ON COLUMN bets.payout_m IS 'What is paid if every leg wins, stake included but of a free bet.';
COMMENT ON COLUMN bets.folds IS 'NULL: one line over all legs.';
COMMENT ON COLUMN bets.free_bet IS 'The token that staked it; empty: cash.';
COMMENT ON COLUMN bets.rate IS 'Minor units of the book''s currency for 1 000 000 of its own when it was taken.';
COMMENT ON COLUMN bets.payout_max_m IS 'The most it may win beyond its stake; 0: no maximum was known. capped_m: what that has cut off.';
COMMENT ON COLUMN bets.cashed_out_stake_m IS 'The part of the stake that the customer sold; cashed_out_m: what he got for it.';

CREATE OR REPLACE VIEW open_bets AS
    SELECT b.* FROM customers c JOIN bets b USING (customer) WHERE c.open_stakes_m > 0 AND b.status = 0;

ALTER TABLE bet_legs
    ADD COLUMN banker boolean NOT NULL DEFAULT false,
    ADD COLUMN starting_price boolean NOT NULL DEFAULT false,
    ADD COLUMN places smallint,
    ADD COLUMN place_numerator smallint,
    ADD COLUMN place_denominator smallint,
    ADD COLUMN voided boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN bet_legs.starting_price IS 'Paid at the starting price; price was the live one.';
COMMENT ON COLUMN bet_legs.places IS 'Of an each-way bet: how many places pay, at 1 + (price - 1) x place_numerator / place_denominator.';
COMMENT ON COLUMN bet_legs.voided IS 'Taken back by the operator, this leg alone.';

ALTER TABLE settlements ADD COLUMN capped_m bigint NOT NULL DEFAULT 0;

CREATE TABLE cash_outs (
    bet_no bigint NOT NULL REFERENCES bets NOT ENFORCED,
    event_no bigint NOT NULL REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    stake_m bigint NOT NULL CHECK (stake_m > 0),
    paid_m bigint NOT NULL CHECK (paid_m > 0),
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    PRIMARY KEY (bet_no, event_no)
);
COMMENT ON TABLE cash_outs IS 'Shares of bets that were sold back: stake_m runs no more, paid_m was paid for it.';
CREATE INDEX cash_outs_event ON cash_outs USING brin (event_no);

-- What is staked for a bonus: the same rule as core/bonuses.py, over settlements. Looked at for one customer, or by the audit.
CREATE VIEW running_bonuses AS
    SELECT o.granted_no, o.customer, o.bonus, o.amount_m, o.required_m, o.ends_ms, o.price_min,
           coalesce((SELECT sum(((s.status IN (1, 2))::integer - (s.was IN (1, 2))::integer) * (b.stake_m - sold.stake_m))
                     FROM bets b JOIN settlements s USING (bet_no)
                     CROSS JOIN LATERAL (SELECT coalesce(sum(c.stake_m), 0) FROM cash_outs c
                                         WHERE c.bet_no = s.bet_no AND c.event_no < s.event_no) sold (stake_m)
                     WHERE b.customer = o.customer AND b.ts_ms > o.ts_ms AND b.free_bet = ''
                       AND s.event_no > o.granted_no AND s.ts_ms < o.ends_ms
                       AND b.payout_m >= div(b.stake_m::numeric * o.price_min, 10000)), 0) AS staked_m
    FROM bonuses o WHERE o.kind = 'match' AND o.ended_no IS NULL;
COMMENT ON VIEW running_bonuses IS 'Deposit matches that are neither paid nor ended, with what was staked for them so far.';

-- Fixtures and markets.

ALTER TABLE fixtures ADD COLUMN outright_of text NOT NULL DEFAULT '';
COMMENT ON COLUMN fixtures.outright_of IS 'The competition whose winner this is; empty: none.';

ALTER TABLE markets
    ADD COLUMN specifiers jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN each_way_places smallint,
    ADD COLUMN each_way_numerator smallint,
    ADD COLUMN each_way_denominator smallint,
    ADD COLUMN each_way_handicap boolean,
    ADD COLUMN delay_ms integer NOT NULL DEFAULT 0,
    ADD COLUMN starting_price boolean NOT NULL DEFAULT false,
    ADD COLUMN parts jsonb NOT NULL DEFAULT '[]',
    ADD CONSTRAINT markets_each_way_whole
        CHECK (num_nulls(each_way_places, each_way_numerator, each_way_denominator, each_way_handicap) IN (0, 4));
COMMENT ON COLUMN markets.each_way_places IS 'NULL: no place part; 0: the usual terms by the number of runners.';
COMMENT ON COLUMN markets.delay_ms IS 'How long each bet on it waits in play.';
COMMENT ON COLUMN markets.parts IS 'Of a bet builder: [[market, selection], ...] of its fixture, which must all win.';

ALTER TABLE selections
    ADD COLUMN position smallint NOT NULL DEFAULT 0,
    ADD COLUMN withdrawn_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN deduction_pc smallint NOT NULL DEFAULT 0 CHECK (deduction_pc BETWEEN 0 AND 100),
    ADD COLUMN starting_price integer NOT NULL DEFAULT 0 CHECK (starting_price >= 0);
COMMENT ON COLUMN selections.position IS 'Where it came in; 0: unplaced, or not a race.';
COMMENT ON COLUMN selections.withdrawn_ms IS 'When it was withdrawn; 0: it was not. deduction_pc: what bets on the others taken before then lose of their winnings (Rule 4), per cent.';
COMMENT ON COLUMN selections.starting_price IS '0: not known.';
-- Results of the first release had no positions; read again from the journal they have 0, which says "none".
UPDATE market_results SET results = (
    SELECT jsonb_agg(result || '[0]' ORDER BY place) FROM jsonb_array_elements(results) WITH ORDINALITY told (result, place)
) WHERE results <> '[]';
COMMENT ON TABLE market_results IS 'Every result ever given; the last one not rolled back stands in selections. results: [[selection, result, void_factor, dead_heat_places, dead_heat_sharing, position], ...].';

CREATE TABLE withdrawals (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    selection text COLLATE "C" NOT NULL,
    source text NOT NULL,
    sequence bigint NOT NULL,
    price integer NOT NULL,
    at_ms bigint NOT NULL,
    deduction_pc smallint NOT NULL,
    rolled_back_no bigint REFERENCES events NOT ENFORCED,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    FOREIGN KEY (fixture, market, selection) REFERENCES selections
);
COMMENT ON TABLE withdrawals IS 'Runners that did not start, with their price then and the deduction by Rule 4; the last one not rolled back stands in selections.';
CREATE INDEX withdrawals_market ON withdrawals (fixture, market);

CREATE TABLE starting_prices (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    source text NOT NULL,
    sequence bigint NOT NULL,
    prices jsonb NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL,
    FOREIGN KEY (fixture, market) REFERENCES markets
);
COMMENT ON TABLE starting_prices IS 'Prices at the off as they were given: [[selection, price], ...]; the last ones stand in selections.';
CREATE INDEX starting_prices_market ON starting_prices (fixture, market);

CREATE TABLE fixture_scores (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    fixture text COLLATE "C" NOT NULL REFERENCES fixtures,
    source text NOT NULL,
    sequence bigint NOT NULL,
    score jsonb NOT NULL,
    reason text NOT NULL,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
COMMENT ON TABLE fixture_scores IS 'Every score that a fixture was settled by; the results that it gave stand in market_results.';
CREATE INDEX fixture_scores_fixture ON fixture_scores (fixture, event_no);

-- Limits and rates.

CREATE TABLE limit_changes (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    sport text COLLATE "C" NOT NULL,
    competition text COLLATE "C" NOT NULL,
    fixture text COLLATE "C" NOT NULL,
    market_type text COLLATE "C" NOT NULL,
    market text COLLATE "C" NOT NULL,
    selection text COLLATE "C" NOT NULL,
    stake_max_m bigint NOT NULL,
    payout_max_m bigint NOT NULL,
    liability_max_m bigint NOT NULL,
    ramp jsonb NOT NULL,
    forgotten_no bigint REFERENCES events NOT ENFORCED,
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
COMMENT ON TABLE limit_changes IS 'Every setting of a node of the limits tree, in minor units of the book''s currency. The node is what is named; nothing: the book. 0 and an empty ramp: not set there. ramp: [[ms before the start, share x 10 000], ...].';
COMMENT ON COLUMN limit_changes.forgotten_no IS 'The event by which the engine forgot its market or fixture.';
CREATE INDEX limit_changes_node ON limit_changes (fixture, market, selection, sport, competition, market_type, event_no);

CREATE VIEW limit_settings AS
    SELECT * FROM (
        SELECT DISTINCT ON (fixture, market, selection, sport, competition, market_type)
               sport, competition, fixture, market_type, market, selection, stake_max_m, payout_max_m, liability_max_m, ramp
        FROM limit_changes WHERE forgotten_no IS NULL
        ORDER BY fixture, market, selection, sport, competition, market_type, event_no DESC) last
    WHERE stake_max_m > 0 OR payout_max_m > 0 OR liability_max_m > 0 OR ramp <> '[]';
COMMENT ON VIEW limit_settings IS 'The limits tree as it holds now.';

CREATE TABLE customer_factor_changes (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    customer text COLLATE "C" NOT NULL REFERENCES customers,
    sport text COLLATE "C" NOT NULL,
    in_play boolean NOT NULL,
    factor_bp integer NOT NULL CHECK (factor_bp >= 0),
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
COMMENT ON TABLE customer_factor_changes IS 'What multiplies a customer''s limits, x 10 000; sport empty: all sports.';
CREATE INDEX customer_factor_changes_customer ON customer_factor_changes (customer, sport, in_play, event_no);

CREATE VIEW customer_factors AS
    SELECT * FROM (
        SELECT DISTINCT ON (customer, sport, in_play) customer, sport, in_play, factor_bp FROM customer_factor_changes
        ORDER BY customer, sport, in_play, event_no DESC) last
    WHERE factor_bp <> 10000;
COMMENT ON VIEW customer_factors IS 'Those that hold now; 10 000, which changes nothing, is not there.';

CREATE TABLE rate_changes (
    event_no bigint PRIMARY KEY REFERENCES events NOT ENFORCED,
    ts_ms bigint NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    rate bigint NOT NULL CHECK (rate > 0),
    ts timestamptz GENERATED ALWAYS AS (to_timestamp(ts_ms / 1000.0)) VIRTUAL
);
COMMENT ON TABLE rate_changes IS 'Minor units of the book''s currency for 1 000 000 of this one.';
CREATE INDEX rate_changes_currency ON rate_changes (currency, event_no);

CREATE VIEW rates AS
    SELECT DISTINCT ON (currency) currency, rate FROM rate_changes ORDER BY currency, event_no DESC;
