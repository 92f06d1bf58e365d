"""How long commands take to begin: medians of several runs, in benchmarks/README.md.

python -m benchmarks.start_up"""

import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.page import publish

ROOT = Path(__file__).resolve().parents[1]
RUNS = 7
COMMANDS = {
    "python -m pipeline.stage.train --help": 0.6,
    "python -m pipeline.stage.train --cfg job": 0.6,
    "dvc status": None,
    "dvc repro": None,
}  # command -> goal in seconds


def seconds(command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command.split(), cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    rows = {command: [] for command in COMMANDS}
    for _ in range(RUNS):  # alternating, so that a busy moment hits all
        for command, times in rows.items():
            times.append(seconds(command))
    lines = [f"Wall seconds, {RUNS} runs each, alternating; `dvc` with nothing to do.", ""]
    lines += ["| command | median | least | goal |", "|---|---|---|---|"]
    for command, times in rows.items():
        lines.append(f"| `{command}` | {statistics.median(times):.2f} | {min(times):.2f} | {COMMANDS[command] or ''} |")
    publish("Start-up", "python -m benchmarks.start_up", "\n".join(lines))


if __name__ == "__main__":
    main()
