"""What a sweep teaches, in words: what mattered, what it has not tried, what to try next."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from pipeline.config.search import Entry, Search
from pipeline.config.sweep_words import Interval, Options
from pipeline.config.wording import counted
from pipeline.search.importance import FEWEST, Group, Share
from pipeline.search.rows import Row

EDGE = 0.1  # of a range: a best value that is so near to its end may be better beyond
GAP = 0.25  # of a range without a trial, from which on it is told
GOOD = 0.25  # the best part of the trials
CHANCE = 0.05  # that none of an option's trials is among the good ones, below which the option is blamed
LATE = 0.75  # of the trials: a best one after that says that more may be better
MOST = 8  # combinations that are listed


def what_mattered(groups: Sequence[Group]) -> Iterator[str]:
    """Yield a sentence on the importance of keys in each group."""
    for group in groups:
        where = f"With {group.condition}: " if group.condition else ""
        if not group.shares:
            if not group.condition:
                yield f"{counted(group.trials, 'complete trial')}: too few to say which key matters; it takes {FEWEST} or more"
            continue
        first, *others = group.shares
        rest = "".join(f"; {key_of(share)} {share.mean:.0%}" for share in others[:2])
        unsure = others and first.low < others[0].high
        words = f"{where}{key_of(first)} explains {first.mean:.0%} of the differences ({first.low:.0%} to {first.high:.0%}){rest}"
        yield words + (", and which comes first is not sure" if unsure else "")


def key_of(share: Share) -> str:
    """Return a share's key without its condition."""
    return share.name.partition(" (")[0]


def not_explored(search: Search, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the options, parts of ranges, and pairs of options that no trial with a score has tried."""
    tried = [row for row in rows if row.value is not None]
    for entry in search.entries:
        values = [row.values[entry.name] for row in tried if entry.name in row.values]
        if isinstance(entry.values, Options):
            for text in entry.values.texts:
                if text not in values:
                    yield f"{entry.key}={text} has no trial with a score{f' under {entry.when}' if entry.when else ''}"
        elif not values:
            yield f"{entry.name} has no trial with a score"
        else:
            yield from _gaps(entry, entry.values, [float(value) for value in values])
    yield from _pairs(search, tried)


def _gaps(entry: Entry, drawn: Interval, values: list[float]) -> Iterator[str]:
    ends = sorted({drawn.low, drawn.high, *values})
    for low, high in pairwise(ends):
        if drawn.place(high) - drawn.place(low) > max(GAP, (drawn.step or 0) / (drawn.high - drawn.low) * 1.01):
            yield f"{entry.name} has no trial between {low:.4g} and {high:.4g}"


def _pairs(search: Search, tried: Sequence[Row]) -> Iterator[str]:
    options = {entry.name: entry.values.texts for entry in search.entries if isinstance(entry.values, Options) and not entry.when}
    missing = []
    for one, other in combinations(options, 2):
        seen = {(row.values.get(one), row.values.get(other)) for row in tried}
        single = {name: {row.values.get(name) for row in tried} for name in (one, other)}
        missing += [
            f"{one}={a} with {other}={b}"
            for a in options[one]
            for b in options[other]
            if (a, b) not in seen and a in single[one] and b in single[other]
        ]
    yield from missing[:MOST]
    if len(missing) > MOST:
        yield f"and {counted(len(missing) - MOST, 'other pair')} of options"


def what_next(search: Search, rows: Sequence[Row], best: Row, sign: int) -> Iterator[str]:
    """Yield what to try next. rows: of all points; sign: 1 where large scores are good, -1 where small ones are."""
    for entry in search.entries:
        if isinstance(entry.values, Interval) and entry.name in best.values:
            yield from _wider(entry, entry.values, float(best.values[entry.name]))
    yield from _narrower(search, rows, sign)
    if search.settings.sampler != "grid":
        yield from _longer(rows, best)


def _wider(entry: Entry, drawn: Interval, value: float) -> Iterator[str]:
    place = drawn.place(value)
    if place <= EDGE:
        yield f"The best {entry.name}, {value:.4g}, is near the lower end of {drawn.low:g} to {drawn.high:g}: try smaller ones"
    elif place >= 1 - EDGE:
        yield f"The best {entry.name}, {value:.4g}, is near the upper end of {drawn.low:g} to {drawn.high:g}: try larger ones"


def _narrower(search: Search, rows: Sequence[Row], sign: int) -> Iterator[str]:
    """Yield the options that are in none of the best trials."""
    ranked = sorted((row for row in rows if row.value is not None), key=lambda row: (row.state != "complete", -sign * (row.value or 0.0)))
    good = ranked[: max(1, round(GOOD * len(ranked)))]
    for entry in search.entries:
        if not isinstance(entry.values, Options):
            continue
        for text in entry.values.texts:
            tried = sum(row.values.get(entry.name) == text for row in ranked)
            by_chance = math.comb(len(ranked) - tried, len(good)) / math.comb(len(ranked), len(good)) if ranked else 1
            if by_chance < CHANCE and all(row.values.get(entry.name) != text for row in good):
                yield f"{entry.key}={text} is in none of the {len(good)} best trials, though {tried} had it: it may be left out"


def _longer(rows: Sequence[Row], best: Row) -> Iterator[str]:
    points = [row.point for row in rows if row.value is not None]
    after = sum(point > best.point for point in points)
    if len(points) >= FEWEST and after < (1 - LATE) * len(points):
        yield f"The best came late, with {counted(after, 'trial')} after it: more trials may well find a better one"
    elif len(points) >= FEWEST:
        yield f"None of the {after} trials after the best was better: more of the same will hardly help"
