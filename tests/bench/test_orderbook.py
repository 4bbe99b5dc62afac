"""The benchmark's small mode, and its checksum against the plain twin of the book."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bench import orderbook
from bench.orderbook import DictionaryBook, Draw, Size
from core.exchange.orderbook import OrderBook
from tests.core.exchange.plain import PlainBook

ROOT = Path(__file__).parent.parent.parent


def test_small_mode_checks_its_answers_and_prints_them() -> None:
    program = [sys.executable, "-m", "bench.orderbook", "--small", "--json"]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["header"]["python"]
    assert result["book_m_per_s"]["median"] > 0
    assert result["trades"]["min"] > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_three_books_have_the_same_trade_tape(seed: int) -> None:
    before, measured = Draw(Size(operations=1_500, live=120), random.Random(seed)).drawn()
    operations = before + measured
    first = DictionaryBook()
    for operation in operations:
        first.cancel(operation) if isinstance(operation, str) else first.place(*operation)
    fast, plain = orderbook.play(OrderBook(), operations), orderbook.play(PlainBook(), operations)
    assert len(fast) > 300
    assert orderbook.checksum(fast) == orderbook.checksum(plain) == orderbook.checksum(first.trades)


def test_operations_are_drawn_as_the_question_says() -> None:
    _, measured = Draw(Size(operations=5_000, live=200), random.Random(1)).drawn()
    cancels = sum(isinstance(operation, str) for operation in measured)
    assert 900 < cancels < 1_100
    assert len({operation[0] for operation in measured if not isinstance(operation, str)}) == 5_000 - cancels
