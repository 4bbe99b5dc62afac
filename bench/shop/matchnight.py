"""The night of a match, as a shape of the load: named beside the scenario it is played, not named it is not.

    locust -f bench/shop/locustfile.py,bench/shop/matchnight.py --headless -u 2000 -t 15m

The whole night takes --run-time; at its fullest --users are there. At a goal everybody acts at once. (While a shape is
played without its page, locust heeds Ctrl-C, but a SIGTERM ends it at once, and nothing is counted.)
"""

from __future__ import annotations

from typing import ClassVar

from locust import LoadTestShape

NIGHT = (
    (0.10, 0.4),  # looking at the line-ups
    (0.15, 1.0),  # kick-off: everybody wants his bet on
    (0.35, 0.6),  # first half
    (0.40, 1.0),  # a goal, and what people do after it
    (0.50, 0.6),
    (0.60, 0.9),  # half-time: new bets, and old ones are sold
    (0.80, 0.6),  # second half
    (0.85, 1.0),  # the other goal
    (1.00, 0.5),
)
"""Until which part of the night which part of the users is there."""
GOALS = (0.36, 0.81)
USUAL_S, COME_S = 900, 5
"""A night without --run-time; and in how many seconds all would come, or go."""


class MatchNight(LoadTestShape):
    """Kick-off, goals and half-time."""

    use_common_options: ClassVar[bool] = True
    _before = 0.0
    """The part of the night that was over when last looked."""

    def tick(self) -> tuple[int, float] | None:
        """How many are to be there now, and how many of them come or go in a second; None: it is over."""
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        assert options is not None
        now = self.get_run_time() / (options.run_time or USUAL_S)  # type: ignore[no-untyped-call]
        before, self._before = self._before, now
        if now >= 1:
            return None
        if any(before < goal <= now for goal in GOALS):
            self.runner.send_message("goal")
        share, most = next(share for until, share in NIGHT if now < until), options.num_users or 1
        return max(1, round(share * most)), max(1.0, most / COME_S)
