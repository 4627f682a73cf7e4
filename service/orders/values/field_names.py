"""The two names of an extra field: BigCommerce takes and shows it by its fieldName or by its label."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from service.bigcommerce.models import ExtraFieldConfig, Record, has_content


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The labels of a store's extra fields: ``labels`` is fieldName → label, where the two differ.

    Under a name that is in no config, a field is only itself. ``writes_labels`` says by which name a field is written
    where the record does not tell; it is one of the store's facts.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    writes_labels: bool = False

    @classmethod
    def of(cls, configs: Iterable[ExtraFieldConfig], *, writes_labels: bool = False) -> Self:
        """The names in a store's configs. A label that is another field's name, or two fields' label, is no name."""
        labels = {config.field_name: config.label for config in configs if config.field_name}
        count = Counter(labels.values())
        return cls(
            {name: label for name, label in labels.items() if label and label not in labels and count[label] == 1},
            writes_labels,
        )

    def field_name(self, name: str) -> str:
        """The fieldName of the field with this fieldName or label."""
        return next((own for own, label in self.labels.items() if label == name), name)

    def both(self, name: str) -> tuple[str, ...]:
        """The fieldName and, if there is one, the label of the field with this fieldName or label."""
        own = self.field_name(name)
        return (own, self.labels[own]) if own in self.labels else (own,)

    def only(self, names: Iterable[str]) -> Self:
        """These fields' part of the labels."""
        wanted = {self.field_name(name) for name in names}
        return type(self)({name: label for name, label in self.labels.items() if name in wanted}, self.writes_labels)

    def renamed(self, names: Iterable[str]) -> dict[str, str]:
        """The names to create a record with, where they are not the fieldNames."""
        return {name: self.labels[name] for name in names if self.writes_labels and name in self.labels}

    def values_on(self, record: Record, name: str) -> list[Any]:
        """The values that the record shows for a field, under both of its names; empty ones are left out."""
        both = self.both(name)
        shown = [record.extra_fields[each] for each in both if each in record.extra_fields]
        shown += [value for each, value in record.repeated_fields if each in both]
        return [value for value in shown if has_content(value)]

    def name_to_write(self, record: Record, name: str) -> str:
        """The name to write a field under: that of the record, where the field or other fields have their label.

        Where the record does not tell, the name that the store's facts say.
        """
        both, shown = self.both(name), record.extra_fields
        on_record = [each for each in both if each in shown]
        filled = [each for each in on_record if has_content(shown[each])]
        return next(iter((*filled, *on_record)), both[-1 if self._shows_labels(shown) else 0])

    def _shows_labels(self, shown: Collection[str]) -> bool:
        by_label = any(label in shown for label in self.labels.values())
        by_name = any(name in shown for name in self.labels)
        return by_label and not by_name if by_label or by_name else self.writes_labels
