"""The whole line on sixty generated images, in a folder that is gone afterwards: make smoke"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.project import environment, small_project

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        project = small_project(Path(folder) / "project")
        sys.exit(subprocess.run(["dvc", "repro"], cwd=project.root, env=environment(), check=False).returncode)
