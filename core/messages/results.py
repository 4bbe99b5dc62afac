"""The result of a selection, in the terms in which providers send it (UOF's fields; RULEBOOK 5), as integers."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.units import FACTOR_ONE, PRICE_ONE, Id

DENOMINATOR = FACTOR_ONE * PRICE_ONE


class Result(Struct, frozen=True, gc=False, array_like=True):
    """What became of a selection; on the wire and in the journal an array in this order.

    `result` 1 won, 0 lost. `void_factor` x 10 000: 0, 5000 (half the stake comes back) or 10000. Dead heat: the places
    that were left (`dead_heat_places`) over the selections that share them (`dead_heat_sharing`).
    """

    selection: Id
    result: Literal[0, 1]
    void_factor: Literal[0, 5000, 10000] = 0
    dead_heat_places: Annotated[int, Meta(ge=1, le=100)] = 1
    dead_heat_sharing: Annotated[int, Meta(ge=1, le=100)] = 1
    position: Annotated[int, Meta(ge=0, le=1000)] = 0
    """Where it came in, 1 the first, equal where it could not be told apart; 0: unplaced, or not a race. Place parts of
    each-way bets are settled by it."""

    def __post_init__(self) -> None:
        """Raise ValueError, which decoders name with the field, for a dead heat that would pay more than a win."""
        if self.dead_heat_places > self.dead_heat_sharing:
            msg = f"{self.dead_heat_places} places shared by {self.dead_heat_sharing}"
            raise ValueError(msg)


class EachWay(Struct, frozen=True, gc=False, array_like=True):
    """A market's each-way terms: `[places, numerator, denominator, handicap]`; 0 places: the usual terms (RULEBOOK 5).

    The place part is paid at 1 + (price - 1) x numerator / denominator if the selection is among the first `places`.
    """

    places: Annotated[int, Meta(ge=0, le=20)] = 0
    numerator: Annotated[int, Meta(ge=1, le=100)] = 1
    denominator: Annotated[int, Meta(ge=1, le=100)] = 1
    handicap: bool = False
    """Of a handicap race: it has usual terms of its own."""


class PlaceTerms(Struct, frozen=True, gc=False, array_like=True):
    """The terms of one place part, `[places, numerator, denominator]`; what it pays: see EachWay."""

    places: Annotated[int, Meta(ge=1, le=20)]
    numerator: Annotated[int, Meta(ge=1, le=100)]
    denominator: Annotated[int, Meta(ge=1, le=100)]


def place_terms(terms: EachWay | None) -> PlaceTerms | None:
    """Those at which a leg was taken, as they are told."""
    return None if terms is None else PlaceTerms(terms.places, terms.numerator, terms.denominator)


def multiplier(result: Result, price: int, scale: int = 1) -> tuple[int, int]:
    """The leg's multiplier `vf + (1 - vf) x result x price x dhf` (RULEBOOK 5), exact: (numerator, denominator).

    `price` is decimal odds x 10 000 x `scale`.
    """
    void = result.void_factor
    won = (FACTOR_ONE - void) * result.result * price * result.dead_heat_places
    sharing = result.dead_heat_sharing
    return void * PRICE_ONE * scale * sharing + won, DENOMINATOR * scale * sharing
