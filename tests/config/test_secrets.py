"""What looks like a secret is refused before anything is written, and stands in nothing that is written or said."""

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.capture import CaptureFixture

from pipeline.config.compose import compose, dump, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.overrides import Overrides
from pipeline.config.process import exit_code
from pipeline.config.secrets import HIDDEN, looks_secret, redact, redacted, without_credentials
from tests.config.copies import LOCAL, Copy
from tests.project import Project, Ran, cloned

HEAD = "# @package _global_\n"
KEY = base64.b64encode(hashlib.sha512(b"planted").digest(), b"xy").decode()[:36] + "aA1z"  # stands in no file of the project

# what it is -> a text that holds it, whose KEY may be seen nowhere
SHAPES = {
    "password": f"postgresql://me:{KEY}@db.example/mlflow",
    "password alone": f"https://:{KEY}@example.org/data",
    "password with signs": f"mysql://me:{KEY[:9]}/#:@{KEY[9:]}@db",
    "token as user": f"https://{KEY}@example.org",
    "token in a query": f"https://example.org/data?token={KEY}&x=1",
    "signature in a query": f"https://example.org/data?X-Amz-Date=1&X-Amz-Signature={KEY}",
    "AWS key": "AKIA" + KEY[:16].upper(),
    "AWS secret": KEY,
    "GitHub": f"ghp_{KEY}",
    "GitHub, fine": f"github_pat_{KEY}_{KEY}",
    "GitLab": f"glpat-{KEY[:20]}",
    "Hugging Face": f"hf_{KEY}",
    "OpenAI": f"sk-proj-{KEY}",
    "Anthropic": f"sk-ant-api03-{KEY}",
    "Slack": f"xoxb-123456789012-{KEY}",
    "web token": f"eyJhbGciOiJIUzI1NiJ9.eyJ{KEY}.{KEY}",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----",
    "header": f"Authorization: Bearer {KEY}",
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_what_looks_like_a_secret_is_seen_and_taken_out_of_any_text(text: str) -> None:
    assert looks_secret("model.note", text)
    for around in ("{}", "could not open {}", "see ({}), or '{}'", 'a: "{}"\nb', "x={} y"):
        cleaned = redact(around.replace("{}", text))
        assert leaked(cleaned) == []
        assert HIDDEN in cleaned


@pytest.mark.parametrize("password", ["7/wombat", "7#wombat", "7?wombat", "7@wombat", "wombat/7", "[wombat", "wom'bat"])
@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql", "mssql+pyodbc"])
def test_a_database_s_password_may_have_letters_that_end_a_web_address(scheme: str, password: str) -> None:
    uri = f"{scheme}://me:{password}@host:5432/runs?sslmode=require"
    assert without_credentials(uri) == f"{scheme}://host:5432/runs"
    assert redacted(f"can't open {uri}", uri) == f"can't open {scheme}://host:5432/runs?sslmode=require"
    assert redact(f"can't open {uri}") == f"can't open {scheme}://{HIDDEN}@host:5432/runs?sslmode=require"
    assert looks_secret("tracking.uri", uri) == "a user and a password in a URL"


@pytest.mark.parametrize("url", ["https://host/a@b/c", "http://host:5000/a@b", "s3://bucket/a:b@c", "sqlite:////home/a:b@c/runs.db"])
def test_an_at_in_the_path_of_an_address_is_no_login(url: str) -> None:
    assert without_credentials(url) == url
    assert redacted(f"can't open {url}", url) == f"can't open {url}"


@pytest.mark.parametrize(
    "name", ["password", "db_password", "PGPASSWORD", "secret", "client_secret", "token", "api_key", "apiKey", "access_key"]
)
def test_a_value_is_a_secret_by_its_name(name: str) -> None:
    assert looks_secret(f"model.{name}", "hunter2")
    assert looks_secret(f"model.{name}", None) is looks_secret(f"model.{name}", "") is looks_secret(f"model.{name}", 3) is None
    for text in (f"{name}=hunter2", f"{name}: hunter2", f'"{name}": "hunter2"', f"'{name}': 'hun ter2'", f"+model.{name}=hunter2, x"):
        assert "ter2" not in redact(text)
        assert name in redact(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tracking.uri", "sqlite:///mlflow.db"),
        ("tracking.uri", "postgresql://me@db/mlflow"),
        ("tracking.uri", "http://127.0.0.1:5000"),
        ("tracking.uri", "http://host:5000/path@x"),
        ("dataset.sources.mirrors", "https://host/path@x?version=3"),
        ("dataset.sources.files.a.sha256", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        ("model.tokens", "words"),
        ("dataset.classes", "skip-connection"),
        ("dataset.classes", "T-shirt/top"),
    ],
)
def test_what_only_resembles_one_passes(key: str, value: str) -> None:
    assert looks_secret(key, value) is None
    assert redact(f"{key}={value} and more") == f"{key}={value} and more"


def test_nothing_of_conf_looks_like_one(conf: Path) -> None:
    for path in conf.rglob("*.yaml"):
        assert redact(path.read_text()) == path.read_text()


def test_the_environment_s_own_secrets_are_taken_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    assert redact("the server does not know 'correct horse'") == f"the server does not know '{HIDDEN}'"


@pytest.mark.parametrize(
    "text", ["://a:" * 50_000, "eyJ" * 50_000, "password" * 20_000, "a_" * 50_000, "-----BEGIN PRIVATE KEY-----" * 500]
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    redact(text)
    assert time.process_time() - start < 2  # of these lengths what is done anew from each place takes minutes


def leaked(text: str) -> list[str]:
    """Return the parts of KEY that stand in a text, eight characters or longer."""
    parts = {KEY[start : start + 8] for start in range(len(KEY) - 7)} | {KEY[:16].upper()}
    return sorted(part for part in parts if part in text)


def written(root: Path, but: str) -> Iterator[str]:
    """Yield all that lies in a folder, names included, except the one file in which the secret was planted."""
    for path in root.rglob("*"):
        yield str(path)
        if path.is_file() and path.relative_to(root).as_posix() != but and ".git/" not in path.as_posix():
            yield path.read_bytes().decode("latin-1")


def in_conf(project: Copy, text: str) -> tuple[str, str]:
    project.edit("conf/tracking/mlflow.yaml", "uri: null", f"uri: {text}")
    return "conf/tracking/mlflow.yaml", "tracking.uri"


def in_a_file_that_is_not_chosen(project: Copy, text: str) -> tuple[str, str]:
    project.write("conf/tracking/team.yaml", f"name: team\nuri: '{text}'\n")
    return "conf/tracking/team.yaml", "tracking.uri"


def in_a_key(project: Copy, text: str) -> tuple[str, str]:
    project.write(LOCAL, f"{HEAD}model:\n  layers:\n    '{text}': null\n")
    return LOCAL, "a key"


def in_a_list_of_conf(project: Copy, text: str) -> tuple[str, str]:
    project.edit("conf/dataset/digits.yaml", '["package://sklearn/datasets/data"]', f"[https://a.example, '{text}']")
    return "conf/dataset/digits.yaml", "dataset.sources.mirrors"


def in_a_url_of_weights(project: Copy, text: str) -> tuple[str, str]:
    project.edit("conf/weights/none.yaml", "source: null", f"source: '{text}'")
    return "conf/weights/none.yaml", "weights.source"


def in_overrides(project: Copy, text: str) -> tuple[str, str]:
    project.write(LOCAL, f"{HEAD}model:\n  layers:\n    note: {{kind: '{text}'}}\n")
    return LOCAL, "model.layers.note.kind"


def in_a_recipe(project: Copy, text: str) -> tuple[str, str]:
    project.write(
        "conf/experiment/big.yaml",
        f"{HEAD}experiment: {{name: big}}\naugmentation: {{transforms: {{a: {{_target_: albumentations.Rotate, limit: '{text}'}}}}}}\n",
    )
    project.default("experiment", "big")
    return "conf/experiment/big.yaml", "augmentation.transforms.a.limit"


def in_params_by_hand(project: Copy, text: str) -> tuple[str, str]:
    project.type("tracking.experiment", text)
    return "params.yaml", "tracking.experiment"


def in_params_under_its_name(project: Copy, text: str) -> tuple[str, str]:
    project.type("tracking.password", text)
    return "params.yaml", "tracking.password"


PLANTS = [
    in_conf,
    in_a_file_that_is_not_chosen,
    in_a_key,
    in_a_list_of_conf,
    in_a_url_of_weights,
    in_overrides,
    in_a_recipe,
    in_params_by_hand,
    in_params_under_its_name,
]


@pytest.mark.parametrize("text", [SHAPES["password"], SHAPES["GitHub"]], ids=["password", "token"])
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_secret_is_refused_before_anything_is_written_or_said(
    plant: Callable[[Copy, str], tuple[str, str]], text: str, project: Copy, capsys: CaptureFixture[str]
) -> None:
    path, key = plant(project, text)
    before = project.files
    assert exit_code("configure", project.configure) == 78
    assert project.files == before
    said = "".join(capsys.readouterr())
    assert re.match(rf"configure failed: {path}:\d+: {re.escape(key)} holds what looks like a", said)
    assert leaked(said) == []
    assert [part for content in written(project.root, but=path) for part in leaked(content)] == []


def test_a_password_of_any_look_is_refused_under_its_name(project: Copy, capsys: CaptureFixture[str]) -> None:
    project.type("tracking.password", "hunter2")
    assert exit_code("configure", project.configure) == 78
    said = "".join(capsys.readouterr())
    assert "tracking.password holds what looks like a secret by its name" in said
    assert "hunter2" not in said


def test_a_secret_typed_into_params_is_refused_before_it_is_lifted_even_for_a_moment(
    project: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.type("tracking.experiment", SHAPES["GitHub"])
    monkeypatch.setattr(Overrides, "write", lambda self: pytest.fail("the overrides were written"))
    with pytest.raises(ConfigError, match=r"^params\.yaml:\d+: tracking\.experiment holds what looks like a GitHub token"):
        project.configure()


def test_inside_an_experiment_the_lock_does_not_get_it(project: Copy, capsys: CaptureFixture[str]) -> None:
    tree = resolved(compose(project.root / "conf", [f"tracking.uri={SHAPES['password']}"]))
    project.write("params.yaml", dump(tree))  # as DVC does with -S
    assert exit_code("configure", lambda: project.experiment(f"tracking.uri={SHAPES['password']}")) == 78
    said = "".join(capsys.readouterr())
    assert re.match(r"configure failed: params\.yaml:\d+: tracking\.uri holds what looks like a user and a password in a URL", said)
    assert leaked(said) == []
    assert [part for content in written(project.root, but="params.yaml") for part in leaked(content)] == []


def test_two_halves_that_an_interpolation_joins_are_refused(project: Copy, capsys: CaptureFixture[str]) -> None:
    project.write(LOCAL, f"{HEAD}tracking: {{uri: 'postgresql://${{tracking.experiment}}', experiment: 'me:{KEY[:12]}@db/x'}}\n")
    assert exit_code("configure", project.configure) == 78
    said = "".join(capsys.readouterr())
    assert said.startswith(f"configure failed: {LOCAL}:2: tracking.uri holds what looks like a user and a password in a URL")
    assert leaked(said) == []


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return cloned(tmp_path_factory.mktemp("secrets") / "project")


def clean(ran: Ran, clone: Project, but: str = "") -> bool:
    return not leaked(ran.output) and not [part for content in written(clone.root, but) for part in leaked(content)]


@pytest.mark.parametrize(
    "words",
    [
        [f"tracking.uri={SHAPES['password']}"],
        [f"dataset.sources.mirrors=[{SHAPES['token in a query']}]"],
        [f"+model.api_key={KEY}"],
        [f"optimizer.lrr={SHAPES['GitHub']}"],  # which Hydra would repeat
        [f"seed=[{SHAPES['Slack']}"],  # which no parser reads
        [f"--{SHAPES['GitHub']}"],  # which argparse would repeat
        ["--cfg", "job", f"tracking.uri={SHAPES['password']}"],
    ],
    ids=lambda words: words[0].partition("=")[0][:20],
)
def test_the_command_line_shows_none(words: list[str], clone: Project) -> None:
    ran = clone.live("train", *words)
    assert ran.code == 78
    assert ran.output.startswith("train failed: the command line (")
    assert clean(ran, clone)


@pytest.mark.parametrize("words", [[], ["--cfg", "job"], ["--help"], ["--info", "config"], ["-m", "seed=1,2"]], ids=str)
@pytest.mark.parametrize("path", ["conf/tracking/mlflow.yaml", "params.yaml"])
def test_hydra_neither_prints_nor_keeps_one_that_stands_in_a_file(path: str, words: list[str], clone: Project) -> None:
    before = clone.read(path)
    clone.edit(path, "uri: null", f"uri: {SHAPES['password']}")
    ran = clone.live("train", *words)
    assert clean(ran, clone, but=path)
    clone.write(path, before)
    assert ran.code == 78
    assert re.search(rf"^train failed: {path}:\d+: tracking\.uri holds what looks like a user and a password", ran.output, re.MULTILINE)


@pytest.mark.parametrize("uri", [f"http://me:{KEY}@127.0.0.1:9", f"postgresql://me:{KEY}@127.0.0.1:9/mlflow", f"nonsense://me:{KEY}@x"])
def test_a_store_of_the_environment_that_is_away_shows_none(uri: str, clone: Project) -> None:
    ran = clone.run("python", "-m", "pipeline.command.ui", MLFLOW_TRACKING_URI=uri)
    assert ran.code != 0
    assert "ui failed: " in ran.output
    assert clean(ran, clone)


def test_an_unexpected_error_shows_none_with_its_traceback(capsys: CaptureFixture[str]) -> None:
    def work() -> None:
        raise KeyError(f"no answer from {SHAPES['password']} with {SHAPES['header']}")

    assert exit_code("train", work) == 1
    said = "".join(capsys.readouterr())
    assert "Traceback" in said
    assert "unexpected KeyError" in said
    assert leaked(said) == []
