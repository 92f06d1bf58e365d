"""Of two edits of one key the later wins: that of conf/ itself, or the one on top of it (docs/decisions/0001).

conf.lock knows what both said when it was written. If only conf/ has changed since, its edit is the later one and the
override goes. If the override is new or has changed, it stays, and a line names the edit that it hides."""

from collections.abc import Iterator
from typing import Any

from pipeline.config.overrides import Overrides, Own, group_of_choice, value_of
from pipeline.config.pending import LEADING, Pending
from pipeline.config.tree import ABSENT, Tree, choices, get, has, is_entry
from pipeline.config.yaml_nodes import LOCAL, OVERLAYS


class Edits:
    """The edits on top of conf/: overrides, what is pending in params.yaml, and what the lock knows of all.

    is_trial: `pending.by_hand` is what an experiment tries, which is about to begin."""

    def __init__(self, pending: Pending, overrides: Overrides, is_trial: bool = False) -> None:
        self.lock, self.applied, self.new = pending.lock, pending.applied, pending.by_hand
        self.earlier = pending.earlier.get("beneath", {})
        self.overrides = overrides
        self.is_trial = is_trial

    def settle_choices(self, alone: Tree) -> list[str]:
        """Drop the choices that conf/ has changed later, with what was set for them; return a line for each, and for what is hidden."""
        groups = dict.fromkeys([*self.overrides.choices, *self.applied.chosen, *self.new.chosen]) if self.lock.values else ()
        return [line for group in groups for line in self._settle_choice(group, choices(alone).get(group))]

    def settle_values(self, own: Own) -> list[str]:
        """The same for values, where conf/ had and has the same choice."""
        if not self.lock.values:
            return []
        lines = [*self._overridden_since(), *self._set_for_another(own.under)]
        return lines + [line for key in self._keys(own.under) for line in self._settle_value(key, own)]

    def _settle_choice(self, group: str, now: str | None) -> Iterator[str]:
        was = self._chose(f"{group}.name", now)
        option = self.overrides.choices.get(group)
        is_old = option == self.lock.above.get(f"{group}.name")
        if self._is_applied(group) and option and not is_old:
            yield _set_later(group, self.applied.chosen[group], option)
            self.applied.forget(group)
        if was == now:
            return
        if self._is_applied(group):
            yield _not_lifted(group, self.applied.chosen[group], was, now)
            self.applied.forget(group)
        if option and is_old:
            yield _dropped(group, option, was, now)
            yield from (f"dropped from {LOCAL}: {name}, which was set for that {group}" for name in self.overrides.unchoose(group))
        elif option or group in self.new.chosen:
            yield _hides(group, self.new.chosen.get(group) or option, was, now)

    def _is_applied(self, group: str) -> bool:
        return group in self.applied.chosen and group not in self.new.chosen

    def _settle_value(self, key: str, own: Own) -> Iterator[str]:
        was, now = self._was(key), own.says(key)
        if was == now or self._is_swapped(key, own.under):
            return
        if key in self.applied.changed and key not in self.new.changed:
            yield _not_lifted(key, self.applied.changed.pop(key), was, now)
        value = get(self.overrides.values, key) if has(self.overrides.values, key) else None
        if has(self.overrides.values, key) and value == self.lock.above.get(key):
            self.overrides.remove(key)
            yield _dropped(key, value, was, now)
        elif key in self.new.changed or has(self.overrides.values, key):
            yield _hides(key, self.new.changed.get(key, value), was, now)

    def _overridden_since(self) -> Iterator[str]:
        """Discard what the last experiment set where the overrides were edited since; yield a line for each."""
        for key, value in list(self.applied.changed.items()):
            if key not in self.new.changed and has(self.overrides.values, key):
                now = get(self.overrides.values, key)
                if now not in (value, self._stood(key)):
                    yield _set_later(key, self.applied.changed.pop(key), now)

    def _set_for_another(self, under: Tree) -> Iterator[str]:
        """Drop the layers and transforms of another network or augmentation than counts now; yield a line for each."""
        for key, value in self.lock.above.items():
            if is_entry(key) and has(self.overrides.values, key) and get(self.overrides.values, key) == value and self._is_left(key, under):
                self.overrides.remove(key)
                yield f"dropped from {LOCAL}: {key}, which was set for another {key.partition('.')[0]}"

    def _is_left(self, key: str, under: Tree) -> bool:
        """Tell whether a key's group has another option than the overrides were written for; what an experiment tries is none."""
        group = key.partition(".")[0]
        leading = LEADING if self.is_trial else OVERLAYS
        if not {group, *leading}.isdisjoint(self.new.chosen) or not self.lock.chosen.keys().isdisjoint(LEADING):
            return False
        return self.lock.above.get(f"{group}.name", self._was(f"{group}.name")) != choices(under).get(group)

    def _stood(self, key: str) -> Any:
        """Return the override of a key when the lock was written, also within an entry that was recorded as a whole."""
        for name, value in self.lock.above.items():
            if f"{key}.".startswith(f"{name}."):
                return value if name == key else value_of(value, key.removeprefix(f"{name}."))
        return ABSENT

    def _keys(self, own: Tree) -> Iterator[str]:
        """Yield the keys of all values above conf/, as they were recorded, then what is new."""
        recorded = [key for key in self.lock.above if has(self.overrides.values, key)]
        others = [*self.overrides.by_key(own), *self.applied.changed, *self.new.changed]
        keys = dict.fromkeys([*recorded, *(key for key in others if not any(key.startswith(f"{name}.") for name in recorded))])
        yield from (key for key in keys if not group_of_choice(key, own))

    def _was(self, key: str) -> Any:
        """Return conf/'s own value of a key when the lock was written, or the lock of the earlier experiment that counts."""
        return next((told[key] for told in (self.earlier, self.lock.beneath) if key in told), value_of(self.lock.values, key))

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
