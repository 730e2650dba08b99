"""`fmgrid data`: the data sets that fmgrid knows, described, and prepared for training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fmgrid.cli.output import print_json, say
from fmgrid.cli.tables import count_fitting, print_rows
from fmgrid.components.datasets import DATASET, info_of
from fmgrid.components.kinds import ComponentError
from fmgrid.components.own_data import Contents, prepare_again
from fmgrid.data.batches import Split, class_counts
from fmgrid.data.cache import find_in_cache, prepare
from fmgrid.data.catalogue import DATASETS, DatasetInfo, PublishedDataset
from fmgrid.data.formats import IMAGE_DIMENSIONS
from fmgrid.data.own_arrays import OwnDataError
from fmgrid.errors import InputError, Place, Problem
from fmgrid.experiment import Experiment
from fmgrid.grid.reading import read_overrides
from fmgrid.grid.values import objection_to_argument
from fmgrid.words import format_bytes, printable

_HEAD = ("data set", "train", "test", "shape", "classes", "cached", "from", "contents")
_FACTS = ("description", "train_images", "test_images", "valid_images", "shape", "classes")


def list_data(*, json: bool) -> None:
    """Print a table of all data sets, and which of them are in the cache."""
    if json:
        print_json({"datasets": [_to_json(name) for name in DATASETS]})
        return
    rows = [_to_cells(name) for name in DATASETS]
    # On a narrow terminal all but the last column, which wraps badly
    width = len(_HEAD) - (count_fitting(_HEAD, rows) < len(_HEAD))
    print_rows(_HEAD[:width], [row[:width] for row in rows])
    cached = [find_in_cache(name) for name in DATASETS]
    cache = cached[0][0].parent
    say(f"{sum(is_there for _, is_there in cached)} of {len(rows)} in the cache, {cache}")
    say("fmgrid data NAME prepares one; with --dry-run it is only described")


def describe_data(dataset: str, *, json: bool) -> None:
    """Print the facts of a data set, without touching it. Raises `InputError` for a wrong name."""
    info = _look_up(dataset)
    if json:
        print_json(_to_json(dataset))
        return
    folder, is_cached = find_in_cache(dataset)
    facts = {
        **_describe(info),
        "from": ", ".join(info.sources),
        "files": ", ".join(info.files.published) if info.has_choice else "",
        "download": format_bytes(info.megabytes * 10**6) if info.megabytes else "",
        "cache": f"{folder}{'' if is_cached else ', not there yet'}",
        "labels": ", ".join(info.classes),
    }
    _print_facts(dataset, info, facts)


def prepare_data(dataset: str, data_dir: Path | None, *, json: bool) -> None:
    """Prepare a data set, and print its facts and how many images each class has.

    Raises `InputError` for a wrong name or a useless folder, `DataError` if it cannot be prepared.
    """
    info = _look_up(dataset)
    if data_dir and not info.has_choice:
        problem = f"{dataset} comes from {info.origin}; leave the option out"
        raise InputError.at(f"--data-dir {data_dir}", problem)
    prepared = prepare(dataset, data_dir, say)
    counts = class_counts(prepared.folder, info.classes)
    if json:
        print_json({**_to_json(dataset), "source": prepared.source, "counts": counts})
        return
    facts = {
        **_describe(info),
        "source": prepared.source,
        "cache": f"{prepared.folder}, checksums verified",
    }
    _print_facts(dataset, info, facts)
    _print_counts(counts, info)


def describe_own_data(dataset: str, arguments: Sequence[str], *, json: bool) -> None:
    """Read a user's own data, and print their facts and how many inputs each class has.

    *arguments* are such as "dataset_args.size=[32,32]". Raises `InputError` for data that cannot
    be used, `DataError` if the cache cannot.
    """
    try:
        args = _read_arguments(dataset, arguments)
        experiment = Experiment(name="own", dataset=dataset, dataset_args=args)
        content = Contents(say).of(experiment, Path.cwd())
    except (ComponentError, OwnDataError) as error:
        place = Place(f"fmgrid data {printable(dataset, 80)}")
        raise InputError(Problem(place, "", str(line)) for line in error.args) from error
    experiment = experiment.model_copy(update={"content": content})
    prepared = prepare_again(experiment, Path.cwd(), say, say)
    info = info_of(experiment)
    counts = class_counts(prepared.folder, info.classes)
    if json:
        facts = {"dataset": dataset, "content": content, **_to_facts(info)}
        print_json({**facts, "folder": str(prepared.folder), "counts": counts})
        return
    described = {**_describe(info), "content": str(content), "cache": str(prepared.folder)}
    _print_facts(dataset, info, described)
    _print_counts(counts, info)


def _read_arguments(dataset: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of own data. Raises `InputError`, `ComponentError`."""
    problems: list[Problem] = []
    args: dict[str, Any] = {}
    for (setting, *part), written in read_overrides(texts, problems).items():
        if setting != "dataset_args" or len(part) != 1:
            message = "is no argument of the data; write such as --set dataset_args.size=[32,32]"
            problems.append(written.problem(message))
        elif objection := objection_to_argument(DATASET, dataset, part[0], written.value):
            problems.append(written.problem(objection))
        else:
            args[part[0]] = written.value
    if problems:
        raise InputError(problems)
    return args


def _print_counts(counts: Mapping[Split, Mapping[str, int]], info: DatasetInfo) -> None:
    totals = ["all", *(f"{sum(numbers.values()):,}" for numbers in counts.values())]
    rows = [[name, *(f"{numbers[name]:,}" for numbers in counts.values())] for name in info.classes]
    print()
    print_rows(("class", *counts), [*rows, totals])


def _look_up(dataset: str) -> PublishedDataset:
    """Return an entry of the catalogue. Raises `InputError` with a near match."""
    try:
        DATASET.signature(dataset)
    except ComponentError as error:
        raise InputError.at(f"fmgrid data {printable(dataset, 80)}", str(error)) from error
    return DATASETS[dataset]


def _to_cells(dataset: str) -> tuple[str, ...]:
    """Return the cells under `_HEAD`."""
    info, (_, is_cached) = DATASETS[dataset], find_in_cache(dataset)
    return (
        dataset,
        f"{info.train_images:,}",
        f"{info.test_images:,}",
        _show(info.shape),
        str(len(info.classes)),
        "yes" if is_cached else "no",
        info.origin,
        info.description,
    )


def _describe(info: DatasetInfo) -> dict[str, str]:
    images = f"{info.train_images:,} for training, {info.test_images:,} for testing"
    validation = f", {info.valid_images:,} for validation" if info.valid_images else ""
    axes = " (channels, rows, columns)" if len(info.shape) == IMAGE_DIMENSIONS else ""
    return {
        "images": images + validation,
        "shape": _show(info.shape) + axes,
        "classes": str(len(info.classes)),
        "licence": info.licence,
    }


def _print_facts(dataset: str, info: DatasetInfo, facts: Mapping[str, str]) -> None:
    print(printable(f"{dataset}: {info.description}"))
    for title, text in facts.items():
        if text:
            print(printable(f"{title:9} {text}"))


def _to_json(dataset: str) -> dict[str, Any]:
    info, (folder, is_cached) = DATASETS[dataset], find_in_cache(dataset)
    return {
        "dataset": dataset,
        **_to_facts(info),
        "licence": info.licence,
        "sources": list(info.sources),
        "files": info.files.published if info.has_choice else [],
        "download_megabytes": info.megabytes,
        "folder": str(folder),
        "is_cached": is_cached,
    }


def _to_facts(info: DatasetInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in _FACTS}


def _show(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
