"""Choose the champion by hand: python -m pipeline.command.champion VERSION [--model NAME]"""

from dataclasses import replace

from pipeline.config.arguments import parser_of
from pipeline.config.entry import run_command
from pipeline.config.places import WORKSPACE


def main() -> None:
    """Make a registered version the champion, where the validation figures can't decide: on other data, say."""
    parser = parser_of(main)
    parser.add_argument("version", help="a number of the model registry")
    parser.add_argument("--model", help="registered model (default: that of the config, of {classes} those of the last training)")
    arguments = parser.parse_args()
    from pipeline.bundle import Bundle
    from pipeline.config.composition import compose, parse, resolved
    from pipeline.tracking.model_name import CLASSES, model_name
    from pipeline.tracking.registry import crown
    from pipeline.tracking.store import Store

    tracking = parse(resolved(compose(WORKSPACE / "conf"))).tracking
    model = arguments.model or tracking.model
    if CLASSES in model:
        model = model_name(model, Bundle.read(WORKSPACE / "bundle").manifest.classes)
    print(crown(Store(replace(tracking, model=model), WORKSPACE), arguments.version))


if __name__ == "__main__":
    run_command("champion", main)
