"""What a config changes on top of conf/ itself, conf/local left aside: as words of a command line, and as a short name.

No result depends on it: a run is named and described by it."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from pipeline.config.compose import compose_alone, parse, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.pending import changes_beyond
from pipeline.config.tree import ABSENT, ORDER, Tree, get, has

PLAIN = re.compile(r"[A-Za-z_./-][\w./:-]*")  # text that needs no quotes on Hydra's command line
SPECIAL, ESCAPED = re.compile(r"[\\()\[\]{}:=, \t]"), r"\\\g<0>"  # in the key of a mapping, which takes no quotes
WORDS_OF_YAML = {"null", "true", "false", "yes", "no", "on", "off", "nan", "inf", "y", "n"}  # that are no text without them

# Groups that say where and how, not what is trained; the seed ends each name.
SILENT = ("tracking", "machine", "fetch", "explain", "evaluate", "seed", "experiment")
LONGEST_VALUE = 12  # characters of a value in a name
MOST = 4  # changes in a name


@dataclass(frozen=True)
class Differences:
    """Choices of groups, and dotted key -> value on top of them; `_absent_` for a key that the config lacks.

    new: keys that conf/ does not have under these choices."""

    chosen: dict[str, str]
    changed: Tree
    new: frozenset[str]

    @property
    def words(self) -> list[str]:
        """The overrides by which a command composes the config from conf/."""
        return [*(f"{group}={option}" for group, option in self.chosen.items()), *map(self._word, self.changed)]

    def _word(self, key: str) -> str:
        value = self.changed[key]
        return f"~{key}" if value == ABSENT else f"{'+' if key in self.new else ''}{key}={in_hydra(value)}"


def differences(config: Tree, conf: Path) -> Differences | None:
    """Return what a config, resolved, changes on top of conf/; None where conf/ can't tell, as it lacks an option by now."""
    return _differences(json.dumps(config), conf)


@cache  # composing takes some tenths of a second, and what conf/ said when a process began is what counts
def _differences(config: str, conf: Path) -> Differences | None:
    try:
        changes, values = changes_beyond(partial(compose_alone, conf), json.loads(config))
        filled_in = asdict(parse(resolved(values)))
    except ConfigError:
        return None
    new = {key for key in changes.changed if not has(values, key)}
    by_schema = {key for key in new if has(filled_in, key) and get(filled_in, key) == changes.changed[key]}
    changed = {key: value for key, value in changes.changed.items() if key not in by_schema}
    return Differences(changes.chosen, changed, frozenset(new - by_schema))


def in_hydra(value: Any) -> str:
    """Return a value as Hydra's command line reads it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{SPECIAL.sub(ESCAPED, key)}:{in_hydra(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(in_hydra, value)) + "]"
    if isinstance(value, str) and not (PLAIN.fullmatch(value) and value.casefold() not in WORDS_OF_YAML):
        return "'" + re.sub(r"(\\*)'", r"\1\1\\'", value) + "'"
    return value if isinstance(value, str) else json.dumps(value)


def name_of(config: Tree, found: Differences | None) -> str:
    """Return a name for a training: its recipe or network, its data set if chosen, what else differs, and its seed."""
    model, seed = config["model"]["name"], f"s{config['seed']}"
    if found is None:
        return "-".join((model, config["dataset"]["name"], seed))
    chosen = {group: option.rpartition("/")[2] for group, option in found.chosen.items()}
    recipe = chosen.pop("experiment", "")
    chosen.pop("model", None)
    parts = [*(chosen[group] for group in chosen if group not in SILENT), *_values(found.changed)]
    more = [f"{len(parts) - MOST}more"] if len(parts) > MOST else []
    network = [model] if not recipe or "model" in found.chosen else []
    return "-".join((*([recipe] if recipe else []), *network, *parts[:MOST], *more, seed))


def _values(changed: Tree) -> Iterable[str]:
    for key, value in changed.items():
        if key.partition(".")[0] not in SILENT:
            last = key.removesuffix(f".{ORDER}").rpartition(".")[2]
            if value == ABSENT:
                yield f"no_{last}"
                continue
            text = f"{value:g}" if isinstance(value, float) else str(value)
            yield f"{last}{text}" if len(text) <= LONGEST_VALUE and re.fullmatch(r"[\w.+-]+", text) else last
