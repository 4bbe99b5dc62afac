"""What goes on a slip: how many selections, of which shelf, as which kind of bet. The tastes of customers, in figures.

Most people bet singles and accumulators; who goes to the races bets each-way, at the starting price, and takes a Lucky
15; a few love systems. Where there is less on offer than a bet needs, it becomes the largest that there is.
"""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec import Struct

from adapters.demo.board import BUILDERS, OTHERS, RACES, Board, Offer
from adapters.demo.kinds import NAMED

LEGS_MAX: Final = 6
_TRIES: Final = 20
"""Looks at the board for another fixture before a bet stays as short as it is."""
_NAMED_WEIGHTS: Final = {
    "trixie": 5,
    "patent": 4,
    "yankee": 5,
    "lucky15": 8,
    "canadian": 1,
    "lucky31": 1,
    "heinz": 2,
    "lucky63": 1,
}


class Style(Struct, frozen=True):
    """A way of betting; shares are of his bets."""

    multiples: float
    named: float
    systems: float
    races: float
    """Bets for which he goes to the races first."""
    each_way: float
    """... of those, as far as all its selections are runners."""
    starting_price: float
    """Of his runners."""
    builders: float


PUNTER: Final = Style(0.10, 0.01, 0.005, 0.10, 0.25, 0.10, 0.06)
ACCUMULATORS: Final = Style(0.62, 0.03, 0.01, 0.08, 0.2, 0.05, 0.05)
RACEGOER: Final = Style(0.18, 0.12, 0.02, 0.9, 0.5, 0.3, 0.0)
SYSTEMS: Final = Style(0.2, 0.2, 0.15, 0.2, 0.3, 0.1, 0.0)
STYLES: Final = {PUNTER: 58, ACCUMULATORS: 24, RACEGOER: 13, SYSTEMS: 5}
"""How many in a hundred."""


class Slip(Struct):
    """A bet before anybody has looked at prices: the markets of its legs and how they go together."""

    offers: list[Offer]
    kind: str = ""
    folds: tuple[int, ...] = ()
    each_way: bool = False
    banker: bool = False
    """The first leg stands in every line."""
    ways: bool = False
    """The last market gives two legs."""


def fill_in(style: Style, in_play: float, board: Board, random: Random) -> Slip | None:
    """A slip for what is open now; None: nothing is. `in_play`: how much he prefers what is in play, 0 to 1."""
    form = random.choices(
        ("single", "multiple", "named", "system"),
        (1 - style.multiples - style.named - style.systems, style.multiples, style.named, style.systems),
    )[0]
    kind = random.choices([*_NAMED_WEIGHTS], [*_NAMED_WEIGHTS.values()])[0] if form == "named" else ""
    wanted = {
        "single": 1,
        "multiple": min(LEGS_MAX, 2 + int(random.expovariate(0.9))),
        "named": NAMED[kind][0] if kind else 0,
        "system": random.randint(3, LEGS_MAX),
    }[form]
    racing = random.random() < style.races
    each_way = racing and random.random() < style.each_way
    shelves = [RACES] if racing else [BUILDERS, OTHERS] if random.random() < style.builders else [OTHERS]
    offers = _chosen(board, [*shelves, *(() if each_way else (OTHERS, RACES))], wanted, in_play, random)
    if not offers:
        return None
    slip = Slip(offers, each_way=each_way and all(offer.each_way for offer in offers))
    if form == "named":
        fitting = [name for name, (size, _) in NAMED.items() if size == len(offers)]
        slip.kind = kind if kind in fitting else random.choice(fitting) if fitting else ""
    elif form == "system" and len(offers) > 2:
        _arrange(slip, random)
    return slip


def _chosen(board: Board, shelves: list[str], wanted: int, in_play: float, random: Random) -> list[Offer]:
    """So many markets of as many fixtures, the first shelf first: a bet builder is one leg of the bet."""
    chosen: dict[str, Offer] = {}
    for shelf in shelves:
        keys = list(board.shelves[shelf])
        for _ in range(_TRIES if keys else 0):
            offer = board.open[random.choice(keys)]
            liked = offer.in_play or shelf != OTHERS or random.random() > in_play
            if offer.priced and liked and offer.fixture not in chosen:
                chosen[offer.fixture] = offer
            if len(chosen) == wanted or shelf == BUILDERS:
                break
        if len(chosen) == wanted:
            break
    return [*chosen.values()]


def _arrange(slip: Slip, random: Random) -> None:
    """A system: one or two sizes of folds; now and then a banker, or two selections of one market ("ways")."""
    slip.banker = len(slip.offers) > 3 and random.random() < 0.3
    slip.ways = random.random() < 0.3 and len(slip.offers[-1].priced) > 1
    fixtures = len(slip.offers) - slip.banker
    smallest = random.randint(2, fixtures - 1)
    slip.folds = (smallest, smallest + 1) if random.random() < 0.4 else (smallest,)
