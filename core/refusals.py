"""A "no" on its way from the check that found it to the answer and the journal."""

from __future__ import annotations

from typing import NamedTuple

from core.messages.answers import Rejected
from core.messages.rejections import Rejection

REASON_NAMES = {reason.value: reason.name for reason in Rejection}


class Refusal(NamedTuple):
    """The reason and what goes with it; the fields of core.messages.answers.Rejected."""

    reason: Rejection
    leg: int = -1
    price: int = 0
    limit: int = 0
    stake_m: int = 0
    detail: str = ""

    def answer(self, command_id: str) -> Rejected:
        """The answer to the asker."""
        return Rejected(command_id, self.reason.name, self.leg, self.price, self.limit, self.stake_m, self.detail)
