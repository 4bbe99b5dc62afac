"""A slice of the journal as rows: what one transaction of the projector writes (tables.py does the writing).

Pure: events in, rows out. What can only be inserted becomes a row of a table; what changes rows that stand already (a
balance, a market's results) is folded here, so that each row is touched once a slice, however many events spoke of it.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from core import ledger
from core.messages import events as ev
from core.units import RATE_ONE

if TYPE_CHECKING:
    from core.messages.results import Result

Row = tuple[Any, ...]
Key = tuple[str, ...]
"""Ids from the fixture inwards: (fixture, market) or (fixture, market, selection)."""

INSERTS: Final[dict[str, str]] = {
    "events": "event_no sequence ts_ms type body hash",
    "engine_starts": "event_no ts_ms term instance release",
    "customers": "customer currency opened_ms",
    "payments": "event_no ts_ms id kind customer currency amount_m provider",
    "reserves": "reserve_no hold_until_ms",
    "ledger_entries": "event_no line ts_ms customer source target amount_m currency",
    "exclusions": "event_no ts_ms id customer kind until_ms",
    "own_limit_changes": "event_no ts_ms id customer kind period step limit_m confirm_from_ms",
    "customer_factor_changes": "event_no ts_ms customer sport in_play factor_bp",
    "bonuses": "granted_no ts_ms customer bonus kind amount_m required_m ends_ms price_min",
    "rate_changes": "event_no ts_ms currency rate",
    "pending_bets": (
        "pending_no id ts_ms customer currency stage until_ms reserved_m command "
        "reason leg passed_limit stake_accepted_m detail"
    ),
    "bets": "bet_no id ts_ms customer currency stake_m payout_m payout_max_m kind folds lines each_way free_bet rate",
    "bet_legs": (
        "bet_no leg fixture market selection price requested version producer sequence in_play banker starting_price "
        "places place_numerator place_denominator"
    ),
    "bet_rejections": ("event_no id ts_ms customer stake_m legs reason leg price passed_limit stake_accepted_m detail"),
    "command_rejections": "event_no id ts_ms command customer author reason passed_limit detail",
    "market_results": "event_no ts_ms fixture market source sequence results reason",
    "market_cancels": "event_no ts_ms fixture market source sequence from_ms to_ms reason",
    "withdrawals": "event_no ts_ms fixture market selection source sequence price at_ms deduction_pc",
    "starting_prices": "event_no ts_ms fixture market source sequence prices",
    "fixture_scores": "event_no ts_ms fixture source sequence score reason",
    "limit_changes": (
        "event_no ts_ms sport competition fixture market_type market selection "
        "stake_max_m payout_max_m liability_max_m ramp"
    ),
    "desk_actions": "event_no ts_ms id author action target reason",
    "orders": (
        "order_no step id ts_ms customer currency fixture market selection side price stake_m on_close persistence "
        "lapsed_m why replaces waited"
    ),
    "order_waits": "event_no step id ts_ms customer fixture market until_ms command",
    "order_changes": "event_no line ts_ms order_id change by_m why reason",
    "order_refusals": "event_no step ts_ms id reason passed_limit detail",
    "trades": "event_no line ts_ms fixture market selection order_id customer side price stake_m between taker",
    "position_settlements": (
        "event_no ts_ms fixture market customer was_net_m was_commission_m settled net_m commission_m exposure_m"
    ),
    "exchange_clearings": "event_no ts_ms fixture market source why",
    "exchange_starting_prices": "event_no ts_ms fixture market selection price",
    "market_archivings": "event_no ts_ms fixture market",
}
"""Table -> columns of the rows that a slice adds."""
DEFAULTS: Final[dict[str, Row]] = {
    "bets": ("", None, 1, False, "", RATE_ONE),
    "bet_legs": (False, False, None, None, None),
}
"""What the last columns are of most rows: left to the tables, which have the same defaults, for the sake of speed."""

TAGS: Final[dict[type, int]] = {kind: kind.__struct_config__.tag for kind in ev.Event.__args__}
_BALANCE: Final = {account: index for index, account in enumerate(ledger.CUSTOMER_ACCOUNTS)}


class Position(NamedTuple):
    """How far the journal stands in Postgres: the last batch, its last event, and the hash up to it."""

    sequence: int = 0
    event_no: int = 0
    hash: bytes = bytes(32)


class Slice:
    """The rows of consecutive events, from `before` (exclusive) to `after` (inclusive)."""

    def __init__(self, before: Position) -> None:
        self.before = before
        self.after = before
        self.ts_ms = 0
        self.inserts: dict[str, list[Row]] = {table: [] for table in INSERTS}
        self.plain: dict[str, list[Row]] = {table: [] for table in DEFAULTS}
        """Rows without those of their columns that are the defaults."""
        # Money.
        self.balances: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(_BALANCE))
        self.house: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.reserves_closed: list[Row] = []
        # Customers: the last word on each.
        self.suspensions: dict[str, bool] = {}
        self.verified: dict[str, bool] = {}
        self.timed_out: dict[str, int] = {}
        self.excluded: dict[str, int] = {}
        self.bonuses_ended: list[Row] = []
        """event_no, customer, bonus, how."""
        # Bets.
        self.answered: list[Row] = []
        """Of pending bets: event_no, bet id, the trader's answer."""
        self.offered: list[Row] = []
        """event_no, bet id, until_ms, returned_m, offer."""
        self.taken: list[Row] = []
        """event_no, bet id, the customer's word on the offer."""
        self.decided: list[Row] = []
        """event_no, bet id, how it ended; of every bet that may have waited."""
        self.settlements: list[Row] = []
        """event_no, bet id, ts_ms, was, was_paid_m, status, paid_m, capped_m."""
        self.cash_outs: list[Row] = []
        """event_no, bet id, ts_ms, id, stake_m, paid_m."""
        self.voided: list[Row] = []
        """event_no, bet id."""
        self.legs_voided: list[Row] = []
        """event_no, bet id, leg."""
        # Fixtures and markets: the last word on each.
        self.fixtures: dict[str, Row] = {}
        self.markets: dict[Key, Row] = {}
        self.renewed: dict[Key, int] = {}
        """Markets defined anew after the engine had forgotten them: number of the event."""
        self.selections: dict[Key, Row] = {}
        self.market_suspended: dict[Key, bool] = {}
        self.market_settled: dict[Key, bool] = {}
        self.archived: dict[Key, int] = {}
        self.lives: list[tuple[int, str, str, bool]] = []
        """event_no, fixture, market, whether the engine knows it from then on or forgets it; all of them, in order."""
        self.prices: dict[Key, int] = {}
        self.results_cleared: dict[Key, int] = {}
        self.results: dict[Key, Result] = {}
        self.withdrawals_cleared: dict[Key, int] = {}
        self.withdrawals: dict[Key, tuple[int, int, int]] = {}
        """withdrawn_ms, deduction_pc, reduction_bp."""
        self.starting_prices: dict[Key, int] = {}
        self.rollbacks: dict[str, list[Row]] = {"results": [], "cancel": [], "withdrawals": []}

    def __len__(self) -> int:
        return self.after.event_no - self.before.event_no

    def store(self, sequence: int, event: ev.Event, body: bytes | msgspec.Raw) -> int:
        """The next event of the journal as it stands there, `body` its msgpack, and its link of the chain; its number.

        What it says besides is for adapters/postgres/folding/.
        """
        chain = sha256(self.after.hash)
        chain.update(body)
        digest = chain.digest()
        number = self.after.event_no + 1
        self.after = Position(sequence, number, digest)
        self.ts_ms = event.ts_ms
        self.inserts["events"].append((number, sequence, event.ts_ms, TAGS[type(event)], body, digest))
        return number

    def inserted(self, table: str) -> list[Row]:
        """All rows of a table, whole."""
        return self.inserts[table] + [row + DEFAULTS[table] for row in self.plain.get(table, ())]

    def move(self, number: int, event: Any) -> None:
        """The money that the event moves: ledger rows, and the change of each balance."""
        self._move(number, event, event.customer, ledger.transfers(event), 0)

    def move_others(self, number: int, event: Any) -> None:
        """The same of an order, and the money of those with whose orders it was matched."""
        moves = ledger.transfers(event)
        own = getattr(event, "customer", "")
        self._move(number, event, own, moves, 0)
        line = len(moves)
        for customer, theirs in ledger.others(event):
            self._move(number, event, customer, theirs, line)
            line += len(theirs)

    def _move(self, number: int, event: Any, customer: str, moves: list[ledger.Transfer], first: int) -> None:
        entries, balances, house = self.inserts["ledger_entries"], self.balances, self.house
        currency = event.currency if moves else ""
        for line, (source, target, amount_m) in enumerate(moves, first):
            entries.append((number, line, event.ts_ms, customer, source, target, amount_m, currency))
            if source in _BALANCE:
                balances[customer][_BALANCE[source]] -= amount_m
            else:
                house[source, currency] -= amount_m
            if target in _BALANCE:
                balances[customer][_BALANCE[target]] += amount_m
            else:
                house[target, currency] += amount_m

    def act(self, number: int, event: Any, target: Key, reason: str = "") -> None:
        """What the desk did; nothing where it was not the desk."""
        if event.author:
            # An offer follows from the trader's answer and has no id of its own.
            command_id = getattr(event, "id", "")
            row = (number, event.ts_ms, command_id, event.author, type(event).__name__, " ".join(target), reason)
            self.inserts["desk_actions"].append(row)
