import builtins
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.errors import DataError
from pipeline.dataset.formats.arrays import unpickled
from tests.dataset.formats import python2
from tests.dataset.formats.python2 import Call


def test_plain_values_and_arrays_of_bytes_are_read(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    python2.write(tmp_path / "batch", {"labels": [1, 2], "name": "\xe9", "nothing": None, "data": data, "pair": (1, False)})
    tree = unpickled(tmp_path / "batch")
    np.testing.assert_array_equal(tree.pop("data"), data)
    assert tree == {"labels": [1, 2], "name": b"\xe9", "nothing": None, "pair": (1, False)}


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (("os", "system", "touch ran"), "os.system"),
        (("posix", "system", "touch ran"), "posix.system"),
        (("subprocess", "check_output", "touch ran"), "subprocess.check_output"),
        (("__builtin__", "eval", "open('ran', 'w')"), "__builtin__.eval"),
        (("builtins", "exec", "open('ran', 'w')"), "builtins.exec"),
        (("__builtin__", "getattr", "x", "y"), "__builtin__.getattr"),
        (("numpy", "load", "ran"), "numpy.load"),
        (("numpy", "fromfile", "ran"), "numpy.fromfile"),
        (("numpy.lib.npyio", "save", "ran", 1), "numpy.lib.npyio.save"),
        (("numpy.testing._private.utils", "runstring", "open('ran', 'w')", {}), "numpy.testing._private.utils.runstring"),
        (("numpy.core.multiarray", "fromfile", "ran"), "numpy.core.multiarray.fromfile"),
        (("copy_reg", "_reconstructor", 1), "copy_reg._reconstructor"),
        (("_codecs", "encode", "x"), "_codecs.encode"),
    ],
)
def test_a_name_that_a_batch_has_no_need_of_is_refused_and_not_run(
    call: Any, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    python2.write(tmp_path / "batch", {"labels": [Call(*call)]})
    with pytest.raises(DataError, match=rf"batch asks for {named}, .*it was not run. Do not use this file, fetch the original"):
        unpickled(tmp_path / "batch")
    assert [path.name for path in tmp_path.iterdir()] == ["batch"]


class Hostile:
    def __init__(self, *called: Any) -> None:
        self.called = called

    def __reduce__(self) -> Any:
        return self.called[0], self.called[1:]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("called", [(os.system, "touch ran"), (builtins.eval, "open('ran', 'w')"), (np.fromfile, "ran")])
def test_what_this_python_pickles_is_refused_in_every_protocol(
    called: Any, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").write_bytes(pickle.dumps({"data": Hostile(*called)}, protocol))
    with pytest.raises(DataError, match="batch asks for .*it was not run"):
        unpickled(tmp_path / "batch")
    assert [path.name for path in tmp_path.iterdir()] == ["batch"]


def test_an_array_of_objects_never_meets_numpy(tmp_path: Path) -> None:
    kind = Call("numpy", "dtype", "O8", 0, 1)
    state = python2.dumped((1, (1,), kind, False, "\x41" * 8))[2:-1]  # eight bytes that NumPy would take for an address
    empty = python2.dumped(np.zeros(0, np.uint8))[2:].partition(b"tR(")[0] + b"tR"
    (tmp_path / "batch").write_bytes(b"\x80\x02}(T\x04\0\0\0data" + empty + state + b"bu.")
    with pytest.raises(DataError, match="batch is damaged or no pickled mapping: an array of b'O8', expected bytes; fetch it again"):
        unpickled(tmp_path / "batch")


def test_a_shape_that_promises_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    whole = python2.dumped({"data": np.zeros((3, 7), np.uint8)})
    (tmp_path / "batch").write_bytes(whole.replace(b"J\3\0\0\0J\7\0\0\0", b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f"))
    with pytest.raises(DataError, match="batch is damaged or no pickled mapping: cannot reshape array of size 21"):
        unpickled(tmp_path / "batch")
