"""Which of two edits of one key is the later one: that of conf/ itself, or what stands above it (docs/decisions/0001).

conf.lock knows what both said when it was written. If only conf/ has changed since, its edit is the later one and what
stands above goes. If what stands above is new or has changed, it stays, and a line names what it hides."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.config.above import Own, above, group_of_choice, said
from pipeline.config.composition import Tree, choices, get, has
from pipeline.config.difference import LEADING, Beyond
from pipeline.config.documents import LOCAL
from pipeline.config.lock import Lock
from pipeline.config.order import ABSENT, is_entry
from pipeline.config.overrides import Overrides


@dataclass(frozen=True)
class Edits:
    """lock: what was. overrides: what this working copy has now. applied: what an experiment left, recorded in the lock.
    new: what was set since, by hand or, is_trial, for the experiment that begins. earlier: key -> what conf/ itself said under
    what `applied` holds, where that is of an experiment before the one that the lock was written for."""

    lock: Lock
    overrides: Overrides
    applied: Beyond
    new: Beyond
    earlier: Mapping[str, Any] = field(default_factory=dict)
    is_trial: bool = False

    def settle_choices(self, alone: Tree) -> list[str]:
        """Drop the choices that conf/ has changed later, with what was set for them; return a line for each, and for what is hidden."""
        lines: list[str] = []
        for group in dict.fromkeys([*self.overrides.choices, *self.applied.chosen, *self.new.chosen]):
            key = f"{group}.name"
            now = choices(alone).get(group)
            was = self._chose(key, now)
            option = self.overrides.choices.get(group)
            if option and option != self.lock.above.get(key) and group in self.applied.chosen and group not in self.new.chosen:
                lines.append(_set_later(group, self.applied.chosen[group], option))
                self.applied.forget(group)
            if not self.lock.values or was == now:
                continue
            if group in self.applied.chosen and group not in self.new.chosen:
                lines.append(_not_lifted(group, self.applied.chosen[group], was, now))
                self.applied.forget(group)
            if option and option == self.lock.above.get(key):
                lines.append(_dropped(group, option, was, now))
                lines += [f"dropped from {LOCAL}: {name}, which was set for that {group}" for name in self.overrides.unchoose(group)]
            elif option or group in self.new.chosen:
                lines.append(_hides(group, self.new.chosen.get(group) or option, was, now))
        return lines

    def settle_values(self, own: Own) -> list[str]:
        """The same for values, where conf/ had and has the same choice."""
        lines = self._overridden_since() + self._set_for_another(own.under) if self.lock.values else []
        for key in self._keys(own.under) if self.lock.values else ():
            was, now = self._was(key), own.says(key)
            if was == now or self._is_swapped(key, own.under):
                continue
            if key in self.applied.changed and key not in self.new.changed:
                lines.append(_not_lifted(key, self.applied.changed.pop(key), was, now))
            if not has(self.overrides.values, key):
                value = self.new.changed.get(key)
            elif (value := get(self.overrides.values, key)) == self.lock.above.get(key):
                lines.append(_dropped(key, value, was, now))
                self.overrides.remove(key)
                continue
            if key in self.new.changed or has(self.overrides.values, key):
                lines.append(_hides(key, self.new.changed.get(key, value), was, now))
        return lines

    def _overridden_since(self) -> list[str]:
        """Leave out what the last experiment set where the overrides were edited since; return a line for each."""
        lines = []
        for key, value in list(self.applied.changed.items()):
            if key not in self.new.changed and has(self.overrides.values, key):
                now = get(self.overrides.values, key)
                if now not in (value, self._stood(key)):
                    lines.append(_set_later(key, self.applied.changed.pop(key), now))
        return lines

    def _set_for_another(self, under: Tree) -> list[str]:
        """Drop the layers and transforms of another network or augmentation than counts now; return a line for each."""
        lines = []
        for key, value in self.lock.above.items():
            if is_entry(key) and has(self.overrides.values, key) and get(self.overrides.values, key) == value and self._is_left(key, under):
                self.overrides.remove(key)
                lines.append(f"dropped from {LOCAL}: {key}, which was set for another {key.partition('.')[0]}")
        return lines

    def _is_left(self, key: str, under: Tree) -> bool:
        """Tell whether a key's group has another option than the overrides were written for; what an experiment tries is none."""
        group = key.partition(".")[0]
        leading = LEADING if self.is_trial else ("experiment",)
        if not {group, *leading}.isdisjoint(self.new.chosen) or not self.lock.chosen.keys().isdisjoint(LEADING):
            return False
        return self.lock.above.get(f"{group}.name", self._was(f"{group}.name")) != choices(under).get(group)

    def _stood(self, key: str) -> Any:
        """Return what the overrides said of a key when the lock was written, also within an entry that was recorded as a whole."""
        for name, value in self.lock.above.items():
            if f"{key}.".startswith(f"{name}."):
                return value if name == key else said(value, key.removeprefix(f"{name}."))
        return ABSENT

    def _keys(self, own: Tree) -> Iterator[str]:
        """Yield the keys of all values above conf/, as they were recorded, then what is new."""
        recorded = [key for key in self.lock.above if has(self.overrides.values, key)]
        others = [*above(self.overrides, own), *self.applied.changed, *self.new.changed]
        keys = dict.fromkeys([*recorded, *(key for key in others if not any(key.startswith(f"{name}.") for name in recorded))])
        yield from (key for key in keys if not group_of_choice(key, own))

    def _was(self, key: str) -> Any:
        """Return conf/'s own value of a key when the lock was written, or when what counts of an earlier experiment was."""
        return next((told[key] for told in (self.earlier, self.lock.beneath) if key in told), said(self.lock.values, key))

    def _chose(self, key: str, now: str | None) -> Any:
        """Return conf/'s own choice when the lock was written; `now` where the lock tells only what a recipe or a data set brought."""
        is_told = key in self.earlier or key in self.lock.beneath
        is_led = any(f"{group}.name" in self.lock.standing for group in LEADING)
        return now if is_led and not is_told else self._was(key)

    def _is_swapped(self, key: str, own: Tree) -> bool:
        groups = (key.partition(".")[0], *LEADING)
        return key not in self.earlier and any(choices(own).get(group) != choices(self.lock.values).get(group) for group in groups)


def _dropped(key: str, value: Any, was: Any, now: Any) -> str:
    return f"dropped from {LOCAL}: {key}={value}, as conf/ was edited later: {was} -> {now}"


def _not_lifted(key: str, value: Any, was: Any, now: Any) -> str:
    return f"not lifted: {key}={value} of the last experiment, as conf/ was edited later: {was} -> {now}"


def _set_later(key: str, value: Any, now: Any) -> str:
    return f"not lifted: {key}={value} of the last experiment, as {LOCAL} was edited later: {now}"


def _hides(key: str, value: Any, was: Any, now: Any) -> str:
    return f"{key}={value} hides conf/'s edit of it: {was} -> {now}"
