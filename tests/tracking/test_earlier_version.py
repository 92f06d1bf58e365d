"""Event logs that an earlier version left are uploaded by this one: its names of files, folders and tags are still read."""

import dataclasses
import json
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_waiting

EARLIER = {"time": 1_790_000_000_000}


def earlier_log(home: Path, cfg: Config, name: str, *events: dict[str, object]) -> Path:
    """Write a log as version 0.1 did, literally: this test must not follow a change of the format."""
    folder = home / "journals" / name
    folder.mkdir(parents=True)
    begin = {"event": "begin", "name": "of-before", "tracking": dataclasses.asdict(cfg.tracking), "params": {"seed": "0"}}
    data = {"name": "mnist", "digest": "d", "source": {}, "images": {"train": 1}, "shape": [8, 8, 1]}
    lines = [begin | {"tags": {"data_digest": "d"}, "data": data}, *events, {"event": "end", "status": "FINISHED"}]
    (folder / "events.jsonl").write_text("".join(f"\n{json.dumps(EARLIER | line)}\n" for line in lines))
    (folder / "writer.lock").touch()
    return folder


def loss(step: int) -> dict[str, object]:
    return {"event": "metrics", "values": {"train/loss": 1.0}, "step": step, "unless": None}


def test_a_log_that_an_earlier_version_left_is_uploaded(home: Path, cfg: Config) -> None:
    folder = earlier_log(home, cfg, "0001-20260901-120000-abcdef", loss(1))
    assert sync_waiting(home) == []
    assert not folder.exists()
    store = Store(cfg.tracking, home)
    [run] = store.runs()
    assert (run.info.run_name, run.info.status, run.data.metrics["train/loss"]) == ("of-before", "FINISHED", 1.0)


def test_a_log_that_an_earlier_version_has_uploaded_in_part_continues_in_its_run(home: Path, cfg: Config) -> None:
    store = Store(cfg.tracking, home)
    name = "0001-20260901-120000-abcdef"
    run = store.client.create_run(store.experiment, tags={"journal": name})
    folder = earlier_log(home, cfg, name, loss(1), loss(2))
    state = {"arrived": 2, "parts": 0, "run": run.info.run_id, "opened": "made", "had": [], "before": {}, "pictured": [], "limit": 1.0}
    (folder / "delivered.json").write_text(json.dumps(state | {"refused": []}))
    assert sync_waiting(home) == []
    [found] = store.runs()
    history = store.client.get_metric_history(found.info.run_id, "train/loss")
    assert (found.info.run_id, found.info.status, [point.step for point in history]) == (run.info.run_id, "FINISHED", [2])
