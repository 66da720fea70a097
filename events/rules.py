"""When an action counts as an event: two thresholds, a least duration, and the gaps that are bridged."""

from __future__ import annotations

import dataclasses
import difflib
from argparse import Namespace
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from classifier import find_classes
from errors import UserError

if TYPE_CHECKING:
    from classifier import Classifier

# Of a TOML file: [event."yoga"]. (Not "events": that key names the files of --events, and TOML has each key once.)
TABLE = "event"

_FIELDS = {"on": "on", "off": "off", "min": "minimum", "gap": "gap"}  # as users name them: as attributes
_LONGEST = 3600.0  # seconds of a least duration or a gap


@dataclass(frozen=True)
class Rules:
    """What makes an event of the probabilities of a label.

    Attributes:
        on: Probability that an action must reach once, 0..1.
        off: Probability above which it lasts; over 0, at most `on`.
        minimum: Seconds that it must last.
        gap: Seconds for which its probability may lie below `off` without ending it.
        overrides: Other values for single labels, as `read_overrides` returns them.

    Raises:
        UserError: A value is out of range; the line names its flag, or its key of the TOML file.
    """

    on: float = 0.5
    off: float = 0.3
    minimum: float = 1.0
    gap: float = 2.0
    overrides: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = {attribute: getattr(self, attribute) for attribute in _FIELDS.values()}
        _check(values, "--event-")
        for label, own in self.overrides.items():
            _check({**values, **own}, f'[{TABLE}."{label}"] ')

    def of(self, label: str) -> Rules:
        """Returns the rules of one label, its overrides applied."""
        own = self.overrides.get(_fold(label))
        return self if own is None else dataclasses.replace(self, **own, overrides={})


def _check(values: Mapping[str, Any], prefix: str) -> None:
    """Checks the values, by attribute; the prefix makes "on" what the user knows it by."""
    for key, attribute in _FIELDS.items():
        value = values[attribute]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key in ("on", "off") and not (is_number and 0 < value <= 1):
            raise UserError(f"{prefix}{key} is {value!r}; it must be a probability above 0, to 1")
        if not (is_number and 0 <= value <= _LONGEST):
            raise UserError(f"{prefix}{key} is {value!r}; it must be from 0 to {_LONGEST:g} seconds")
    if values["off"] > values["on"]:
        raise UserError(
            f"{prefix}off is {values['off']:g} and {prefix}on {values['on']:g}; an action begins at on and lasts while "
            "it isn't below off, which can't be the higher one: give both"
        )


def rules_for(options: Namespace, classifier: Classifier) -> Rules:
    """Returns the rules that the flags ask for; what a model calls unknown begins no event.

    Args:
        options: The command line's.
        classifier: Whose labels the overrides are for.

    Raises:
        UserError: The rules contradict each other, or name a label that the model doesn't have.
    """
    on = options.event_on if classifier.unknown is None else max(options.event_on, classifier.unknown.threshold)
    overrides = read_overrides(options.event_rules, classifier.labels)
    return Rules(on, options.event_off, options.event_min, options.event_gap, overrides)


def read_overrides(table: Any, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Reads the tables [event."label"] of a TOML file.

    Args:
        table: What stands under the key TABLE: by label, a table with any of the keys on, off, min and gap.
        labels: Those of the model; case doesn't matter.

    Returns:
        For Rules: by folded label, values by attribute. Rules checks their ranges.

    Raises:
        UserError: An unknown label or key, or something that isn't a table or a number.
    """
    if not isinstance(table, Mapping):
        raise UserError(f'{TABLE} is {table!r}; it must be tables such as [{TABLE}."{labels[0]}"] with on = 0.6')
    overrides = {}
    for label, values in table.items():
        name = f'[{TABLE}."{label}"]'
        try:
            find_classes(labels, [label])
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        if not isinstance(values, Mapping):
            raise UserError(f"{name} is {values!r}; it must be a table with any of {', '.join(_FIELDS)}")
        for key, value in values.items():
            if key not in _FIELDS:
                nearest = difflib.get_close_matches(key, _FIELDS, n=1, cutoff=0.0)[0]
                raise UserError(f"{name}: unknown key {key!r}; did you mean {nearest!r}? It takes {', '.join(_FIELDS)}")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise UserError(f"{name} {key} is {value!r}; it must be a number")
        overrides[_fold(label)] = {_FIELDS[key]: float(value) for key, value in values.items()}
    return overrides


def _fold(label: str) -> str:
    return label.strip().casefold()
