"""Promote a registered version to champion by hand: python -m pipeline.command.champion VERSION [--model NAME]"""

from dataclasses import replace

from pipeline.config.paths import WORKSPACE
from pipeline.config.process import parser_of, run_command


def main() -> None:
    """Make a registered version the champion where metrics are not comparable, on other data for example."""
    parser = parser_of(main)
    parser.add_argument("version", help="a number of the model registry")
    parser.add_argument("--model", help="registered model (default: that of the config, of {classes} those of the last training)")
    arguments = parser.parse_args()
    from pipeline.bundle import Bundle
    from pipeline.config.compose import compose, parse, resolved
    from pipeline.tracking.model_versions import CLASSES, model_name
    from pipeline.tracking.registry import promote
    from pipeline.tracking.store import Store

    tracking = parse(resolved(compose(WORKSPACE / "conf"))).tracking
    model = arguments.model or tracking.model
    if CLASSES in model:
        model = model_name(model, Bundle.read(WORKSPACE / "bundle").manifest.classes)
    print(promote(Store(replace(tracking, model=model), WORKSPACE), arguments.version))


if __name__ == "__main__":
    run_command("champion", main)
