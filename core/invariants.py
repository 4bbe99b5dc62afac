"""What must hold at any time, written down a second time and slowly: tests, replay and now and then the engine run it.

A failure is a bug of ours, so it is an AssertionError (STYLE 15).
"""

from __future__ import annotations

from itertools import combinations

from msgspec.structs import replace

from core import ledger, protection
from core.book import Bet, Between, Book, Customer, Exchange, Fixture, Market, Order, Persistence, Position, Trade
from core.exchange import positions
from core.exchange.ladder import Side
from core.messages.events import BetStatus, Stage
from core.risk import liability
from core.units import PRICE_ONE, payout_down, payout_up

Payoffs = tuple[int, int]
"""What something brings if a selection wins, and if it loses."""


def check(book: Book) -> None:
    """Assert every invariant of the book. O(everything)."""
    _check_money(book)
    _check_customers(book)
    _check_owed(book)
    offered = [pending.offered for pending in book.pending.values() if pending.offered is not None]
    for market in book.markets():
        _check_market(market, offered)
    for fixture in book.fixtures.values():
        _check_fixture(book, fixture)
    assert book.liability_m == sum(fixture.liability_m for fixture in book.fixtures.values())
    _check_levels(book)
    _check_granted(book)
    _check_pending(book)
    _check_orders(book)
    for key, market in book.settling.items():
        assert market.due, key
    standing = sum(book.answers.get(each) is answered for queue in book.expiring for each, answered in queue)
    assert len(book.answers) == standing


def _check_owed(book: Book) -> None:
    """Who is below zero, and by how much, without having looked at all of them."""
    below = [customer for customer in book.customers.values() if customer.cash_m < 0]
    assert book.owed.customers == len(below)
    for currency, owed_m in book.owed.sums_m.items():
        assert owed_m == -sum(customer.cash_m for customer in below if customer.currency == currency), currency


def _check_fixture(book: Book, fixture: Fixture) -> None:
    """Not above the sum of its markets, not below any of them, and exact where it is not loose."""
    plain_m = sum(market.liability_m for market in fixture.markets.values() if market.patterns is None)
    assert fixture.plain_m == plain_m, fixture.id
    exact_m = plain_m + liability.score_worst(fixture)
    if fixture.id in book.loose:
        assert fixture.liability_m >= exact_m, fixture.id
    else:
        assert fixture.liability_m == exact_m, fixture.id


def _check_levels(book: Book) -> None:
    totals: dict[tuple[str, ...], list[int]] = {}
    for fixture in book.fixtures.values():
        _total(totals, ("sport", fixture.sport), fixture.liability_m)
        _total(totals, ("competition", fixture.sport, fixture.competition), fixture.liability_m)
        for market in fixture.markets.values():
            _total(totals, ("market_type", fixture.sport, market.market_type), market.liability_m)
    for key, level in book.levels.items():
        assert [level.liability_m, level.members] == totals.pop(key, [0, 0]), key
        assert level.members or level.setting is not None, key
    assert not totals


def _total(totals: dict[tuple[str, ...], list[int]], key: tuple[str, ...], liability_m: int) -> None:
    total = totals.setdefault(key, [0, 0])
    total[0] += liability_m
    total[1] += 1


def _check_money(book: Book) -> None:
    for currency, total_m in ledger.sums(book).items():
        assert total_m == 0, f"the accounts in {currency} sum to {total_m}"
    stakes_m = sum(bet.running_stake_m for bet in book.bets.values() if bet.status == BetStatus.OPEN)
    assert stakes_m == sum(customer.open_stakes_m for customer in book.customers.values())
    reserved = dict.fromkeys(book.customers, 0)
    for reserve in book.reserves.values():
        reserved[reserve.customer.id] += reserve.amount_m
    for pending in book.pending.values():
        reserved[pending.customer.id] += pending.reserved_m
    assert reserved == {customer.id: customer.reserved_m for customer in book.customers.values()}


def _check_customers(book: Book) -> None:
    open_stakes: dict[str, int] = {}
    winnings: dict[str, int] = {}
    count = 0
    for bet in book.bets.values():
        assert bet.status != BetStatus.OPEN or bet.paid_m == 0, bet.id
        # While a slice is under way a bet may lag behind its market's results, or behind its own void.
        if bet.id not in book.voided and not any(leg.selection.market.due for leg in bet.legs):
            running = [(leg.running_m, leg.place_running_m) for leg in bet.legs]
            assert running == liability.running_stakes(bet), bet.id
        if bet.status == BetStatus.OPEN:
            count += 1
            owner = bet.customer.id
            open_stakes[owner] = open_stakes.get(owner, 0) + bet.running_stake_m
            winnings[owner] = winnings.get(owner, 0) + liability.winnings(bet)
    for pending in book.pending.values():
        if pending.offered is not None:
            owner = pending.customer.id
            winnings[owner] = winnings.get(owner, 0) + liability.winnings(pending.offered)
    assert count == book.open_bets
    for customer in book.customers.values():
        _check_protection(customer)
        _check_customer(customer, open_stakes.get(customer.id, 0), winnings.get(customer.id, 0))


def _check_customer(customer: Customer, open_stakes_m: int, winnings_m: int) -> None:
    assert customer.open_stakes_m == open_stakes_m, customer.id
    assert customer.liability_m == winnings_m, customer.id


def _check_market(market: Market, offered: list[Bet]) -> None:
    stakes_m = place_stakes_m = 0
    places: dict[int, int] = {}
    sums = {selection_id: [0, 0, 0] for selection_id in market.selections}
    for bet in (*market.bets.values(), *offered):
        for leg in bet.legs:
            if leg.selection.market is market:
                stakes_m += leg.running_m
                place_stakes_m += leg.place_running_m
                of_selection = sums[leg.selection.id]
                of_selection[0] += payout_down(leg.running_m, leg.price, PRICE_ONE)
                of_selection[1] += leg.running_m
                if leg.place is not None and leg.place_running_m:
                    of_selection[2] += liability.place_payout(leg)
                    places[leg.place.places] = places.get(leg.place.places, 0) + 1
    for position in market.exchange.positions.values() if market.exchange is not None else ():
        for selection_id, carried in (position.carried or {}).items():
            sums[selection_id][0] += carried.counted_payout_m
            sums[selection_id][1] += carried.counted_stake_m
            stakes_m += carried.counted_stake_m
    name = market.fixture.id, market.id
    assert market.open_bets == sum(bet.status == BetStatus.OPEN for bet in market.bets.values()), name
    assert (market.stakes_m, market.place_stakes_m, market.places) == (stakes_m, place_stakes_m, places), name
    kept = {each.id: [each.payout_m, each.stakes_m, each.place_payout_m] for each in market.selections.values()}
    assert kept == sums, name
    assert market.liability_m == market.worst_case(), name
    assert market.settled == any(selection.result is not None for selection in market.selections.values()), name


def _orders_of(market: Market) -> list[Order]:
    if market.exchange is None:
        return []
    return [order for position in market.exchange.positions.values() for order in position.orders.values()]


def _check_protection(customer: Customer) -> None:
    own = customer.protection
    if own is None:
        return
    for key, limit in own.limits.items():
        assert key == (limit.kind, limit.period), (customer.id, key)
        assert limit.limit_m > 0, (customer.id, key)
        assert not limit.next_m or (limit.confirm_from_ms and limit.next_m > limit.limit_m), (customer.id, key)
    hours = [hour.hour for hour in own.hours]
    assert hours == sorted(set(hours)), customer.id
    assert not hours or hours[-1] - hours[0] <= max(protection.PERIODS.values()), customer.id
    for period, total in own.totals.items():
        if hours and total.hour >= hours[-1]:
            within = [hour for hour in own.hours if hour.hour >= total.hour - protection.PERIODS[period]]
            kept = total.deposited_m, total.staked_m, total.returned_m
            assert kept == (
                sum(hour.deposited_m for hour in within),
                sum(hour.staked_m for hour in within),
                sum(hour.returned_m for hour in within),
            ), (customer.id, period)


def _check_granted(book: Book) -> None:
    """Free bets and bonuses: their money, their bets, and that none is forgotten to end."""
    granted = 0
    earned = set()
    endings = set(book.endings)
    for customer in book.customers.values():
        free_bets, bonuses = customer.free_bets or {}, customer.bonuses or {}
        assert customer.free_bets != {}, customer.id
        assert customer.bonuses != {}, customer.id
        assert not free_bets.keys() & bonuses.keys(), customer.id
        assert customer.bonus_m == sum(bonus.amount_m for bonus in bonuses.values()), customer.id
        granted += len(free_bets) + len(bonuses)
        for name, bonus in bonuses.items():
            assert bonus.bonus == name, customer.id
            assert bonus.staked_m >= 0, (customer.id, name)
            assert (bonus.ends_ms, customer.id, name) in endings, (customer.id, name)
            if bonus.staked_m >= bonus.required_m:
                earned.add((customer.id, name))
        for name, free_bet in free_bets.items():
            assert free_bet.token == name, (customer.id, name)
            if free_bet.bet:
                bet = book.bets[free_bet.bet]
                assert (bet.customer.id, bet.free_bet) == (customer.id, name)
                assert bet.status != BetStatus.VOID, (customer.id, name)
            else:
                assert (free_bet.ends_ms, customer.id, name) in endings, (customer.id, name)
    assert book.granted == granted
    assert book.earned.keys() == earned


def _check_pending(book: Book) -> None:
    """Bets that wait: each has its turn, is counted at its customer, and has an offer where that is its stage."""
    turns = set(book.deciding)
    waiting = dict.fromkeys(book.customers, 0)
    for name, pending in book.pending.items():
        assert pending.id == name, name
        assert name not in book.bets, name
        answered = pending.verdict is not None or pending.taken is not None
        assert (0 if answered else pending.until_ms, pending.number, name) in turns, name
        assert (pending.offer is not None) == (pending.offered is not None) == (pending.stage == Stage.OFFERED), name
        assert pending.offered is None or pending.offered.stake_m == pending.reserved_m, name
        assert pending.verdict is None or pending.stage == Stage.REFERRED, name
        assert pending.taken is None or pending.stage != Stage.DELAYED, name
        waiting[pending.customer.id] += 1
    assert waiting == {customer.id: customer.pending for customer in book.customers.values()}


def _check_orders(book: Book) -> None:
    """Exchange markets: what rests rests once, and whoever has something there has set aside what it can cost him."""
    orders: dict[str, Order] = {}
    exposures, resting = dict.fromkeys(book.customers, 0), dict.fromkeys(book.customers, 0)
    trades = 0
    for market in book.markets():
        exchange, key = market.exchange, (market.fixture.id, market.id)
        if exchange is None:
            assert key not in book.clearing, key
            continue
        _check_exchange(market, exchange)
        busy = bool(exchange.clearing or exchange.closing or exchange.due)
        assert (key in book.clearing) == busy, key
        for name, position in exchange.positions.items():
            customer = position.customer
            assert (customer.id, customer.positions and customer.positions.get(key)) == (name, position), (key, name)
            _check_position(position, busy=busy)
            assert not orders.keys() & position.orders.keys(), (key, name)
            orders.update(position.orders)
            exposures[name] += position.exposure_m
            resting[name] += len(position.resting)
            trades += len(position.trades)
    assert orders == book.orders
    assert trades == book.trades
    turns = {turn[-1] for turn in book.waiting}
    assert all(name in turns for name, order in orders.items() if order.waits is not None)
    for customer in book.customers.values():
        assert customer.exposure_m == exposures[customer.id], customer.id
        assert customer.resting == resting[customer.id], customer.id
        held = customer.positions or {}
        assert customer.positions != {}, customer.id
        assert all(book.fixtures[key[0]].markets[key[1]] is each.market for key, each in held.items()), customer.id
        assert all(_exchange(each.market).positions[customer.id] is each for each in held.values()), customer.id


def _exchange(market: Market) -> Exchange:
    assert market.exchange is not None, market.id
    return market.exchange


def _check_exchange(market: Market, exchange: Exchange) -> None:
    """Order books and the queue for the close have what rests, and nothing else; none of them is crossed."""
    standing = [name for name, selection in market.selections.items() if not selection.withdrawn_ms]
    assert exchange.outcomes == len(standing), market.id
    rests: dict[str, dict[str, Order]] = {}
    closes: dict[str, dict[str, Order]] = {}
    for order in _orders_of(market):
        assert order.selection is market.selections[order.selection.id], order.id
        if order.stake_m and order.waits is None:
            (closes if order.on_close else rests).setdefault(order.selection.id, {})[order.id] = order
    assert {name: orders for name, orders in exchange.on_close.items() if orders} == closes, market.id
    until_close = {
        name: {order.id: order for order in orders.values() if order.persistence == Persistence.ON_CLOSE}
        for name, orders in rests.items()
    }
    for name in exchange.until_close.keys() | rests.keys():
        assert exchange.until_close.get(name, {}) == until_close.get(name, {}), (market.id, name)
    assert rests.keys() <= exchange.books.keys(), market.id
    for name, orders in exchange.books.items():
        listed = [order for side in Side for order in orders.resting(side)]
        assert {order.id: order for order in listed} == rests.get(name, {}), (market.id, name)
        assert len(listed) == len(orders) == len(rests.get(name, {})), (market.id, name)
        back, lay = orders.best(Side.BACK), orders.best(Side.LAY)
        assert back is None or lay is None or lay < back, (market.id, name, "crossed")
        orders.check_invariants()
    for queue in (exchange.clearing, exchange.due):
        assert len({position.customer.id for position in queue}) == len(queue), market.id
        assert all(exchange.positions.get(position.customer.id) is position for position in queue), market.id
    assert len(set(exchange.closing)) == len(exchange.closing), market.id
    assert market.selections.keys() >= set(exchange.closing), market.id
    made = exchange.made
    if made is not None:
        assert exchange.closing[-1] == made.selection, market.id
        taking = closes.get(made.selection, {}).keys() | until_close.get(made.selection, {}).keys()
        assert taking == made.stakes_m.keys() != set(), (market.id, made.selection)
    house = _payoffs_between(market, exchange)
    lost_m = sum(loses for _, loses in house.values())
    for name in standing:
        wins, loses = house.get(name, (0, 0))
        assert lost_m - loses + wins >= 0, (market.id, name, "the house stands to lose by what it stood between")


def _payoffs_between(market: Market, exchange: Exchange) -> dict[str, Payoffs]:
    """By selection, what the house has of matches in which it is everybody's other side: across, or at the close."""
    found: dict[str, Payoffs] = {}
    for position in exchange.positions.values():
        for trade in position.trades:
            if trade.between and positions.standing(market, trade) is not None:
                _stand_between(found, trade)
        # The others of a starting price that is made are still to take it.
        made = exchange.made
        for order in position.resting.values() if made is not None else ():
            assert made is not None
            trade = Trade(made.ts_ms, "", made.selection, order.side, made.price, 0, Between.CLOSE)
            stake_m = made.stakes_m.get(order.id, 0)
            if stake_m and positions.standing(market, trade) is not None:
                _stand_between(found, replace(trade, stake_m=stake_m))
    return found


def _stand_between(found: dict[str, Payoffs], trade: Trade) -> None:
    wins, loses = _payoffs(trade, trade.price)
    was = found.get(trade.selection, (0, 0))
    found[trade.selection] = was[0] - wins, was[1] - loses


def _payoffs(trade: Trade, price: int) -> Payoffs:
    """At the starting price the house stands between, and rounds for itself; else both sides have the same."""
    stake_m = trade.stake_m
    if trade.side == Side.BACK:
        return payout_down(stake_m, price, PRICE_ONE) - stake_m, -stake_m
    payout = payout_up if trade.between == Between.CLOSE else payout_down
    return stake_m - payout(stake_m, price, PRICE_ONE), stake_m


def _check_position(position: Position, *, busy: bool) -> None:
    """Counts, the trades of each order, and the exposure; while the market is being looked at it may lag behind."""
    name = position.market.id, position.customer.id
    matched: dict[str, list[int]] = {}
    for trade in position.trades:
        total = matched.setdefault(trade.order, [0, 0])
        total[0] += trade.stake_m
        total[1] += trade.stake_m * trade.price
    kept = {order.id: [order.matched_m, order.paid] for order in position.orders.values() if order.matched_m}
    assert matched == kept, name
    for order in position.orders.values():
        assert order.owner is position.customer, order.id
        assert order.stake_m or order.matched_m, order.id
        # A lay that names its liability lays a greater stake at a lower price.
        at_close = order.on_close or order.persistence == Persistence.ON_CLOSE
        assert at_close or order.stake_m + order.matched_m <= order.asked_m, order.id
        assert order.stake_m or order.waits is None, order.id
    resting = [order for order in position.orders.values() if order.stake_m]
    assert list(position.resting.values()) == resting == [position.resting[order.id] for order in resting], name
    _check_carried(position, busy=busy)
    if not busy:
        assert position.exposure_m == (0 if position.settled else _exposure(position)), name


def _check_carried(position: Position, *, busy: bool) -> None:
    """What the house's lays come to, and what of it counts in the market's liability."""
    name = position.market.id, position.customer.id
    sums: dict[str, list[int]] = {selection_id: [0, 0] for selection_id in position.carried or {}}
    for order in position.orders.values():
        if order.carried is not None:
            total = sums[order.selection.id]
            total[0] += order.carried[0]
            total[1] += order.carried[1]
    for selection_id, carried in (position.carried or {}).items():
        assert sums[selection_id] == [carried.payout_m, carried.stake_m], name
        over = position.settled or position.market.selections[selection_id].withdrawn_ms
        counted = carried.counted_payout_m, carried.counted_stake_m
        assert busy or counted == ((0, 0) if over else tuple(sums[selection_id])), name


def _exposure(position: Position) -> int:
    """The same as positions.exposure, from orders and trades alone, outcome by outcome (RULEBOOK 4)."""
    market = position.market
    unmatched: dict[str, Payoffs] = {}
    matched: dict[str, Payoffs] = {}
    for order in position.orders.values():
        risk_m = order.stake_m
        if order.side == Side.LAY and not order.on_close:
            risk_m = payout_down(order.stake_m, order.price, PRICE_ONE) - order.stake_m
        _pay(unmatched, order.selection.id, (0, risk_m) if order.side == Side.BACK else (risk_m, 0))
    for trade in position.trades:
        price = positions.standing(market, trade)
        if price is not None:
            _pay(matched, trade.selection, _payoffs(trade, price))
    standing = [name for name, selection in market.selections.items() if not selection.withdrawn_ms]
    touched = [name for name in standing if name in unmatched or name in matched]
    # Selections of which he has nothing are alike: as many of them as can win stand for all.
    others = [name for name in standing if name not in touched][: market.winners]
    worst_m = 0
    for winning in combinations([*touched, *others], min(market.winners, len(standing))):
        won_m = _sum(matched, winning)
        worst_m = max(worst_m, _sum(unmatched, winning) + max(0, -won_m))
    return worst_m


def _pay(payoffs: dict[str, Payoffs], name: str, more: Payoffs) -> None:
    wins, loses = payoffs.get(name, (0, 0))
    payoffs[name] = wins + more[0], loses + more[1]


def _sum(payoffs: dict[str, Payoffs], winning: tuple[str, ...]) -> int:
    return sum(wins if name in winning else loses for name, (wins, loses) in payoffs.items())
