import functools
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.config.errors import ConfigError, DataError, NetworkError
from pipeline.config.schema import Config, Fetch, Weights
from pipeline.weights.pretrained import read_pretrained

TENSORS = {"scores.weight": torch.arange(6.0).reshape(2, 3), "scores.bias": torch.zeros(2)}


class Server(ThreadingHTTPServer):
    """Hands out a folder's files."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Answer, directory=str(folder)))
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Answer(SimpleHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        self.server.asked.append(self.path)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "web").mkdir()
    with Server(tmp_path / "web") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # seconds until it looks whether to end
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def how(cfg: Config) -> Fetch:
    return replace(cfg.fetch, pause=0.01, timeout=5)


def sum_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def naming(source: str, digest: str | None) -> Weights:
    return Weights(name="given", source=source, sha256=digest, names="ours", freeze=[])


def state_dict(folder: Path, what: Any = TENSORS) -> Path:
    torch.save(what, folder / "net.pth")
    return folder / "net.pth"


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_a_file_of_tensors_is_read_by_its_path_from_the_root(kind: str, how: Fetch, tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "net.pth")
    save_file(TENSORS, tmp_path / "net.safetensors")
    given = read_pretrained(naming(f"net.{kind}", sum_of(tmp_path / f"net.{kind}")), how, tmp_path)
    assert same(given.tensors, TENSORS)
    assert given.classes is None


def test_a_bundle_gives_its_weights_and_its_classes(bundle_folder: Path, how: Fetch) -> None:
    given = read_pretrained(naming("bundle", sum_of(bundle_folder / "bundle.json")), how, bundle_folder.parent)
    assert same(given.tensors, load_file(bundle_folder / "weights.safetensors"))
    assert given.classes == ["top", "middle", "bottom"]


def test_a_path_that_leads_nowhere_is_refused(how: Fetch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"weights\.source: there is no file or folder {tmp_path}/gone\.pth"):
        read_pretrained(naming("gone.pth", "a" * 64), how, tmp_path)


def test_a_folder_that_is_no_bundle_is_refused(how: Fetch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"weights\.source: empty is not the folder of a bundle: bundle\.json is missing"):
        read_pretrained(naming("empty", "a" * 64), how, tmp_path)


def test_without_a_sha256_the_file_s_own_is_told_to_be_compared_and_nothing_is_read(how: Fetch, tmp_path: Path) -> None:
    found = sum_of(state_dict(tmp_path))
    with pytest.raises(ConfigError) as caught:
        read_pretrained(naming("net.pth", None), how, tmp_path)
    assert str(caught.value) == (
        f"weights.sha256 is null, and net.pth has {found}. Compare that with what its publisher says, then give weights.sha256={found}"
    )
    assert caught.value.key == "weights.sha256"


def test_a_bundle_without_a_sha256_is_told_that_of_its_description(bundle_folder: Path, how: Fetch) -> None:
    found = sum_of(bundle_folder / "bundle.json")
    with pytest.raises(ConfigError, match=rf"weights\.sha256 is null, and bundle/bundle\.json has {found}\."):
        read_pretrained(naming("bundle", None), how, bundle_folder.parent)


def test_another_file_than_the_sha256_names_is_refused(how: Fetch, tmp_path: Path) -> None:
    found = sum_of(state_dict(tmp_path))
    with pytest.raises(
        ConfigError, match=rf"weights\.sha256 is {'a' * 64}, but net\.pth has {found}: it is another file, or has changed since"
    ):
        read_pretrained(naming("net.pth", "a" * 64), how, tmp_path)


def test_damaged_weights_of_a_bundle_are_refused(bundle_folder: Path, how: Fetch) -> None:
    save_file(TENSORS, bundle_folder / "weights.safetensors")
    with pytest.raises(
        DataError, match=r"weights\.safetensors is damaged: sha256 \w{64}, expected \w{64}; take another copy of the bundle"
    ):
        read_pretrained(naming("bundle", sum_of(bundle_folder / "bundle.json")), how, bundle_folder.parent)


class Bomb:
    """A pickle of it writes a file when it is loaded with trust."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "run"))


def test_code_in_a_file_is_not_run(how: Fetch, tmp_path: Path) -> None:
    path = state_dict(tmp_path, {"scores.weight": Bomb(tmp_path / "evidence")})
    with pytest.raises(
        DataError, match=r"net\.pth holds code beside tensors, or no tensors at all; nothing of it was run\. Save the"
    ) as caught:
        read_pretrained(naming("net.pth", sum_of(path)), how, tmp_path)
    assert "state_dict() alone, best as .safetensors" in str(caught.value)
    assert not (tmp_path / "evidence").exists()


def test_a_whole_network_in_place_of_its_state_dict_is_refused_as_code(how: Fetch, tmp_path: Path) -> None:
    path = state_dict(tmp_path, torch.nn.Linear(2, 2))
    with pytest.raises(DataError, match=r"net\.pth holds code beside tensors, or no tensors at all; nothing of it was run"):
        read_pretrained(naming("net.pth", sum_of(path)), how, tmp_path)


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
@pytest.mark.parametrize("content", [b"", b"\n<html>log in</html>", b"PK\x03\x04 and no more", b"\x80\x02."])
def test_what_is_no_file_of_tensors_is_refused(name: str, content: bytes, how: Fetch, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} (can't be read as tensors|holds code beside tensors, or no tensors at all)"):
        read_pretrained(naming(name, sum_of(tmp_path / name)), how, tmp_path)


@pytest.mark.parametrize(
    ("what", "held"), [({"epoch": 3, "state_dict": TENSORS}, "epoch, state_dict"), (list(TENSORS.values()), "list"), ({}, "nothing")]
)
def test_what_is_no_state_dict_is_told_by_what_it_holds(what: Any, held: str, how: Fetch, tmp_path: Path) -> None:
    path = state_dict(tmp_path, what)
    with pytest.raises(DataError, match=rf"net\.pth holds {held}, expected tensors by layer name\. Save the"):
        read_pretrained(naming("net.pth", sum_of(path)), how, tmp_path)


def test_a_url_is_fetched_once_and_kept_by_its_sha256(how: Fetch, server: Server, tmp_path: Path) -> None:
    digest = sum_of(state_dict(tmp_path / "web"))
    for _ in range(2):
        assert same(read_pretrained(naming(server.url("net.pth"), digest), how, tmp_path).tensors, TENSORS)
    assert server.asked == ["/net.pth"]
    assert (tmp_path / "downloads" / digest[:16] / "net.pth").exists()


def test_a_url_without_a_sha256_is_fetched_to_tell_it_and_not_again_when_it_is_given(how: Fetch, server: Server, tmp_path: Path) -> None:
    digest = sum_of(state_dict(tmp_path / "web"))
    with pytest.raises(ConfigError, match=rf"weights\.sha256 is null, and http://127\S+/net\.pth has {digest}\."):
        read_pretrained(naming(server.url("net.pth"), None), how, tmp_path)
    assert same(read_pretrained(naming(server.url("net.pth"), digest), how, tmp_path).tensors, TENSORS)
    assert server.asked == ["/net.pth"]


def test_another_file_at_a_url_is_deleted_and_refused(how: Fetch, server: Server, tmp_path: Path) -> None:
    digest = sum_of(state_dict(tmp_path / "web"))
    with pytest.raises(NetworkError, match=r"net\.pth could not be fetched from its url\.") as caught:
        read_pretrained(naming(server.url("net.pth"), "a" * 64), how, tmp_path)
    assert f"with sha256 {digest}, expected {'a' * 64}; the download was deleted" in str(caught.value)
    assert "Repeat when the network is back, or name another url" in str(caught.value)
    assert [path.name for path in (tmp_path / "downloads").rglob("*.pth*")] == []


def test_a_query_of_a_url_is_not_shown(how: Fetch, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state_dict(tmp_path / "web")
    with pytest.raises(ConfigError) as caught:
        read_pretrained(naming(server.url("net.pth?pass=word"), None), how, tmp_path)
    assert "word" not in str(caught.value) + "".join(capsys.readouterr())


def test_a_query_of_a_url_is_not_shown_where_its_file_is_no_tensors(how: Fetch, server: Server, tmp_path: Path) -> None:
    (tmp_path / "web" / "net.pth").write_bytes(b"no tensors")
    with pytest.raises(DataError, match=r"/net\.pth holds code beside tensors") as caught:
        read_pretrained(naming(server.url("net.pth?pass=word"), sha256(b"no tensors").hexdigest()), how, tmp_path)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("end", ["", "..", ".lock", "?file=net.pth", "#net.pth"])
def test_a_url_without_a_file_s_name_is_refused_before_anything_is_asked(end: str, how: Fetch, server: Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"weights\.source: http://127\S+ does not end with a file's name, as net\.saf") as told:
        read_pretrained(naming(server.url(end), "a" * 64), how, tmp_path)
    assert told.value.key == "weights.source"
    assert server.asked == []


def test_neither_query_nor_fragment_of_a_url_is_part_of_the_file_s_name(how: Fetch, server: Server, tmp_path: Path) -> None:
    digest = sum_of(state_dict(tmp_path / "web"))
    assert same(read_pretrained(naming(server.url("net.pth?path=../../evil#/x"), digest), how, tmp_path).tensors, TENSORS)
    assert [path.name for path in (tmp_path / "downloads" / digest[:16]).iterdir() if path.name != ".lock"] == ["net.pth"]


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("{}", "KeyError: 'weights_sha256'"),
        ('{"weights_sha256": "a"}', "KeyError: 'manifest'"),
        ('{"weights_sha256": "a", "manifest": {"classes": 3}}', "TypeError: 'int' object is not iterable"),
        ("[1]", "TypeError: list indices must be"),
        ("tensors", "JSONDecodeError: Expecting value"),
    ],
)
def test_a_folder_of_something_else_that_looks_like_a_bundle_is_refused_in_words(
    description: str, reason: str, bundle_folder: Path, how: Fetch
) -> None:
    (bundle_folder / "bundle.json").write_text(description)
    with pytest.raises(DataError) as told:
        read_pretrained(naming("bundle", sum_of(bundle_folder / "bundle.json")), how, bundle_folder.parent)
    assert str(told.value).startswith(
        f"bundle/bundle.json does not describe a network of this project: it is no JSON with weights_sha256 and manifest.classes ({reason}"
    )
    assert str(told.value).endswith("Name the folder of a bundle, or the file of weights alone")


def test_a_bundle_whose_weights_are_no_tensors_is_refused_in_words(bundle_folder: Path, how: Fetch) -> None:
    (bundle_folder / "weights.safetensors").write_text("tensors")
    tree = json.loads((bundle_folder / "bundle.json").read_text()) | {"weights_sha256": sum_of(bundle_folder / "weights.safetensors")}
    (bundle_folder / "bundle.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match=r"bundle/weights\.safetensors can't be read as tensors"):
        read_pretrained(naming("bundle", sum_of(bundle_folder / "bundle.json")), how, bundle_folder.parent)


def test_a_bundle_s_description_is_what_mlflow_s_tag_names(bundle_folder: Path, how: Fetch) -> None:
    from pipeline.bundle import Bundle

    assert read_pretrained(naming("bundle", Bundle.read(bundle_folder).digest), how, bundle_folder.parent).classes
    assert "weights_sha256" in json.loads((bundle_folder / "bundle.json").read_text())
