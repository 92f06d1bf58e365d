"""The catalog of mutants fits the code as it stands; `make mutants` plants them."""

import ast

import pytest

from tests.mutants.catalog import Mutant, catalog
from tests.project import ROOT

MUTANTS = catalog()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.bug}")
def test_a_mutant_can_be_planted(mutant: Mutant) -> None:
    mutated = mutant.applied_to(ROOT)

    assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse((ROOT / mutant.file).read_text()))
    assert all((ROOT / test.partition("::")[0]).exists() for test in mutant.tests)


def test_no_mutant_is_counted_twice() -> None:
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
