"""What panels may ask for: the metric list's own, and nothing else."""

from __future__ import annotations

from node.observe.metric_list import BY_NAME, PREFIX


class UnknownMetric(LookupError):
    """A panel asks for what the node does not show."""


def series(name: str, selector: str = "", *, part: str = "") -> str:
    """A metric as the dashboard selects it: of the chosen instances, and of the chosen accounts where it has them.

    Args:
        name: As in the metric list.
        selector: Further matchers.
        part: ``bucket``, ``sum`` or ``count`` of a histogram.

    Raises:
        UnknownMetric: there is no such metric, or no such part of it.
    """
    spec = BY_NAME.get(name)
    full = f"{PREFIX}_{name}_{part}" if part else f"{PREFIX}_{name}"
    if spec is None or full not in spec.series:
        raise UnknownMetric(full)
    matchers = ['instance=~"$instance"']
    if "account" in spec.labels:
        matchers.append('account=~"$account"')
    if selector:
        matchers.append(selector)
    return f"{full}{{{','.join(matchers)}}}"


def rate(name: str, by: str, selector: str = "") -> str:
    """A counter's rise a second."""
    return f"sum by ({by}) (rate({series(name, selector)}[$__rate_interval]))"


def increase(name: str, by: str, selector: str = "") -> str:
    """A counter's rise from one point of the picture to the next."""
    return f"sum by ({by}) (increase({series(name, selector)}[$__rate_interval]))"


def quantile(part: float, name: str, by: str = "", selector: str = "", window: str = "$__rate_interval") -> str:
    """A quantile of what was observed in a window."""
    grouping = f"{by}, le" if by else "le"
    buckets = series(name, selector, part="bucket")
    return f"histogram_quantile({part}, sum by ({grouping}) (increase({buckets}[{window}])))"


def quantiles(name: str, by: str, selector: str = "", window: str = "$__rate_interval") -> tuple[tuple[str, str], ...]:
    """Legend and query of the median and of the 99th percentile, by one label; by none if it is empty."""
    legend = f" {{{{{by}}}}}" if by else ""
    return (
        (f"p50{legend}", quantile(0.5, name, by, selector, window)),
        (f"p99{legend}", quantile(0.99, name, by, selector, window)),
    )
