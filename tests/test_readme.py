"""What README.md says is there is there."""

import re

from tests.project import ROOT

README = (ROOT / "README.md").read_text()


def test_every_link_and_picture_exists() -> None:
    targets = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert len(targets) > 5
    for target in targets:
        path, _, heading = target.partition("#")
        assert (ROOT / path).exists(), target
        assert not heading or f"\n## {heading}\n" in (ROOT / path).read_text().lower(), target


def test_every_recipe_and_group_choice_that_it_names_exists() -> None:
    named = re.findall(r"\b(experiment|dataset|model|augmentation)=([a-z_0-9]+)", README)
    assert len(named) > 5
    for group, option in named:
        assert (ROOT / "conf" / group / f"{option}.yaml").exists(), f"{group}={option}"
