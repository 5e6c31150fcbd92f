"""A metrics page as numbers, read by Prometheus' own parser."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """One page."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {one.name: one for one in text_string_to_metric_families(text)}

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Yield name, labels and value of each sample."""
        for family in self.families.values():
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value

    def values(self, name: str, **labels: str) -> dict[tuple[str, ...], float]:
        """Return the samples of a name that bear these labels, by the values of their others."""
        return {
            tuple(found[label] for label in sorted(found) if label not in labels): value
            for sample, found, value in self.samples()
            if sample == name and labels.items() <= found.items()
        }

    def value(self, name: str, **labels: str) -> float | None:
        """Return the one sample with these labels; None where there is none.

        Raises:
            ValueError: There are several.
        """
        found = self.values(name, **labels)
        if len(found) > 1:
            raise ValueError(f"{name} has {len(found)} samples with {labels}")
        return next(iter(found.values()), None)


def own(found: Scraped) -> dict[str, Any]:
    """Return the families that are the project's own, by name."""
    return {name: one for name, one in found.families.items() if name.startswith("agentcorps_")}
