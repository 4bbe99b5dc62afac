"""The live view: one screen that says whether all is well, what moves, and who bets on what.

Drawn from `Figures` alone, for any size from 80x24 up; what does not fit is left out, the most telling comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from adapters.demo import kinds
from adapters.demo.figures import Exchange, Figures, Hot, Price, Worst
from adapters.demo.profiles import in_book
from adapters.demo.report import Line
from core.units import money_text, price_decimal

WIDTH_MIN: Final = 80
HEIGHT_MIN: Final = 24
_TALL: Final = 32
"""From so many rows on there is room for the kinds of bets, and a frame around the system."""
_WIDE: Final = 90
"""A market panel that is so wide inside has room for a market in one line."""
_MOVES: Final = {1: ("▲", "bold green"), 0: (" ", ""), -1: ("▼", "bold red")}
_KINDS: Final = {
    "accepted": ("green", "bet"),
    "rejected": ("yellow", "no"),
    "won": ("bold cyan", "won"),
    "void": ("blue", "void"),
    "referred": ("bold magenta", "ask"),
    "trader": ("bold bright_white", "desk"),
    "taken": ("bold green", "deal"),
    "lapsed": ("yellow", "off"),
    "sold": ("bold blue", "sold"),
    "traded": ("bold bright_blue", "xchg"),
}
_PAID: Final = {"won", "void", "sold"}
_NO_LEVELS: Final = ((0, 0),) * 3
_BACK, _LAY = "bold bright_blue", "bold bright_magenta"
_MATCHED: Final = 9
"""The width of what was matched on a selection, where there is room."""
_PLACES: Final = 2
"""Kinds of bets beside each other."""


def render(figures: Figures, width: int, height: int) -> RenderableType:
    """The whole screen."""
    width, height = max(width, WIDTH_MIN), max(height, HEIGHT_MIN)
    right = 30 if width < 110 else min(44, width // 3)
    tall = height >= _TALL
    system, told = 4 if tall else 2, 4 + (height - HEIGHT_MIN) // 7
    traded = 0
    if figures.exchange is not None:
        told -= 1
        traded = 2 + (min(max(3, len(figures.exchange.runners)), 6) if tall else 3)
    body = height - 3 - system - 2 * told - traded
    worst = max(5 if body > 9 else 3, min(body // 3, 14))
    by_kind = min(body // 3, 8) if tall else 0
    screen, middle, side = Layout(size=height), Layout(size=body), Layout(size=right)
    parts = [
        Layout(_header(figures, width), size=3),
        middle,
        Layout(_system(figures, framed=tall), size=system),
        Layout(_desk(figures, told - 2), size=told),
        Layout(_ticker(figures, told - 2), size=told),
    ]
    if figures.exchange is not None:
        parts.insert(2, Layout(_exchange(figures, figures.exchange, width - 4, traded - 2), size=traded))
    screen.split_column(*parts)
    middle.split_row(Layout(_markets(figures, width - right - 4, body - 2)), side)
    panels = [Layout(_answers(figures, body - worst - by_kind - 2))]
    if by_kind:
        panels.append(Layout(_by_kind(figures, right - 4, by_kind - 2), size=by_kind))
    side.split_column(*panels, Layout(_worst(figures, right - 4, worst - 2), size=worst))
    return screen


def line(figures: Figures) -> str:
    """The same in one line, for where there is no terminal."""
    crowd = figures.crowd
    worst = figures.worst[0] if figures.worst else Worst("none", 0, 1)
    return (
        f"{_clock(figures.now_ms)} up {_span(figures.up_s)}  bets {crowd.bets:,} ({crowd.bets_per_s:.0f}/s, "
        f"{_accepted_share(figures):.0%} accepted)  p50 {crowd.p50_ms:.1f} p99 {crowd.p99_ms:.1f} ms  "
        f"settled {crowd.settled:,}  orders {crowd.exchange.orders:,}, {_money(crowd.exchange.matched_m)} taken  "
        f"pending {sum(figures.waiting.values())}  cash-outs {crowd.cash_outs:,}  "
        f"markets {crowd.markets}  journal {figures.event_no:,} events, "
        f"projector {figures.projector_lag:,} behind  worst {worst.name} {_money(worst.liability_m)} of "
        f"{_money(worst.limit_m)} {figures.currency}  feeds {_producers(figures).plain}"
    )


def _header(figures: Figures, width: int) -> RenderableType:
    crowd = figures.crowd
    first = Table.grid(expand=True)
    first.add_column(no_wrap=True)
    first.add_column(justify="right", no_wrap=True)
    left = Text.assemble(
        (" tictac ", "bold black on bright_yellow"),
        f" up {_span(figures.up_s)}  ",
        (f"{crowd.bets_per_s:,.0f}", "bold bright_white"),
        " bets/s  ",
        (f"{figures.answers_per_s:,.0f}", "bold bright_white"),
        " answers/s",
    )
    first.add_row(left, Text(f"term {figures.term}  {_clock(figures.now_ms)} "))
    latency = Text.assemble(" answered in  ")
    for name, value_ms, good_ms in (("p50", crowd.p50_ms, 5), ("p99", crowd.p99_ms, 25), ("p99.9", crowd.p999_ms, 100)):
        latency.append(f"{name} ")
        latency.append(f"{value_ms:.1f}  ", "bold green" if value_ms <= good_ms else "bold yellow")
    latency.append("ms", "dim")
    second = Table.grid(expand=True)
    second.add_column(no_wrap=True)
    second.add_column(justify="right", no_wrap=True)
    second.add_row(latency, Text(f"{figures.open_bets:,} open bets "))
    turnover = Text.assemble(
        (f" {crowd.customers} customers staked {_money(in_book(crowd.staked_m))} {figures.currency}, ", "dim"),
        (f"were paid {_money(in_book(crowd.paid_m))}; {crowd.settled:,} bets settled", "dim"),
    )
    if crowd.faults:
        turnover = Text(f" {len(crowd.faults)} FAULTS: {crowd.faults[-1]}", "bold white on red")
    return Group(first, second, _cut(turnover, width))


def _markets(figures: Figures, width: int, rows: int) -> Panel:
    """In one line each where there is room, else in two."""
    lines: list[Text] = []
    for hot in figures.hot:
        lines.extend(_in_one(hot, width) if width >= _WIDE else _in_two(hot, width))
    if not figures.hot:
        lines.append(Text("waiting for the first prices ...", "dim"))
    title = f"markets  {figures.crowd.markets:,} open in {figures.fixtures:,} fixtures"
    return _panel(title, lines[: rows - rows % 2 if width < _WIDE else rows])


def _in_one(hot: Hot, width: int) -> list[Text]:
    liability_width = 9
    name_width, market_width = width * 25 // 100, width * 13 // 100
    each = (width - 2 - name_width - market_width - liability_width - 2) // 3
    text = _mark(hot)
    text.append(_fit(hot.fixture, name_width) + " ", "bold" if hot.in_play else "")
    text.append(_fit(hot.market, market_width) + " ", "dim")
    text.append(_prices(hot, each))
    text.append(_money(hot.liability_m).rjust(liability_width), "magenta")
    return [text]


def _in_two(hot: Hot, width: int) -> list[Text]:
    liability = _money(hot.liability_m)
    room = width - 2 - len(liability) - 1
    fixture_width = min(len(hot.fixture), room - 12)
    first = _mark(hot)
    first.append(_fit(hot.fixture, fixture_width), "bold" if hot.in_play else "")
    first.append(_fit(f" {hot.market}", room - fixture_width), "dim")
    first.append(f" {liability}", "magenta")
    return [first, Text("  ").append(_prices(hot, (width - 2) // 3))]


def _mark(hot: Hot) -> Text:
    if hot.status != "open":
        return Text("■ ", "bold yellow")
    return Text("● ", "bold red") if hot.in_play else Text("○ ", "dim")


def _prices(hot: Hot, each: int) -> Text:
    text = Text()
    for price in [*hot.prices, *[Price("", 0)] * 3][:3]:
        text.append(_price(price, each, open_=hot.status == "open"))
    return text


def _price(price: Price, width: int, *, open_: bool) -> Text:
    if not price.name:
        return Text(" " * width)
    shown = price_decimal(price.price) if price.price else "-"
    shown = shown.removesuffix(".00") if len(shown) > 6 else shown
    arrow, style = _MOVES[price.move]
    text = Text(_fit(price.name, width - len(shown) - 3) + " ", "" if open_ else "dim")
    text.append(shown, (style or "bold") if open_ else "dim strike")
    return text.append(arrow + " ", style)


def _exchange(figures: Figures, market: Exchange, width: int, rows: int) -> Panel:
    """The book: on the left what can be backed, on the right what can be laid, the best prices in the middle."""
    each = max(10, min(15, (width - 30) // 6))
    name_width = width - 6 * each - 3 - (_MATCHED if width >= _WIDE else 0)
    lines = []
    for runner in market.runners[:rows]:
        text = Text(_fit(runner.name, name_width) + " ")
        if width >= _WIDE:
            text.append(f"{_money(runner.matched_m):>{_MATCHED - 1}} ", "dim")
        backs, lays = [*runner.to_back, *_NO_LEVELS][:3], [*runner.to_lay, *_NO_LEVELS][:3]
        for place, level in reversed([*enumerate(backs)]):
            text.append(_level(level, each), _BACK if not place else "blue")
        text.append("│ ", "dim")
        for place, level in enumerate(lays):
            text.append(_level(level, each), _LAY if not place else "magenta")
        lines.append(text)
    if not lines:
        lines.append(Text("nobody offers anything", "dim"))
    crowd, makers = figures.crowd.exchange, figures.makers
    state = market.status if market.status != "open" else "in play" if market.in_play else "open"
    matched = f"matched {_money(market.matched_m)} {figures.currency}"
    title = f"exchange  {matched}  {state}  {market.fixture}, {market.market}"
    told = (
        f"{crowd.orders:,} orders, {crowd.takers:,} took {_money(crowd.matched_m)}, "
        f"{crowd.answers.get('resting', 0):,} rest, {crowd.taken_back:,} back; makers {makers.placed:,}"
    )
    return _panel(title, lines, told)


def _level(level: tuple[int, int], width: int) -> str:
    """A price, and how much of it there is."""
    price, stake_m = level
    if not price:
        return " " * width
    shown = _short(price)
    return f"{shown} {_size(stake_m):<{width - len(shown) - 2}} "


def _short(price: int) -> str:
    shown = price_decimal(price)
    return shown.removesuffix(".00") if price >= 1_000_000 else shown


def _size(stake_m: int) -> str:
    """At most four characters: 9.50, 950, 9.5k, 950k."""
    whole = stake_m / 100
    if whole < 10:
        return f"{whole:.2f}"
    if whole < 1_000:
        return f"{whole:.0f}"
    return (
        f"{whole / 1_000:.1f}k" if whole < 10_000 else f"{whole / 1_000:.0f}k" if whole < 1e6 else f"{whole / 1e6:.0f}M"
    )


def _answers(figures: Figures, rows: int) -> Panel:
    answers = sorted(figures.crowd.answers.items(), key=lambda item: (item[0] != "accepted", -item[1]))
    total = max(1, sum(count for _, count in answers))
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    shown = answers if len(answers) <= rows else answers[: rows - 1]
    for reason, count in shown:
        style = "green" if reason == "accepted" else "yellow"
        table.add_row(Text(reason.replace("_", " ").lower(), style), f"{count:,}", f"{count / total:.1%}")
    rest = sum(count for _, count in answers) - sum(count for _, count in shown)
    if rest:
        table.add_row(Text(f"{len(answers) - len(shown)} other reasons", "dim"), f"{rest:,}", f"{rest / total:.1%}")
    return _panel(f"answers  {total:,}", [table])


def _by_kind(figures: Figures, width: int, rows: int) -> Panel:
    """The commonest kinds of accepted bets, in columns; the rest together."""
    counts = sorted(figures.crowd.by_kind.items(), key=lambda item: -item[1])
    total = max(1, sum(count for _, count in counts))
    room = rows * _PLACES
    shown = counts if len(counts) <= room else counts[: room - 1]
    rest = sum(count for _, count in counts) - sum(count for _, count in shown)
    told = [(name.replace(kinds.EACH_WAY, "e/w ").replace("_", " "), count) for name, count in shown]
    told += [("others", rest)] if rest else []
    each = width // _PLACES
    lines = [Text() for _ in range(rows)]
    for place, (name, count) in enumerate(told):
        share = f"{count / total:.1%}"
        lines[place % rows].append(_fit(name, each - len(share) - 2) + " ").append(share + " ", "green")
    return _panel("kinds of bets", lines)


def _desk(figures: Figures, rows: int) -> Panel:
    """What waits, what the trader did, what was sold back."""
    waiting, desk, crowd = figures.waiting, figures.desk, figures.crowd
    waits = "  ".join(f"{waiting.get(stage, 0)} {stage}" for stage in ("delayed", "referred", "offered"))
    words = ("accept", "yes"), ("offer", "offers"), ("decline", "no")
    told = " ".join(f"{desk.told.get(action, 0)} {word}" for action, word in words)
    told = f"trader: {told} {desk.silent} silent"
    sold = f"{crowd.cash_outs:,} sold for {_money(in_book(crowd.sold_m))} {figures.currency}"
    lines = [_told(line) for line in figures.slow[-rows:]] or [Text("nobody has asked yet", "dim")]
    return _panel(f"waiting  {waits}", lines, f"{told}  {sold}")


def _worst(figures: Figures, width: int, rows: int) -> Panel:
    lines = []
    book = Worst("the whole book", figures.book_liability_m, figures.book_limit_m)
    for worst in [*figures.worst[: rows - 1], book]:
        share = worst.liability_m / worst.limit_m
        style = "bold red" if share > 0.9 else "yellow" if share > 0.6 else "green"
        amount = f"{_money(worst.liability_m)} {share:>4.0%}"
        name = Text(_fit(worst.name, width - len(amount) - 1) + " ")
        lines.append(name.append(amount, style))
    return _panel("worst liabilities", lines)


def _system(figures: Figures, *, framed: bool) -> RenderableType:
    journal = Text.assemble(
        ("journal ", "dim"),
        f"{figures.appends_per_s:,.0f}/s in {figures.append_ms:.1f} ms  ",
        ("projector ", "dim"),
        (f"{figures.projector_lag:,} behind", "green" if figures.projector_lag < 5_000 else "bold yellow"),
        ("  postgres ", "dim"),
        _state(figures.postgres),
        ("  redis ", "dim"),
        _state(figures.redis),
        f"  {figures.events_per_s:,.0f} events/s, {figures.event_no:,} in all, {figures.journal_waiting:,} waiting",
    )
    feeds = Text.assemble(
        ("feeds ", "dim"), _producers(figures), f" {figures.feed_per_s:,.0f} messages/s  ", (figures.playing, "dim")
    )
    if framed:
        return _panel("system", [journal, feeds])
    return Group(*(_one_line(Text(" ").append(line)) for line in (journal, feeds)))


def _ticker(figures: Figures, rows: int) -> Panel:
    families: dict[str, int] = {}
    for name, count in figures.crowd.by_kind.items():
        families[kinds.family(name)] = families.get(kinds.family(name), 0) + count
    total = max(1, sum(families.values()))
    shares = ", ".join(f"{families.get(each, 0) / total:.0%} {each}" for each in ("singles", "multiples", "systems"))
    return _panel("last bets and settlements", [_told(line) for line in figures.lines[-rows:]], shares)


def _told(line: Line) -> Text:
    style, kind = _KINDS.get(line.kind, ("", line.kind))
    text = Text.assemble(f"{_clock(line.ts_ms)} ", (f"{kind:<5}", style), (f"{line.customer} ", "dim"))
    stake = money_text(line.stake_m, line.currency)
    if line.why:
        return text.append(line.why.replace("_", " ").lower(), "yellow").append(f": {stake} on {line.what}")
    if line.kind in _PAID:
        return text.append(f"{money_text(line.paid_m, line.currency)} for {stake} on {line.what}")
    return text.append(f"{stake} on {line.what}")


def _panel(title: str, lines: Iterable[RenderableType], below: str = "") -> Panel:
    texts = [_one_line(item) if isinstance(item, Text) else item for item in lines]
    return Panel(
        Group(*texts),
        title=f"[dim]{title}[/]",
        title_align="left",
        subtitle=f"[dim]{below}[/]" if below else None,
        subtitle_align="right",
        box=ROUNDED,
        border_style="grey39",
    )


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return _one_line(text)


def _producers(figures: Figures) -> Text:
    text = Text()
    for producer in figures.producers:
        text.append(f"{producer.name} ").append(
            "up " if producer.up else "DOWN ", "green" if producer.up else "bold red"
        )
    return text if figures.producers else Text("none yet ", "dim")


def _state(state: str) -> tuple[str, str]:
    return state, "green" if state == "up" else "dim" if state == "off" else "bold red"


def _accepted_share(figures: Figures) -> float:
    answers = figures.crowd.answers
    return answers.get("accepted", 0) / max(1, sum(answers.values()))


def _fit(text: str, width: int) -> str:
    if width <= 0:
        return ""
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def _money(amount_m: int) -> str:
    """Without cents from a thousand on, and in millions from ten on: a screen is for the eye."""
    whole = abs(amount_m) // 100
    sign = "-" if amount_m < 0 else ""
    if whole >= 10_000_000:
        return f"{sign}{whole / 1_000_000:.1f}M"
    return f"{sign}{whole:,}"


def _clock(ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
