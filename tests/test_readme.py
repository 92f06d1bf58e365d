"""What README.md says is there is there."""

import re

from tests.project import ROOT

README = (ROOT / "README.md").read_text()


def test_every_make_target_that_documents_name_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = set(re.findall(r"`?make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text()))
    assert named <= targets


def test_every_module_that_documents_name_exists() -> None:
    for name in re.findall(r"python -m ((?:pipeline|tests)[\w.]+)", README + (ROOT / "CONTRIBUTING.md").read_text()):
        assert (ROOT / f"{name.replace('.', '/')}.py").exists(), name


def test_every_link_and_picture_exists() -> None:
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        path, _, heading = target.partition("#")
        assert (ROOT / path).exists(), target
        assert not heading or f"\n## {heading}\n" in (ROOT / path).read_text().lower(), target


def test_every_recipe_and_group_choice_that_it_names_exists() -> None:
    for group, option in re.findall(r"\b(experiment|dataset|model|augmentation)=([a-z_0-9]+)", README):
        assert (ROOT / "conf" / group / f"{option}.yaml").exists(), f"{group}={option}"
