"""The customers' own record of their bets: from the first word to the last payment, as answers and notices tell it.

A bet is answered at once, or waits and is answered on `bets.<customer>`; then come its settlement, corrections, and
what of it was sold. Every step is counted once, whatever comes first: a notice may overtake the coroutine that asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from adapters.demo import kinds
from adapters.demo.checks import amiss
from adapters.demo.customers import Customer
from adapters.demo.report import Line, Report
from core.messages.answers import Accepted, Answer, CashedOutNotice, OfferNotice, Pending, Rejected, SettledNotice
from core.messages.commands import PlaceBet

Notice = Accepted | Rejected | OfferNotice | SettledNotice | CashedOutNotice
"""What is told on `bets.<customer>`."""
_KEPT_MAX: Final = 100_000
_FAULTS_MAX: Final = 20
_OPEN: Final = "open"
_OFFERED: Final = "offered"
_OVER: Final = ("won", "lost", "void", "cashed_out")
_LAPSED: Final = {"REFERRAL_DECLINED", "REFERRAL_EXPIRED", "OFFER_DECLINED", "OFFER_EXPIRED"}


class Placed(Struct, eq=False):
    """A bet, and how it stands."""

    bet: PlaceBet
    customer: Customer
    what: str
    """In the words of the screen."""
    kind: str
    state: str = "asked"
    """Then delayed, referred or offered; rejected; open; won, lost, void or cashed_out."""
    reserved_m: int = 0
    """Of his cash, while it waits."""
    stake_m: int = 0
    paid_m: int = 0
    offer: OfferNotice | None = None
    early: list[SettledNotice | CashedOutNotice] = []
    """Told before the answer that it is accepted: they count after it."""

    @property
    def decided(self) -> bool:
        return self.state in {_OPEN, "rejected", *_OVER}


class Records:
    """All bets of a run, the oldest forgotten; `seen` is kept up to date, `tell` gets what is worth a line."""

    def __init__(self, seen: Report, tell: Callable[[Line], None]) -> None:
        self.seen = seen
        self.answers: Counter[str] = Counter()
        self.by_kind: Counter[str] = Counter()
        self.waited: Counter[str] = Counter()
        self._sums: dict[str, Counter[str]] = {"staked_m": Counter(), "paid_m": Counter(), "sold_m": Counter()}
        self._tell = tell
        self._placed: dict[str, Placed] = {}

    def report(self) -> None:
        """Bring `seen` up to date."""
        self.seen.answers, self.seen.by_kind, self.seen.waited = map(dict, (self.answers, self.by_kind, self.waited))
        for name, sums in self._sums.items():
            setattr(self.seen, name, dict(sums))

    def ask(self, customer: Customer, bet: PlaceBet, what: str, *, builder: bool) -> Placed:
        """A bet that is about to be placed."""
        system = bet.kind or ("system" if bet.folds else "")
        kind = kinds.name(system, len(bet.legs), each_way=bet.each_way, builder=builder)
        placed = self._placed[bet.id] = Placed(bet, customer, what, kind)
        if len(self._placed) > _KEPT_MAX:
            del self._placed[next(iter(self._placed))]
        return placed

    def answer(self, placed: Placed, answer: Answer) -> None:
        """The first answer to it."""
        self.seen.bets += 1
        if isinstance(answer, Pending):
            self.waited[answer.stage] += 1
            if not placed.decided and not placed.reserved_m:
                self._wait(placed, answer.stage)
        elif not placed.decided and isinstance(answer, Accepted):
            self._accepted(placed, answer)
        elif not placed.decided and isinstance(answer, Rejected):
            self._rejected(placed, answer)

    def notice(self, notice: Notice) -> Placed | None:
        """What is told of a bet later on; None: it is not known here any more."""
        placed = self._placed.get(notice.id)
        if placed is None:
            return None
        if isinstance(notice, SettledNotice | CashedOutNotice) and not placed.decided:
            placed.early.append(notice)
        elif isinstance(notice, SettledNotice):
            self._settled(placed, notice)
        elif isinstance(notice, CashedOutNotice):
            self._sold(placed, notice)
        elif isinstance(notice, OfferNotice):
            self._offered(placed, notice)
        elif not placed.decided and isinstance(notice, Accepted):
            self._accepted(placed, notice)
        elif not placed.decided and isinstance(notice, Rejected):
            self._rejected(placed, notice)
        return placed

    def of(self, bet_id: str) -> Placed | None:
        return self._placed.get(bet_id)

    def fault(self, text: str) -> None:
        """What must not be."""
        if len(self.seen.faults) < _FAULTS_MAX:
            self.seen.faults.append(text)

    def line(self, placed: Placed, kind: str, *, stake_m: int = 0, paid_m: int = 0, why: str = "") -> None:
        stake_m = stake_m or placed.stake_m or kinds.stake_m(placed.bet)
        customer = placed.customer
        now_ms = time.time_ns() // 1_000_000
        self._tell(Line(now_ms, kind, customer.id, placed.what, stake_m, paid_m, why, customer.currency))

    # One step each.

    def _wait(self, placed: Placed, stage: str) -> None:
        """Its stake is set aside."""
        placed.state = stage
        placed.reserved_m = 0 if placed.bet.free_bet else kinds.stake_m(placed.bet)
        placed.customer.cash_m -= placed.reserved_m
        self.seen.pending += 1
        if stage == "referred":
            self.line(placed, "referred")

    def _offered(self, placed: Placed, offer: OfferNotice) -> None:
        """A trader's counter-offer; what it takes less comes back."""
        if placed.state == "asked":
            self._wait(placed, _OFFERED)
        self.waited[_OFFERED] += 1
        placed.state, placed.offer = _OFFERED, offer
        placed.customer.cash_m += placed.reserved_m - offer.stake_m
        placed.reserved_m = offer.stake_m

    def _decided(self, placed: Placed) -> None:
        """It waits no more; what was set aside is for whatever follows."""
        if placed.state != "asked":
            self.seen.pending -= 1
        placed.customer.cash_m += placed.reserved_m
        placed.reserved_m = 0

    def _accepted(self, placed: Placed, answer: Accepted) -> None:
        bet, customer = placed.bet, placed.customer
        offer, referred = placed.offer, placed.state in {"referred", _OFFERED}
        self._decided(placed)
        placed.state, placed.stake_m = _OPEN, answer.stake_m
        self.answers["accepted"] += 1
        self.by_kind[placed.kind] += 1
        self._sums["staked_m"][customer.currency] += answer.stake_m
        if bet.free_bet:
            self.seen.free_bets += 1
        else:
            customer.cash_m -= answer.stake_m
        wrong = amiss(bet, answer, offer.prices if offer else (), offer.stake_m if offer else 0)
        if wrong:
            self.fault(f"{bet.id}: {wrong}")
        self.line(placed, "taken" if referred else "accepted")
        early, placed.early = placed.early, []
        for notice in early:
            self.notice(notice)

    def _rejected(self, placed: Placed, answer: Rejected) -> None:
        self._decided(placed)
        placed.state = "rejected"
        self.answers[answer.reason] += 1
        if answer.reason != "BUSY":
            self.line(placed, "lapsed" if answer.reason in _LAPSED else "rejected", why=answer.reason)

    def _settled(self, placed: Placed, notice: SettledNotice) -> None:
        """Settled, settled otherwise, or open again."""
        added_m = notice.paid_m - placed.paid_m
        self.seen.settled += (notice.status in _OVER) - (placed.state in _OVER)
        self._sums["paid_m"][placed.customer.currency] += added_m
        placed.customer.cash_m += added_m
        placed.paid_m, placed.state = notice.paid_m, notice.status
        if notice.status in {"won", "void"}:
            self.line(placed, notice.status, paid_m=notice.paid_m)

    def _sold(self, placed: Placed, notice: CashedOutNotice) -> None:
        """The bet, or a share of it, for that much."""
        self.seen.cash_outs += 1
        self.seen.settled += notice.status in _OVER
        placed.state = notice.status
        self._sums["sold_m"][placed.customer.currency] += notice.paid_m
        placed.customer.cash_m += notice.paid_m
        self.line(placed, "sold", stake_m=notice.stake_m, paid_m=notice.paid_m)
