"""Run the study over several seeds and compare it with what was published: docs/replication.md.

    python scripts/compare_published.py

takes about three minutes on two cores, and no time for what the log folder already holds.
Every figure and every sentence with a figure in docs/replication.md comes from here.
"""

import argparse
import platform
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "docs" / "published_results.csv"
PAGE = ROOT / "docs" / "replication.md"
HEADINGS = (
    *("experiment", "valid loss, published", "mean of seeds", "difference", "sd of seeds"),
    *("accuracy, published", "mean of seeds"),
)
SHARED = ["epochs_5", "units_256_256", "batchsize_64", "depth_2", "lr_0.001", "optimizer_Adam"]


def main() -> None:
    """Run, compare, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", default="0,1,2", help="default: %(default)s")
    parser.add_argument("--logdir", type=Path, default=ROOT / "modellogs-replication")
    options = parser.parse_args()
    _fmgrid("run", "configs", "--seeds", options.seeds, "--logdir", str(options.logdir))
    summary = options.logdir / "experiment_summary.csv"
    _fmgrid("summarize", str(options.logdir), "-o", str(summary))
    runs = pd.read_csv(summary)
    PAGE.write_text(_page(runs, pd.read_csv(PUBLISHED), options.seeds), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


def _fmgrid(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "fmgrid", *words], cwd=ROOT, check=True)


def _page(runs: pd.DataFrame, published: pd.DataFrame, seeds: str) -> str:
    grouped = runs.groupby("name")
    ours = grouped[["valid_loss", "accuracy"]].mean()
    ours["spread"] = grouped["valid_loss"].std()
    table = published.set_index("name").join(ours, rsuffix="_ours")
    table["difference"] = table["valid_loss_ours"] - table["valid_loss"]
    missing = sorted(set(ours.index) - set(table.index))
    sections = [
        _introduction(runs, table, seeds),
        "## Every published row\n",
        _rows(table),
        _noise(runs, published),
        _unprinted(missing, len(ours)),
        _origin(runs, seeds),
    ]
    return "\n".join(sections)


def _unprinted(missing: list[str], total: int) -> str:
    return (
        f"## Not printed by the study\n\n{len(missing)} of the {total} experiments have no "
        f"published figures: {', '.join(missing)}.\n"
    )


def _introduction(runs: pd.DataFrame, table: pd.DataFrame, seeds: str) -> str:
    both = table.dropna(subset=["valid_loss"])
    gap = both["difference"].abs()
    rank = both["valid_loss"].corr(both["valid_loss_ours"], method="spearman")
    # Three seeds say little of one experiment's spread, but all experiments together do.
    variances = runs.groupby("name")["valid_loss"].var()
    repeats = len(seeds.split(","))
    pooled = variances.mean() ** 0.5
    expected = pooled * (1 + 1 / repeats) ** 0.5  # of one run against a mean of several
    far = both[gap > 2 * expected].index
    return (
        "# The study, trained again\n\n"
        f"The {runs['name'].nunique()} experiments of `configs/` over the seeds {seeds} "
        f"({len(runs)} runs), with the study's own protocol: 100 steps an epoch, the test images "
        "as validation images. The study ran each once, without a seed.\n\n"
        f"Of its {len(table)} printed rows {len(both)} have a validation loss. Ours, the mean "
        f"over seeds, differs from it by {gap.median():.3f} in the median and {gap.max():.3f} at "
        f"most (`{gap.idxmax()}`); the rank correlation is {rank:.2f}. A run of ours lies "
        f"{pooled:.3f} from the mean of its experiment (the standard deviation, pooled over all "
        f"experiments), so that a single run should lie within {2 * expected:.3f} of our means 19 "
        f"times in 20: {len(both) - len(far)} of the {len(both)} do"
        f"{', and ' + ', '.join(f'`{name}`' for name in far) + ' not' if len(far) else ''}.\n"
    )


def _rows(table: pd.DataFrame) -> str:
    lines = [
        f"| {' | '.join(HEADINGS)} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in table.iterrows():
        has_loss = pd.notna(row["valid_loss"])
        cells = [
            f"`{name}`",
            f"{row['valid_loss']:.3f}" if has_loss else "",
            f"{row['valid_loss_ours']:.3f}",
            f"{row['difference']:+.3f}" if has_loss else "",
            f"{row['spread']:.3f}",
            f"{row['accuracy']:.1%}",
            f"{row['accuracy_ours']:.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _noise(runs: pd.DataFrame, published: pd.DataFrame) -> str:
    theirs = published[published["name"].isin(SHARED)]["accuracy"]
    ours = runs[runs["name"] == SHARED[0]]["accuracy"]
    return (
        "## One configuration, six names\n\n"
        f"{', '.join(f'`{name}`' for name in SHARED)} are the same configuration. The study "
        f"printed accuracies from {theirs.min():.1%} to {theirs.max():.1%} for it: runs that "
        f"differ in nothing are {100 * (theirs.max() - theirs.min()):.1f} points apart. Here the "
        "configuration is trained once a seed, and the seeds give "
        f"{', '.join(f'{accuracy:.1%}' for accuracy in ours)}.\n"
    )


def _origin(runs: pd.DataFrame, seeds: str) -> str:
    trained = runs[runs["trained_as"].isna()]
    return (
        "## Where these figures come from\n\n"
        f"`python scripts/compare_published.py --seeds {seeds}` wrote this page: "
        f"{len(trained)} trainings and {len(runs) - len(trained)} runs that share one, "
        f"{trained['seconds'].sum():.0f} seconds of one core in all, on "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"{_versions()}. The published figures are `docs/published_results.csv`.\n"
    )


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("torch", "mltrainer", "fmgrid"))


if __name__ == "__main__":
    main()
