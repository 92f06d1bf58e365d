"""From a folder of images to a trained, understood CNN: `ls pipeline/` read aloud is the pipeline."""

import sys
from importlib.util import find_spec

if not find_spec("omegaconf"):
    sys.exit(f"this Python ({sys.executable}) has not the project's packages; type `make setup && . .venv/bin/activate`, then repeat")
