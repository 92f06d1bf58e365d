"""The words of a sweep are Hydra's, and what can't be drawn from is refused with the reason."""

import pytest

from pipeline.config.errors import ConfigError
from pipeline.config.sweep_words import Interval, Options, values_of


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("model=lenet,cnn", Options(("lenet", "cnn"))),
        ("model=choice(lenet,lenet,cnn)", Options(("lenet", "cnn"))),
        ("model.filters=[6,16],[8,32]", Options(("[6,16]", "[8,32]"))),
        ("training.clip=null,1", Options(("null", "1"))),
        ("optimizer.lr=interval(0.1,1)", Interval(0.1, 1.0)),
        ("optimizer.lr=tag(log,interval(1e-4,1e-1))", Interval(1e-4, 0.1, is_log=True)),
        ("training.epochs=int(interval(2,9))", Interval(2, 9, step=1)),
        ("training.epochs=range(2,9,3)", Interval(2, 8, step=3)),
        ("training.epochs=range(9,2,-3)", Interval(3, 9, step=3)),
        ("training.epochs=range(2,4,3)", Options(("2",))),
        ("+optimizer.amsgrad=true,false", Options(("true", "false"))),
        ("model=lenet", None),
        ("model.filters=[6,16]", None),
    ],
)
def test_a_word_lets_a_key_take_these_values(word: str, values: Options | Interval | None) -> None:
    assert values_of(word) == values


def test_the_numbers_of_a_range_are_whole_where_all_of_its_parts_are() -> None:
    whole, parts = values_of("a=range(16,65,16)"), values_of("a=range(0,1,0.25)")
    assert isinstance(whole, Interval)
    assert isinstance(parts, Interval)
    assert list(whole.texts()) == ["16", "32", "48", "64"]
    assert list(parts.texts()) == ["0.0", "0.25", "0.5", "0.75"]
    assert [number in whole for number in (16, 17, 64, 80)] == [True, False, True, False]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("lr=interval(1,0.1)", "lr: an interval goes from a smaller number to a larger one, but it is 1.0 to 0.1"),
        ("lr=tag(log,interval(0,1))", "lr: an interval with the tag log begins above 0, but it begins at 0.0"),
        ("lr=tag(lgo,interval(1,2))", "lr: the tag of an interval is log, but it is lgo; did you mean log?"),
        ("lr=tag(log,choice(1,2))", "lr: only an interval can have a tag"),
        ("lr=range(3,3)", "lr: there is nothing in this range"),
        ("lr", "lr is neither group=name nor key=value"),
        ("lr=intervall(1,2)", "lr=intervall(1,2): intervall is no function of a sweep; did you mean interval?"),
        ("model=glob(*)", "model: a sweep can't look for names"),
    ],
)
def test_what_can_not_be_drawn_from_is_refused(word: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        values_of(word)
    assert words in str(raised.value)


def test_a_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigError, match="looks like") as raised:
        values_of("tracking.uri=postgresql://anna:geheim@host/db,b")
    assert "geheim" not in str(raised.value)
