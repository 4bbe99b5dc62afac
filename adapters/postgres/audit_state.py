"""The part of `tictac audit` that holds the tables against the rebuilt engine, subject by subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from adapters.postgres.folding.bets import answer_json, offer_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from adapters.postgres.connection import Connection
    from core.book import Bet, BetLeg, Book, Customer, Market, PendingBet, Selection, Setting
    from core.messages.results import Result

BETS_PIECE: Final = 2_000
"""Bets looked up by one query."""


class Differences(Protocol):
    """Where a difference is reported."""

    def add(self, line: str) -> None: ...


async def compare(connection: Connection, book: Book, report: Differences) -> None:
    """Everything that the engine knows; each difference named."""
    markets = {(market.fixture.id, market.id): market for market in book.markets()}
    await _customers(connection, book, report)
    await _reserves(connection, book, report)
    await _own_limits(connection, book, report)
    await _bonuses(connection, book, report)
    await _limits(connection, book, report)
    await _fixtures(connection, book, report)
    await _markets(connection, markets, report)
    await _bets(connection, book, report)
    await _pending(connection, book, report)


Rows = dict[tuple[str, ...], tuple[Any, ...]]


def differences(
    report: Differences, what: str, columns: str, expected: Rows, found: Rows, *, more_allowed: bool = False
) -> None:
    """Compare rows by their key; `more_allowed`: Postgres remembers what the engine has forgotten."""
    names = columns.split()
    for key, values in expected.items():
        there = found.get(key)
        if there is None:
            report.add(f"{what} {' '.join(key)}: missing in Postgres")
            continue
        for name, want, got in zip(names, values, there, strict=True):
            if want != got:
                report.add(f"{what} {' '.join(key)}: {name} is {_text(got)}, should be {_text(want)}")
    if not more_allowed:
        for key in found.keys() - expected.keys():
            report.add(f"{what} {' '.join(key)}: the engine does not know it")


def _text(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _as_json(value: Any) -> Any:
    """As it comes out of a JSON column."""
    return msgspec.json.decode(msgspec.json.encode(value))


async def _keyed(connection: Connection, keys: int, query: str, *arguments: Any) -> Rows:
    rows = await connection.fetch(query, *arguments)
    return {tuple(row[:keys]): tuple(row[keys:]) for row in map(tuple, rows)}


async def _customers(connection: Connection, book: Book, report: Differences) -> None:
    columns = "currency suspended cash_m open_stakes_m reserved_m bonus_m verified timed_out_until_ms excluded_until_ms"
    found = await _keyed(connection, 1, f"SELECT customer, {', '.join(columns.split())} FROM customers")  # noqa: S608
    expected: Rows = {(customer.id,): _customer(customer) for customer in book.customers.values()}
    differences(report, "customer", columns, expected, found)
    house = await _keyed(connection, 2, "SELECT account, currency, balance_m FROM house_accounts WHERE balance_m <> 0")
    balances: Rows = {key: (balance_m,) for key, balance_m in book.house.items() if balance_m}
    differences(report, "house account", "balance_m", balances, house)


def _customer(customer: Customer) -> tuple[Any, ...]:
    return (
        customer.currency,
        customer.suspended,
        customer.cash_m,
        customer.open_stakes_m,
        customer.reserved_m,
        customer.bonus_m,
        customer.verified,
        customer.timed_out_until_ms,
        customer.excluded_until_ms,
    )


async def _reserves(connection: Connection, book: Book, report: Differences) -> None:
    query = """
        SELECT p.id, p.customer, p.amount_m, p.provider, r.hold_until_ms
        FROM reserves r JOIN payments p ON p.event_no = r.reserve_no WHERE r.status = 'held'
    """
    expected: Rows = {(r.id,): (r.customer.id, r.amount_m, r.provider, r.hold_until_ms) for r in book.reserves.values()}
    found = await _keyed(connection, 1, query)
    differences(report, "reserve", "customer amount_m provider hold_until_ms", expected, found)


async def _own_limits(connection: Connection, book: Book, report: Differences) -> None:
    columns = "limit_m next_m confirm_from_ms"
    query = "SELECT customer, kind, period, limit_m, next_m, confirm_from_ms FROM own_limits"
    expected: Rows = {
        (customer.id, own.kind, own.period): (own.limit_m, own.next_m, own.confirm_from_ms)
        for customer in book.customers.values()
        if customer.protection is not None
        for own in customer.protection.limits.values()
    }
    differences(report, "own limit", columns, expected, await _keyed(connection, 3, query))


async def _bonuses(connection: Connection, book: Book, report: Differences) -> None:
    """A free bet that was used is forgotten with its bet, and has no end of its own: Postgres may know more of them."""
    columns = "amount_m required_m ends_ms price_min staked_m"
    query = "SELECT customer, bonus, amount_m, required_m, ends_ms, price_min, staked_m FROM running_bonuses"
    bonuses: Rows = {
        (customer.id, b.bonus): (b.amount_m, b.required_m, b.ends_ms, b.price_min, b.staked_m)
        for customer in book.customers.values()
        for b in (customer.bonuses or {}).values()
    }
    differences(report, "bonus", columns, bonuses, await _keyed(connection, 2, query))
    query = """
        SELECT customer, bonus, amount_m, ends_ms, price_min,
               NOT EXISTS (SELECT FROM bets b WHERE b.customer = g.customer AND b.free_bet = g.bonus
                           AND b.bet_no > g.granted_no) AS never_used
        FROM bonuses g WHERE kind = 'free_bet' AND ended_no IS NULL ORDER BY granted_no
    """
    found = await _keyed(connection, 2, query)
    tokens: Rows = {
        (customer.id, token.token): (token.stake_m, token.ends_ms, token.price_min)
        for customer in book.customers.values()
        for token in (customer.free_bets or {}).values()
    }
    to_be_known = {key: values[:-1] for key, values in found.items() if key in tokens or values[-1]}
    differences(report, "free bet", "stake_m ends_ms price_min", tokens, to_be_known)


async def _limits(connection: Connection, book: Book, report: Differences) -> None:
    """The limits tree, what multiplies it for a customer, and what currencies are worth."""
    columns = "stake_max_m payout_max_m liability_max_m ramp"
    query = f"SELECT {_NODE}, stake_max_m, payout_max_m, liability_max_m, ramp::text FROM limit_settings"  # noqa: S608
    settings: Rows = {
        node: (
            setting.stake_max_m,
            setting.payout_max_m,
            setting.liability_max_m,
            [[step.before_ms, step.share_bp] for step in setting.ramp],
        )
        for node, setting in _settings(book)
    }
    found = await _keyed(connection, 6, query)
    there = {key: (*values[:-1], msgspec.json.decode(values[-1])) for key, values in found.items()}
    differences(report, "limit", columns, _named(settings), _named(there))
    query = "SELECT customer, sport, in_play, factor_bp FROM customer_factors"
    factors: Rows = {
        (customer.id, sport or "all sports", "in play" if in_play else "pre-match"): (factor_bp,)
        for customer in book.customers.values()
        for (sport, in_play), factor_bp in (customer.factors or {}).items()
    }
    rows = (tuple(row) for row in await connection.fetch(query))
    known: Rows = {
        (c, sport or "all sports", "in play" if in_play else "pre-match"): (f,) for c, sport, in_play, f in rows
    }
    differences(report, "factor", "factor_bp", factors, known)
    rates: Rows = {(currency,): (rate,) for currency, rate in book.rates.items()}
    differences(report, "rate", "rate", rates, await _keyed(connection, 1, "SELECT currency, rate FROM rates"))


_NODE: Final = "sport, competition, fixture, market_type, market, selection"


def _settings(book: Book) -> Iterator[tuple[tuple[str, ...], Setting]]:
    """Every setting of the tree, by the names of its node."""
    if book.setting is not None:
        yield ("",) * 6, book.setting
    for level in book.levels.values():
        if level.setting is not None:
            kind, sport, *name = level.key
            yield (
                (sport, *name, "", "", "", "") if kind == "competition" else (sport, "", "", *(name or [""]), "", ""),
                level.setting,
            )
    for fixture in book.fixtures.values():
        if fixture.setting is not None:
            yield ("", "", fixture.id, "", "", ""), fixture.setting
        for market in fixture.markets.values():
            if market.setting is not None:
                yield ("", "", fixture.id, "", market.id, ""), market.setting
            for selection in market.selections.values():
                if selection.setting is not None:
                    yield ("", "", fixture.id, "", market.id, selection.id), selection.setting


def _named(rows: Rows) -> Rows:
    """Nodes by what they name."""
    return {tuple(filter(None, key)) or ("book",): values for key, values in rows.items()}


async def _fixtures(connection: Connection, book: Book, report: Differences) -> None:
    columns = "name sport competition start_ms outright_of"
    query = "SELECT fixture, name, sport, competition, start_ms, outright_of FROM fixtures"
    expected: Rows = {(fixture.id,): fixture.definition() for fixture in book.fixtures.values()}
    differences(report, "fixture", columns, expected, await _keyed(connection, 1, query), more_allowed=True)
    query = """
        SELECT DISTINCT ON (fixture) fixture, score::text, source FROM fixture_scores
        ORDER BY fixture, event_no DESC
    """
    scores: Rows = {
        (fixture.id,): (_as_json(fixture.score), fixture.score_source)
        for fixture in book.fixtures.values()
        if fixture.score is not None
    }
    found = await _keyed(connection, 1, query)
    there = {key: (msgspec.json.decode(score), source) for key, (score, source) in found.items()}
    # Those of fixtures that the engine has forgotten stay.
    differences(report, "score", "score source", scores, there, more_allowed=True)


async def _markets(connection: Connection, markets: Mapping[tuple[str, str], Market], report: Differences) -> None:
    columns = (
        "source market_type name market_group winners cut_off_ms specifiers each_way delay_ms parts "
        "suspended settled cancels"
    )
    query = """
        SELECT fixture, market, source, market_type, name, market_group, winners, cut_off_ms, specifiers::text,
               ARRAY[each_way_places, each_way_numerator, each_way_denominator, each_way_handicap::integer],
               delay_ms, parts::text, suspended, settled,
               ARRAY(SELECT format('%s-%s', c.from_ms, c.to_ms) FROM market_cancels c
                     WHERE (c.fixture, c.market) = (m.fixture, m.market) AND c.rolled_back_no IS NULL
                     ORDER BY c.event_no)
        FROM markets m WHERE NOT archived
    """
    expected: Rows = {key: _market(market) for key, market in markets.items()}
    found = await _keyed(connection, 2, query)
    differences(report, "market", columns, expected, {key: _read(values) for key, values in found.items()})
    query = """
        SELECT s.fixture, s.market, s.selection, s.name, s.price, s.withdrawn_ms, s.deduction_pc, s.starting_price,
               s.result, s.void_factor, s.dead_heat_places, s.dead_heat_sharing, s.position
        FROM selections s JOIN markets m USING (fixture, market) WHERE NOT m.archived
    """
    selections: Rows = {
        (*key, selection.id): _selection(selection)
        for key, market in markets.items()
        for selection in market.selections.values()
    }
    columns = (
        "name price withdrawn_ms deduction_pc starting_price "
        "result void_factor dead_heat_places dead_heat_sharing position"
    )
    found = await _keyed(connection, 3, query)
    differences(report, "selection", columns, selections, found, more_allowed=True)


def _market(market: Market) -> tuple[Any, ...]:
    cancels = [f"{from_ms}-{to_ms}" for from_ms, to_ms in market.cancels]
    *definition, _ = market.definition()
    specifiers, each_way, delay_ms, parts = market.terms()
    terms = None if each_way is None else [int(value) for value in msgspec.structs.astuple(each_way)]
    described = specifiers, terms, delay_ms, [list(part) for part in parts]
    return (market.source, *definition, *described, market.desk_suspended, market.settled, cancels)


def _read(market: tuple[Any, ...]) -> tuple[Any, ...]:
    """A market's row with its JSON read, and NULL for terms that it does not have."""
    *definition, specifiers, terms, delay_ms, parts, suspended, settled, cancels = market
    described = msgspec.json.decode(specifiers), None if None in terms else terms, delay_ms, msgspec.json.decode(parts)
    return (*definition, *described, suspended, settled, cancels)


def _selection(selection: Selection) -> tuple[Any, ...]:
    said = selection.override, selection.withdrawn_ms, selection.deduction_pc, selection.starting_price
    return (selection.name, *said, *_result(selection.result))


def _result(result: Result | None) -> tuple[int | None, ...]:
    if result is None:
        return None, None, None, None, 0
    return result.result, result.void_factor, result.dead_heat_places, result.dead_heat_sharing, result.position


_BETS: Final = """
    SELECT b.id, b.ts_ms, b.customer, b.stake_m, b.payout_m, b.status, b.paid_m, b.voided, b.kind, b.folds, b.lines,
           b.each_way, b.free_bet, b.rate, b.payout_max_m, b.cashed_out_stake_m, b.cashed_out_m, b.capped_m,
           ARRAY(SELECT concat_ws(' ', l.fixture, l.market, l.selection, l.price, l.requested,
                                  CASE WHEN l.banker AND b.folds IS NOT NULL THEN 'banker' END,
                                  CASE WHEN l.starting_price THEN 'at the off' END,
                                  l.places || ' places ' || l.place_numerator || '/' || l.place_denominator,
                                  CASE WHEN l.voided THEN 'void' END)
                 FROM bet_legs l WHERE l.bet_no = b.bet_no ORDER BY l.leg)
    FROM unnest($1::text[]) asked (id),
         LATERAL (SELECT * FROM bets x WHERE x.id = asked.id ORDER BY x.bet_no DESC LIMIT 1) b
"""


async def _bets(connection: Connection, book: Book, report: Differences) -> None:
    columns = (
        "ts_ms customer stake_m payout_m status paid_m voided kind folds lines each_way free_bet rate payout_max_m "
        "cashed_out_stake_m cashed_out_m capped_m legs"
    )
    bets = list(book.bets.values())
    for start in range(0, len(bets), BETS_PIECE):
        piece = bets[start : start + BETS_PIECE]
        found = await _keyed(connection, 1, _BETS, [bet.id for bet in piece])
        differences(report, "bet", columns, {(bet.id,): _bet(bet) for bet in piece}, found)
    async for row in connection.cursor("SELECT id, bet_no FROM bets WHERE status = 0"):
        if row["id"] not in book.bets:
            report.add(f"bet {row['id']}: open in Postgres ({row['bet_no']}), the engine does not know it")


def _bet(bet: Bet) -> tuple[Any, ...]:
    system = bet.system
    bankers = system.shape.bankers if system is not None else (False,) * len(bet.legs)
    lines = (
        ("", None, 1, False)
        if system is None
        else (system.kind, list(system.shape.folds), system.lines, system.each_way)
    )
    return (
        bet.ts_ms,
        bet.customer.id,
        bet.stake_m,
        bet.payout_m,
        bet.status,
        bet.paid_m,
        bet.voided,
        *lines,
        bet.free_bet,
        bet.rate,
        bet.payout_max_m,
        bet.cashed_out_stake_m,
        bet.cashed_out_m,
        bet.capped_m,
        [_leg(leg, banker=banker) for leg, banker in zip(bet.legs, bankers, strict=True)],
    )


def _leg(leg: BetLeg, *, banker: bool) -> str:
    selection, terms = leg.selection, leg.place
    market = selection.market
    words = [market.fixture.id, market.id, selection.id, str(leg.price), str(leg.requested)]
    words += ["banker"] * banker + ["at the off"] * leg.starting_price
    if terms is not None:
        words.append(f"{terms.places} places {terms.numerator}/{terms.denominator}")
    return " ".join([*words, *["void"] * leg.voided])


async def _pending(connection: Connection, book: Book, report: Differences) -> None:
    columns = "ts_ms customer stage until_ms reserved_m command answer offer taken"
    query = """
        SELECT id, ts_ms, customer, stage, until_ms, reserved_m, command::text, answer::text, offer::text, taken
        FROM pending_bets WHERE ended_no IS NULL
    """
    found = await _keyed(connection, 1, query)
    there: Rows = {
        key: (*plain, *(None if text is None else msgspec.json.decode(text) for text in texts), taken)
        for key, (*plain, command, answer, offer, taken) in found.items()
        for texts in [(command, answer, offer)]
    }
    expected: Rows = {(waiting.id,): _waiting(waiting, there) for waiting in book.pending.values()}
    differences(report, "pending bet", columns, expected, there)


def _waiting(waiting: PendingBet, there: Rows) -> tuple[Any, ...]:
    """With the trader's answer: the engine keeps it until it is carried out, Postgres for ever."""
    answer = None
    if waiting.verdict is not None:
        answer = msgspec.json.decode(answer_json(waiting.verdict))
    elif waiting.offer is not None and (waiting.id,) in there:
        answer = there[waiting.id,][_ANSWER_AT]
    return (
        waiting.ts_ms,
        waiting.customer.id,
        waiting.stage,
        waiting.until_ms,
        waiting.reserved_m,
        _as_json(waiting.command),
        answer,
        None if waiting.offer is None else msgspec.json.decode(offer_json(waiting.offer)),
        waiting.taken,
    )


_ANSWER_AT: Final = 6
