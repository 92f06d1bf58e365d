"""What a config must satisfy before work starts: no secrets, known keys, types, ranges, values that go together, a network that fits.

The configure stage checks for all that follow it, so a changed rule re-runs that stage alone. The cheap checks come first:
torch is imported when all of them have passed, for what an earlier check has not accepted already."""

from pipeline.config.checks.clashes import check_clashes
from pipeline.config.checks.class_names import check_class_names
from pipeline.config.checks.keys import unknown_key, unknown_keys
from pipeline.config.checks.ranges import check_names, check_ranges, check_types
from pipeline.config.checks.targets import check_targets
from pipeline.config.checks.trial import try_out
from pipeline.config.composition import Tree, leaves, parse, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.secrets import looks_secret, refusal


def check(tree: Tree, base: Tree, accepted: Tree | None = None) -> Tree:
    """Refuse a composed config that can't work; return it resolved.

    base: conf/ under the same choices, whose keys are the known ones. accepted: a config that an earlier check passed;
    what is as it is there is not built again. Raises ConfigError naming the key, what was expected and what came."""
    for key in unknown_keys(tree, base):
        raise ConfigError(unknown_key(key, [name for name, _ in leaves(base)]), key)
    check_names(tree)
    params = resolved(tree)
    refuse_secrets(params)
    check_class_names(params)
    check_types(params)
    check_targets(params)
    check_ranges(params)
    check_clashes(parse(params))
    try_out(params, accepted or {})
    return params


def refuse_secrets(params: Tree) -> None:
    """Raise ConfigError for a value that looks like a secret, two halves that an interpolation joins say; it is not shown."""
    for key, value in leaves(params):
        for item in value if isinstance(value, list) else [value]:
            if what := looks_secret(key, item):
                raise ConfigError(refusal(key, what), key)
