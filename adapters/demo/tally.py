"""What the journal says of the exchange markets: counted while it is read for the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from adapters.journal import Stored
from core.exchange.ladder import Side
from core.messages import events as ev

_CUSTOMER: Final = ev.Why.CUSTOMER.value
_BACK: Final = Side.BACK.value


class Exchange(Struct):
    """Figures of all exchange markets, makers and house included; sums in minor units."""

    orders: int = 0
    """That were taken; one that replaces another is one more."""
    matched: int = 0
    """Matches between two customers, or across selections between more."""
    matched_stake_m: int = 0
    """Of the takers; at the starting price, of the backers."""
    crosses: int = 0
    """Of the matches, those across selections."""
    closed: int = 0
    """Orders that got the starting price."""
    lapsed: int = 0
    """Orders of which something lapsed."""
    cancelled: int = 0
    """Times that customers took orders back."""
    commission_m: int = 0
    customers: int = 0
    """Orders of this run's simulated customers."""

    def text(self) -> str:
        """For people."""
        return (
            f"{self.orders:,} orders, {self.matched:,} matches of {self.matched_stake_m:,}, {self.crosses:,} of them "
            f"across selections, {self.closed:,} at the starting price; {self.lapsed:,} lapsed, {self.cancelled:,} "
            f"cancelled; commission {self.commission_m:,}"
        )


class Tally:
    """Counts events; `mine` is how the ids of the customers' orders begin."""

    def __init__(self, mine: str) -> None:
        self.seen = Exchange()
        self._mine = mine
        self._tellers: dict[type, Callable[[Any], None]] = {
            ev.OrderPlaced: self._placed,
            ev.OrderPending: self._taken,
            ev.OrderBatch: lambda event: self.take(event.steps),
            ev.OrdersCancelled: self._cancelled,
            ev.StartingPriceMatched: self._closed,
            ev.PositionSettled: self._settled,
        }

    async def over(self, batches: AsyncIterator[Stored]) -> AsyncIterator[Stored]:
        """The same batches, counted."""
        async for stored in batches:
            self.take(stored.batch.events)
            yield stored

    def take(self, events: Iterable[Any]) -> None:
        for event in events:
            teller = self._tellers.get(type(event))
            if teller is not None:
                teller(event)

    def _taken(self, event: ev.OrderPlaced | ev.OrderPending) -> None:
        self.seen.orders += 1
        self.seen.customers += event.id.startswith(self._mine)

    def _placed(self, event: ev.OrderPlaced) -> None:
        seen = self.seen
        if not event.waited:
            self._taken(event)
        seen.matched += len(event.fills) + len(event.crosses)
        seen.crosses += len(event.crosses)
        seen.matched_stake_m += sum(fill.stake_m for fill in event.fills)
        seen.matched_stake_m += sum(cross.stake_m for cross in event.crosses)
        seen.lapsed += event.lapsed_m > 0

    def _cancelled(self, event: ev.OrdersCancelled) -> None:
        if event.why == _CUSTOMER:
            self.seen.cancelled += len(event.orders)
        else:
            self.seen.lapsed += len(event.orders)

    def _closed(self, event: ev.StartingPriceMatched) -> None:
        """What the backs have matched the lays have too."""
        matched = [order for order in event.orders if order.stake_m]
        self.seen.closed += len(matched)
        self.seen.matched_stake_m += sum(order.stake_m for order in matched if order.side == _BACK)
        self.seen.lapsed += len(event.orders) - len(matched)

    def _settled(self, event: ev.PositionSettled) -> None:
        self.seen.commission_m += event.commission_m - event.was_commission_m
