"""`fmgrid list`: the experiments of a folder, each with its mean over seeds, best first.

Experiments that different images judge are ranked apart. Those without a complete run come last.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from fmgrid.analysis.experiments import ExperimentRuns, find_axes, group_by, images_of, level_order
from fmgrid.analysis.ranking import main_metric
from fmgrid.analysis.study import Study, to_study
from fmgrid.cli.finding import split_name
from fmgrid.cli.options import ListOptions
from fmgrid.cli.output import print_json, say, warn
from fmgrid.cli.showing import find_unfinished, say_unseeded
from fmgrid.cli.tables import count_fitting, print_rows
from fmgrid.errors import InputError
from fmgrid.grid.hypotheses import Experiments
from fmgrid.hypotheses.conditions import parse_selection
from fmgrid.hypotheses.language import ExpectationError
from fmgrid.metrics import ALIASES, METRICS, Metric, find_metric, is_ranked, metric_of
from fmgrid.reporting.phrases import show_value
from fmgrid.results.summary import (
    Contents,
    further_metrics,
    natural_order,
    read_runs,
    to_csv,
)
from fmgrid.settings import (
    SETTINGS,
    WIDTHS,
    flatten,
    keys_of,
    meant_by,
    objection_to,
    show,
    value_at,
)
from fmgrid.words import counted, first_few, or_near_match, printable

_NAMESAKES_SHOWN = 3
_PARTS = ("mean", "low", "high")  # of a metric in CSV


@dataclass(frozen=True, eq=False)
class Entry:
    """A configuration with its runs: a row of the table."""

    experiment: ExperimentRuns
    incomplete: Mapping[str, int]  # how many runs are not complete, by state

    @property
    def number(self) -> int:
        """The complete runs: one per seed, or repeats without seeds."""
        return len(self.experiment.runs)


@dataclass(frozen=True)
class Property:
    """A property of entries, by which they can be sorted."""

    name: str  # "accuracy", "n", "optimizer_args.momentum"
    value: Callable[[Entry], Any]  # None where an entry has none
    show: Callable[[Any], str] = str
    is_largest_first: bool = False
    metric: Metric | None = None  # by which experiments can be ranked

    def has_value(self, entry: Entry) -> bool:
        """Tell whether an entry has a value here."""
        return self.value(entry) is not None


@dataclass(frozen=True)
class Tables:
    """Entries in their order, with the columns that are shown."""

    metric: str
    columns: Sequence[Property]  # all but the name
    entries: Sequence[Entry]
    tables: Sequence[Sequence[Entry]]  # by the images that judge them, and cut to the limit


def list_experiments(options: ListOptions) -> None:
    """Print the experiments of a folder as a table, or as JSON or CSV.

    Raises `InputError` for a column or a condition that is none.
    """
    contents = read_runs(options.logdir)
    study = to_study(contents, [])
    warn(*contents.warnings, *study.uncounted)
    listed = to_tables(_to_entries(study, contents, options.logdir), options)
    if options.json:
        rows = [_to_json(entry, listed.metric) for entry in chain(*listed.tables)]
        print_json({"metric": listed.metric, "experiments": rows})
    elif options.csv:
        _print_csv(listed)
    else:
        _print_tables(listed, may_leave_out=options.columns is None)
        _say_totals(listed)


def _to_entries(study: Study, contents: Contents, logdir: Path) -> list[Entry]:
    """Return each configuration with a complete run, and after them all other experiments."""
    incomplete: dict[str, Counter[str]] = defaultdict(Counter)
    for run in study.failures:
        incomplete[run.name][run.status or "unknown"] += 1
    for folder, state in find_unfinished(contents, logdir).items():
        incomplete[split_name(folder, study.experiments)[0]][state] += 1
    for folder in contents.damaged:
        incomplete[split_name(folder, study.experiments)[0]]["damaged"] += 1
    entries = []
    for experiment in study.configurations:
        states = (incomplete.pop(name, Counter()) for name in experiment.names)
        entries.append(Entry(experiment, sum(states, Counter())))
    for name in sorted(incomplete, key=natural_order):
        known = study.experiments.get(name, ExperimentRuns(name, {}, {}))
        entries.append(Entry(known, incomplete[name]))
    return entries


def to_tables(entries: Sequence[Entry], options: ListOptions) -> Tables:
    """Return the entries that the options choose, in their order."""
    entries = _choose(entries, options.where or ())
    metric = find_metric(options.sort or "", _further_metrics(entries))
    metric = metric or main_metric(entry.experiment for entry in entries)
    axes = [axis.name for axis in find_axes(entry.experiment for entry in entries)]
    sort = _find_column("--sort", options.sort or metric, entries, axes)
    names = dict.fromkeys((metric, "n", "incomplete", sort.name, *axes, "weights", "seconds"))
    if options.columns is not None:
        names = dict.fromkeys(filter(None, map(str.strip, options.columns.split(","))))
    columns = [_find_column("--columns", name, entries, axes) for name in names if name != "name"]
    if options.columns is None:
        columns = [column for column in columns if any(map(column.has_value, entries))]
    ranked, others = _in_order(entries, sort, reverse=options.reverse)
    tables = group_by(ranked, lambda entry: entry.experiment.images_for(metric))
    tables.sort(key=len, reverse=True)
    if len(tables) > 1:
        tables.append(others)
    else:
        tables = [[*ranked, *others]]
    return Tables(metric, columns, entries, [table[: options.limit] for table in tables if table])


def _choose(entries: Sequence[Entry], conditions: Sequence[str]) -> Sequence[Entry]:
    """Return the entries for which all conditions hold, by any of their names."""
    by_name = {
        name: entry.experiment.settings for entry in entries for name in entry.experiment.names
    }
    named, chosen, further = Experiments(by_name), set(by_name), _further_settings(entries)
    for text in conditions:
        try:
            chosen &= set(named.select(parse_selection(text, further)))
        except ExpectationError as error:
            raise InputError.at(f"--where {printable(text, 80)}", str(error)) from error
    if entries and not chosen:
        place = " ".join(f"--where {printable(text, 80)}" for text in conditions)
        raise InputError.at(place, "no experiment has all of this at once; write fewer conditions")
    return [entry for entry in entries if not chosen.isdisjoint(entry.experiment.names)]


def _in_order(
    entries: Sequence[Entry], column: Property, *, reverse: bool
) -> tuple[list[Entry], list[Entry]]:
    """Return those with a complete run, by a column, and all others.

    Those that have nothing in the column are the last of the first.
    """
    named = sorted(entries, key=lambda entry: natural_order(entry.experiment.name))
    complete = [entry for entry in named if entry.number]
    ranked = sorted(
        filter(column.has_value, complete),
        key=lambda entry: level_order(column.value(entry)),
        reverse=column.is_largest_first != reverse,
    )
    missing = [entry for entry in complete if not column.has_value(entry)]
    return [*ranked, *missing], [entry for entry in named if not entry.number]


# Columns

_OTHER_COLUMNS: Mapping[str, Property] = {
    column.name: column
    for column in (
        Property("name", lambda entry: entry.experiment.name),
        Property("n", lambda entry: entry.number, is_largest_first=True),
        Property("seconds", lambda entry: entry.experiment.seconds, "{:.1f}".format),
        Property("incomplete", lambda entry: _describe(entry.incomplete)),
        Property("other_names", lambda entry: " ".join(entry.experiment.other_names) or None),
        Property("images", lambda entry: images_of(entry.experiment)),
    )
}


def _find_column(
    option: str, name: str, entries: Sequence[Entry], axes: Sequence[str] = ()
) -> Property:
    """Return a column by its name. Raises `InputError` if there is none, with a near match."""
    if metric := name if name in METRICS else find_metric(name, _further_metrics(entries)):
        return _metric_column(metric)
    if name in _OTHER_COLUMNS:
        return _OTHER_COLUMNS[name]
    further = _further_settings(entries).get(name)
    keys = keys_of(further or name)
    column = Property(
        further or ".".join(keys), lambda entry: value_at(entry.experiment.settings, keys), show
    )
    objection = objection_to(keys)
    is_known = objection is None if len(keys) == 1 else any(map(column.has_value, entries))
    if name in axes or is_known:
        return column
    if objection is None or keys[0] not in SETTINGS:
        arguments = _arguments(entries)
        meant = ALIASES.get(name.casefold()) or ".".join(meant_by(name)) or name
        known = {*METRICS, *_OTHER_COLUMNS, *SETTINGS, *WIDTHS, *axes, *arguments}
        known |= {metric_of(metric).label for metric in _further_metrics(entries)}
        objection = f"no such column{or_near_match(meant, known, 'there are')}"
    raise InputError.at(f"{option} {printable(name, 80)}", objection)


def _metric_column(name: str) -> Property:
    if is_ranked(name):
        return Property(
            name,
            lambda entry: entry.experiment.mean(name),
            lambda mean: show_value(mean, name),
            is_largest_first=bool(metric_of(name).is_higher_better),
            metric=metric_of(name),
        )
    return Property(name, lambda entry: _count(entry.experiment.mean(name)), "{:,}".format)


def _further_metrics(entries: Sequence[Entry]) -> list[str]:
    """Return the metrics that only plain mltrainer knows, such as "metric.F1"."""
    return further_metrics(run for entry in entries for run in entry.experiment.runs.values())


def _count(mean: float | None) -> float | None:
    """Return the mean of counts, of which most are the same for all seeds, to a tenth."""
    return None if mean is None else int(mean) if mean.is_integer() else round(mean, 1)


def _arguments(entries: Sequence[Entry]) -> set[str]:
    """Return the arguments that some experiment has, such as "optimizer_args.momentum"."""
    names = {name for entry in entries for name in flatten(entry.experiment.settings)}
    return {name for name in names if name not in SETTINGS}


def _further_settings(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the settings that only plain mltrainer knows, by their paths and by single words."""
    settings = chain.from_iterable(entry.experiment.settings for entry in entries)
    paths = [path for path in dict.fromkeys(settings) if path not in SETTINGS]
    words = Counter(path.rpartition(".")[2] for path in paths)
    known = {*SETTINGS, *METRICS, *_OTHER_COLUMNS}
    short = {word: path for path in paths if words[word := path.rpartition(".")[2]] == 1}
    return {word: path for word, path in short.items() if word not in known} | dict(
        zip(paths, paths, strict=True)
    )


def _describe(incomplete: Mapping[str, int]) -> str | None:
    return ", ".join(f"{number:,} {state}" for state, number in sorted(incomplete.items())) or None


# Output


def _print_tables(listed: Tables, *, may_leave_out: bool) -> None:
    """Print the tables, which say what judges their experiments where there are several."""
    left_out: dict[str, None] = {}
    for number, table in enumerate(listed.tables):
        if len(listed.tables) > 1:
            images = images_of(table[0].experiment, listed.metric)
            title = f"scored on {images}" if table[0].number else "without a complete run"
            print("\n" * (number > 0) + printable(title))
        names = [entry.experiment.name for entry in table]
        cells = [names, *(_to_cells(column, table) for column in listed.columns)]
        head = ["experiment", *map(_to_title, listed.columns)]
        rows = [*zip(*cells, strict=True)]
        fitting = max(2, count_fitting(head, rows)) if may_leave_out else len(head)
        left_out |= {column.name: None for column in listed.columns[fitting - 1 :]}
        print_rows(head[:fitting], [row[:fitting] for row in rows], names)
    if left_out:
        say(f"left out, as the terminal is narrow: {', '.join(left_out)}; --columns shows them")


def _to_title(column: Property) -> str:
    if column.metric is None:
        return printable(column.name)
    return f"{column.metric.label if column.metric.is_further else column.name} ±95%"


def _to_cells(column: Property, entries: Sequence[Entry]) -> list[str]:
    """Return the cells of a column; those of a metric have half of its interval, too."""
    if column.metric:
        return [_to_cell(entry, column.name) for entry in entries]
    values = map(column.value, entries)
    return ["" if value is None else column.show(value) for value in values]


def _to_cell(entry: Entry, metric: str) -> str:
    """Write a mean with half of its interval, as 83.17% ±0.64, and how many runs have it."""
    estimate = entry.experiment.estimate(metric)
    if estimate is None:
        return ""
    text = show_value(estimate.mean, metric)
    if estimate.low is not None and estimate.high is not None:
        # One bound may be cut off at 0 or 100 %.
        half = max(estimate.mean - estimate.low, estimate.high - estimate.mean)
        text += f" ±{show_value(half, metric).removesuffix('%')}"
    return text if estimate.n == entry.number else f"{text} ({estimate.n} of {entry.number})"


def _say_totals(listed: Tables) -> None:
    if not listed.entries:
        say("no runs; fmgrid run trains some")
        return
    number = len(listed.entries)
    parts = [counted(number, "experiment")]
    if (printed := sum(map(len, listed.tables))) < number:
        parts.append(f"{printed:,} shown")
    say(", ".join(parts))
    say_unseeded(run for entry in listed.entries for run in entry.experiment.runs.values())
    namesakes = [entry.experiment for entry in listed.entries if entry.experiment.other_names]
    for experiment in namesakes[:_NAMESAKES_SHOWN]:
        say(f"{experiment.name} is also {first_few(experiment.other_names)}")
    if (more := len(namesakes) - _NAMESAKES_SHOWN) > 0:
        say(f"{more:,} more with several names; --columns other_names shows them")


def _print_csv(listed: Tables) -> None:
    """Print the rows with figures as they were computed."""
    rows = []
    for entry in chain(*listed.tables):
        row = {"name": entry.experiment.name}
        for column in listed.columns:
            row |= _to_values(column, entry)
        rows.append(row)
    print(to_csv(rows, tuple(rows[0]) if rows else ("name",)), end="")


def _to_values(column: Property, entry: Entry) -> dict[str, Any]:
    if column.metric is None:
        return {column.name: column.value(entry)}
    estimate = entry.experiment.estimate(column.name)
    return {f"{column.metric.name}_{part}": getattr(estimate, part, None) for part in _PARTS}


def _to_json(entry: Entry, metric: str) -> dict[str, Any]:
    experiment = entry.experiment
    names = (*METRICS, *_further_metrics([entry]))
    estimates = {name: experiment.estimate(name) for name in names}
    return {
        "name": experiment.name,
        "other_names": experiment.other_names,
        "images": images_of(experiment, metric),
        "n": entry.number,
        "incomplete": entry.incomplete,
        "seconds": experiment.seconds,
        "settings": experiment.settings,
        "metrics": {name: asdict(mean) for name, mean in estimates.items() if mean},
    }
