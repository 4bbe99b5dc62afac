"""What a market's changes add up to: its definition and each runner's book, and the price that can be read from them.

Prices stay the JSON numbers they came as: kept as keys, compared, never computed with. `price_of` is the only way out.
"""

from __future__ import annotations

from functools import lru_cache
from heapq import nlargest, nsmallest
from math import inf

from core.units import MONEY_MAX, PRICE_MAX, PRICE_MIN
from feeds.betfair.stream import (
    DepthChanges,
    LevelChanges,
    MarketChange,
    MarketDefinition,
    RunnerChange,
    RunnerDefinition,
)

RunnerKey = tuple[int, float]
"""Selection and handicap."""
RUNNERS_MAX = 1000
"""In one market; Betfair's largest have some hundred. More are not taken in: a stream gone mad must not fill memory."""


@lru_cache(maxsize=4096)
def price_of(number: float) -> int:
    """A price as an integer x 10 000; 0: none, or outside of the bounds.

    Exact: the nearest double of a decimal number below 10 000 and this product are together off by less than a
    millionth, so rounding gives the number that was written, to its fourth place. Half a thousand prices make up
    Betfair's ladder, hence the cache.
    """
    if not 1 < number <= PRICE_MAX / 10_000:
        return 0
    price = round(number * 10_000)
    return price if PRICE_MIN <= price <= PRICE_MAX else 0


Offers = list[tuple[float, float]]
"""(price, size), best first."""


def stake_of(size: float) -> int:
    """A size in minor units, to the nearest; 0: none, or not a sum that could be one."""
    return round(size * 100) if 0 < size * 100 < MONEY_MAX else 0


class Depth:
    """A book by price: all prices at which somebody offers, with their sizes."""

    __slots__ = ("_back", "_lay", "back", "lay")

    def __init__(self) -> None:
        self._back: dict[float, float] = {}
        self._lay: dict[float, float] = {}
        self.back = 0.0
        """The best price to back; 0: none."""
        self.lay = inf
        """The best price to lay; infinite: none."""

    def change_back(self, changes: DepthChanges) -> bool:
        """A size of 0 deletes; a price that is not there is no matter (RULEBOOK 8). True: the best has changed.

        The best is kept at hand, because most changes are far from it.
        """
        prices, best = self._back, self.back
        for price, size in changes:
            if size > 0:
                prices[price] = size
                if price > best:  # noqa: PLR1730  (max() costs three times as much)
                    best = price
            elif prices.pop(price, 0.0) and price == best:
                best = max(prices, default=0.0)
        if best == self.back:
            return False
        self.back = best
        return True

    def change_lay(self, changes: DepthChanges) -> bool:
        prices, best = self._lay, self.lay
        for price, size in changes:
            if size > 0:
                prices[price] = size
                if price < best:  # noqa: PLR1730
                    best = price
            elif prices.pop(price, 0.0) and price == best:
                best = min(prices, default=inf)
        if best == self.lay:
            return False
        self.lay = best
        return True

    def offers(self, levels: int) -> tuple[Offers, Offers]:
        """The best of them, to back and to lay."""
        return nlargest(levels, self._back.items()), nsmallest(levels, self._lay.items())


class Levels:
    """A book by level: the best few prices with their sizes, 0 the best."""

    __slots__ = ("_back", "_lay", "back", "lay")

    def __init__(self) -> None:
        self._back: dict[int, tuple[float, float]] = {}
        self._lay: dict[int, tuple[float, float]] = {}
        self.back = 0.0
        self.lay = inf

    def change_back(self, changes: LevelChanges) -> None:
        _change_levels(self._back, changes)
        self.back = self._back[min(self._back)][0] if self._back else 0.0

    def change_lay(self, changes: LevelChanges) -> None:
        _change_levels(self._lay, changes)
        self.lay = self._lay[min(self._lay)][0] if self._lay else inf

    def offers(self, levels: int) -> tuple[Offers, Offers]:
        """The best of them, to back and to lay; a price once, whatever was said of levels."""
        back, lay = dict(self._back.values()), dict(self._lay.values())
        return nlargest(levels, back.items()), nsmallest(levels, lay.items())


def _change_levels(levels: dict[int, tuple[float, float]], changes: LevelChanges) -> None:
    for level, price, size in changes:
        if size > 0:
            levels[level] = price, size
        else:
            levels.pop(level, None)


class Runner:
    """One runner's book, in the three forms in which it may come."""

    __slots__ = ("best", "crossed", "depth", "displayed", "ltp", "offered", "price")

    def __init__(self) -> None:
        self.price = 0
        """What it can be backed at, as of the last message that was applied whole."""
        self.crossed = False
        """Then, the book was backed higher than laid: such a book cannot be, and nothing is priced from it."""
        self.forget()

    def forget(self) -> None:
        """An image follows."""
        self.depth = Depth()
        self.best: Levels | None = None
        self.displayed: Levels | None = None
        """With what cross matching implies."""
        self.ltp = 0.0
        self.offered = False
        """The market's definition names it, as active."""

    def change(self, change: RunnerChange) -> bool:
        """Take a change in; True: it may have moved the best prices."""
        moved = False
        if change.atb is not None:
            moved = self.depth.change_back(change.atb)
        if change.atl is not None:
            moved |= self.depth.change_lay(change.atl)
        if change.ltp is not None:
            self.ltp = 0.0 if isinstance(change.ltp, str) else change.ltp
        if change.bdatb is not None or change.bdatl is not None:
            moved = True
            self.displayed = self.displayed or Levels()
            self.displayed.change_back(change.bdatb or ())
            self.displayed.change_lay(change.bdatl or ())
        if change.batb is not None or change.batl is not None:
            moved = True
            self.best = self.best or Levels()
            self.best.change_back(change.batb or ())
            self.best.change_lay(change.batl or ())
        return moved

    def reprice(self, *, has_book: bool) -> bool:
        """Read the book; True: the price has changed. Where the market has no book at all, the last traded price.

        What is displayed is what can be had; it stands before all prices, and those before the best few.
        """
        depth = self.depth
        back, lay = depth.back, depth.lay
        if self.displayed is not None:
            back, lay = self.displayed.back, self.displayed.lay
        elif self.best is not None and not back and lay == inf:
            back, lay = self.best.back, self.best.lay
        self.crossed = lay <= back
        price = 0 if self.crossed or not self.offered else price_of(back if has_book else self.ltp)
        if price == self.price:
            return False
        self.price = price
        return True

    def offers(self, levels: int) -> tuple[Offers, Offers]:
        """What is available to back and to lay, without what cross matching implies; of a book that was told only with
        that, with it.
        """
        for book in (self.depth, self.best, self.displayed):
            if book is not None and (book.back or book.lay != inf):
                return book.offers(levels)
        return [], []


class Market:
    """A market as the stream has told it so far."""

    def __init__(self, market_id: str) -> None:
        self.id = market_id
        self.definition: MarketDefinition | None = None
        self.runners: dict[RunnerKey, Runner] = {}
        self.has_book = False
        """It ever had a book: then an empty one means that nobody offers, and not that prices come otherwise."""
        self.conflated = False
        """The last change was several in one: late, but no less true."""
        self.crossed = 0
        """Books of the last message that were crossed at its end."""
        self._touched: dict[RunnerKey, Runner] = {}
        self._redefined = self._reread = False

    def apply(self, change: MarketChange) -> None:
        """Take one change in. Cannot fail; the book is not to be read before the message was applied whole."""
        self.conflated = bool(change.con)
        if change.img:
            for runner in self.runners.values():
                runner.forget()
            self.definition = None
            self._redefined = True
        if change.market_definition is not None:
            self._define(change.market_definition)
        runners, touched = self.runners, self._touched
        for runner_change in change.rc or ():
            key = runner_change.id, runner_change.hc
            found = runners.get(key) or self._runner(key)
            if found is not None:
                if found.change(runner_change) or found.crossed or not self.has_book:
                    touched[key] = found
                if not self.has_book and _of_book(runner_change):
                    self.has_book = self._reread = True

    def _define(self, definition: MarketDefinition) -> None:
        self._redefined = True
        self.definition = definition
        for runner in self.runners.values():
            runner.offered = False
        for defined in definition.runners:
            if (named := self._runner(key_of(defined))) is not None:
                named.offered = defined.status == "ACTIVE"

    def _runner(self, key: RunnerKey) -> Runner | None:
        """The runner, a new one where there is room."""
        runner = self.runners.get(key)
        if runner is None and len(self.runners) < RUNNERS_MAX:
            runner = self.runners[key] = Runner()
        return runner

    def read(self) -> tuple[bool, bool]:
        """The message was applied whole: read the books. Returns whether it was (redefined, repriced)."""
        redefined, repriced = self._redefined, False
        touched = self.runners if redefined or self._reread else self._touched
        self.crossed = 0
        for runner in touched.values():
            if runner.reprice(has_book=self.has_book):
                repriced = True
            if runner.crossed:
                self.crossed += 1
        self._touched.clear()
        self._redefined = self._reread = False
        return redefined, repriced


def _of_book(change: RunnerChange) -> bool:
    """Whether a change tells of offers, in whatever form."""
    forms = (change.atb, change.atl, change.batb, change.batl, change.bdatb, change.bdatl)
    return any(form is not None for form in forms)


def key_of(runner: RunnerDefinition) -> RunnerKey:
    return runner.id, runner.hc
