"""The runs beside published figures, each of one run."""

from statistics import median

from fmgrid.analysis.comparisons import Beside, by_name_in_tables, set_beside
from fmgrid.analysis.experiments import images_of
from fmgrid.analysis.statistics import ALPHA
from fmgrid.metrics import METRICS as TABLE
from fmgrid.pages.document import Section, code
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    section,
    show_difference,
    show_size,
    show_value,
    some,
    table,
    unit_of,
)
from fmgrid.report.reference import METRICS


def published_section(evidence: Evidence) -> Section | None:
    """Compare with published figures, None where none were given."""
    reference = evidence.reference
    if reference is None:
        return None
    beside = {one: set_beside(evidence.study, reference.figures, one) for one in METRICS}
    strangers = sorted(reference.figures.keys() - by_name_in_tables(evidence.study))
    return section(
        "Beside the published figures",
        f"{code(reference.path)} has figures of one run per experiment. A figure is bold if it "
        "lies outside the 95 % prediction interval, into which one more run of ours would fall.",
        f"Not among our runs: {some(strangers)}." if strangers else None,
        inner=[_metric_section(metric, pairs) for metric, pairs in beside.items() if pairs],
    )


def _metric_section(metric: str, pairs: list[Beside]) -> Section:
    judged = sum(pair.prediction is not None for pair in pairs)
    outside = [pair.name for pair in pairs if pair.is_outside]
    gaps = [abs(pair.published - pair.ours.mean) for pair in pairs]
    return section(
        TABLE[metric].label.capitalize(),
        f"Outside the prediction interval: {some(outside) or 'none'} ({len(outside)} of {judged}; "
        f"{ALPHA * judged:.1f} are expected by chance). Median difference: "
        f"{show_size(median(gaps), metric)}; largest: {show_size(max(gaps), metric)}.",
        table(
            f"Published {TABLE[metric].label} beside ours", [_row(pair, metric) for pair in pairs]
        ),
    )


def _row(pair: Beside, metric: str) -> dict[str, str]:
    published = show_value(pair.published, metric)
    is_held_out = pair.of.settings.get("validation") not in ("test", None)
    bounds = [show_value(bound, metric) for bound in pair.prediction or ()]
    return {
        "experiment": code(pair.name),
        "published": f"**{published}**" if pair.is_outside else published,
        "our mean": show_value(pair.ours.mean, metric),
        "prediction interval": f"[{', '.join(bounds)}]" if bounds else "",
        f"difference ({unit_of(metric)})": show_difference(pair.published - pair.ours.mean, metric),
        "seeds": str(pair.ours.n),
        "ours are scored on": images_of(pair.of) if is_held_out else "",
    }
