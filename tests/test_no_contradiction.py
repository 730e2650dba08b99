"""No sentence, caption or table of a report contradicts its JSON, nor another one."""

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from fmgrid.analysis.comparisons import compare_experiments
from fmgrid.analysis.evidence import Evidence, weigh
from fmgrid.analysis.statistics import ALPHA
from fmgrid.analysis.study import Study
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.pages.document import Document, Table
from fmgrid.plots import Plot, draw_all, style
from fmgrid.reporting import to_document
from fmgrid.reporting.writing import to_json
from made_up_runs import STARTED
from made_up_studies import Row, row, study_of
from test_questions import stated

SHAPES: dict[str, list[dict[str, Any]]] = {
    "one axis": [{"epochs": epochs} for epochs in (1, 2, 3, 5)],
    "product": [{"epochs": e, "batch_size": b} for e in (1, 2, 3) for b in (8, 16)],
    "incomplete": [{"epochs": e, "batch_size": b} for e in (1, 2, 3) for b in (8, 16, 32)][:-2],
    "one by one": [{}, {"epochs": 1}, {"epochs": 2}, {"batch_size": 8}, {"learning_rate": 0.1}],
    "other images": [{"epochs": e, "validation": v} for e in (1, 2, 3) for v in ("test", 400)],
}
CLAIMS = (
    *("e0 > e1", "e1 < e2 by 0.01", "each of e0, e1 > 0.5"),
    "no difference greater than 0.1 among e1, e2",
)


def made_up(shape: str, number: int) -> Study:
    """Return a study with uneven seeds, failures, ties, a wild experiment, twins, two folders."""
    dice = random.Random(number)
    step, seeds = dice.choice([0.0, 0.01, 0.1]), dice.choice([1, 2, 3, 3, 5, 7])
    shifts = [dice.gauss(0, 0.01) for _ in range(seeds)]
    runs: list[Row] = []
    names = []
    for index, chosen in enumerate(SHAPES[shape]):
        names.append(f"e{index}")
        sd = dice.choice([0.0, 0.005, 0.01, 0.1])
        for seed in range(max(1, seeds - dice.choice([0, 0, 0, 1, 2]))):
            accuracy = min(1.0, max(0.0, 0.6 + step * index + shifts[seed] + dice.gauss(0, sd)))
            measured = {
                "accuracy": accuracy,
                "valid_loss": 1 - accuracy,
                "train_loss": 0.9 - accuracy,
            }
            failed = {"status": "failed", "error": "boom", "accuracy": None}
            made = row(f"e{index}", seed, failed if dice.random() < 0.05 else measured, **chosen)
            runs.append(made | {"started": STARTED})
    if dice.random() < 0.3:  # the first one under a second name
        names.append("twin")
        runs += [
            run | {"name": "twin", "run": f"twin_{run['seed']}", "trained_as": run["run"]}
            for run in runs
            if run["name"] == "e0"
        ]
    if dice.random() < 0.3:  # a copy in another log folder
        runs += [run | {"folder": f"other/{run['run']}"} for run in runs if run["name"] == "e1"]
    hypotheses = tuple(stated(claim=text, expect=text, resolved=text) for text in CLAIMS)
    grid = GridRecord(path="g.toml", names=tuple(names), hypotheses=hypotheses)
    return study_of(runs, [grid])


def plain(markdown: str) -> str:
    return markdown.replace("`", "").replace("\\", "")


class Page:
    """A report's sections by title, as text and as tables of cells by column."""

    def __init__(self, document: Document) -> None:
        self.texts: dict[str, str] = {}
        self.tables: dict[str, list[dict[str, str]]] = {}
        for section in document.sections:
            parts = []
            for block in section.blocks:
                if isinstance(block, Table):
                    titles = [column.title for column in block.columns]
                    rows = [dict(zip(titles, cells, strict=True)) for cells in block.rows]
                    self.tables[f"{section.title}: {block.caption}"] = rows
                elif isinstance(block, str):
                    parts.append(block)
                elif isinstance(block, list | tuple):
                    parts += block
            self.texts[section.title] = plain("\n".join(parts))

    def table(self, title: str) -> list[dict[str, str]]:
        """Return the rows of the only table whose section or caption begins so."""
        return next((rows for name, rows in self.tables.items() if title in name), [])

    def point(self, word: str) -> str:
        """Return the point of the summary that begins with this word."""
        points = re.findall(rf"^\*\*{word}.*?\*\*: (.*)$", self.texts["Summary"], re.MULTILINE)
        return " ".join(points)


def is_bold(cell: str) -> bool:
    return cell.startswith("**")


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=10, deadline=None)
@given(number=st.integers(0, 2**20))
def test_no_sentence_caption_or_table_contradicts_the_figures(shape: str, number: int) -> None:
    study = made_up(shape, number)
    if not study.scored:
        return
    evidence = weigh(study)
    page = Page(to_document(evidence, [], Path("logs"), "fmgrid report logs"))
    figures = json.loads(json.dumps(to_json(evidence, []), default=str))
    check_summary(page, figures)
    check_settings(page, figures)
    check_groups(page, figures, evidence)
    check_hypotheses(page, figures)
    check_rest(page, figures)
    pictures = {picture.name: picture for picture in draw_all(evidence)}
    check_pictures(pictures, figures)


def check_summary(page: Page, figures: Mapping[str, Any]) -> None:
    best = page.point("Best")
    for ranking in figures["best"]:
        assert ranking["name"] in best
        others = ranking["not_significantly_worse"]
        if others is not None and "not significantly worse" in best and len(figures["best"]) == 1:
            number, listed = re.findall(r"worse: (\d+) of \d+(?: \((.*)\))?", best)[0]
            assert int(number) == len(others)
            kept = listed.partition(" and ")[0].split(", ") if listed else []
            assert kept == others[: len(kept)]
    mains = [effect for effect in figures["effects"] if not effect["is_interaction"]]
    if any(effect["p"] is not None for effect in figures["effects"]):
        matter = {e["setting"] for e in mains if e["p"] is not None and e["p"] <= ALPHA}
        said = re.findall(
            r"(\w+) \(", page.point("Settings that matter").partition("the effect")[0]
        )
        assert set(said) & {e["setting"] for e in mains} == matter
        others = re.findall(r"(\w+) \(", page.point("Not sure"))
        assert set(others) == {e["setting"] for e in mains} - matter
    words = [verdict["verdict"].lower() for verdict in figures["verdicts"]]
    said_words = re.findall(r"(\d+) (confirmed|rejected|inconclusive)", page.point("Hypotheses"))
    assert {word: int(count) for count, word in said_words} == {w: words.count(w) for w in words}


def check_settings(page: Page, figures: Mapping[str, Any]) -> None:
    rows = page.table("Which settings matter")
    assert [plain(cells["setting"]) for cells in rows] == [e["setting"] for e in figures["effects"]]
    for cells, effect in zip(rows, figures["effects"], strict=True):
        is_significant = effect["p"] is not None and effect["p"] <= ALPHA
        assert is_bold(cells.get("p", "")) == is_significant
        difference = effect["difference"]
        if difference["low"] is not None and effect["noise"] is not None:
            assert (abs(difference["mean"]) >= effect["noise"]) == is_significant
            assert (difference["low"] * difference["high"] > 0) == is_significant


def check_groups(page: Page, figures: Mapping[str, Any], evidence: Evidence) -> None:
    effects = {effect["setting"]: effect for effect in figures["effects"]}
    for title, group in figures["groups"].items():
        rows = page.table(f"{title}, best first")
        caption = next(name for name in page.tables if f"{title}, best first" in name)
        assert f"compared with `{group['reference']}`" in caption
        shown = {plain(cells["experiment"]): cells for cells in rows}
        for name, difference in group["differences"].items():
            p = difference["p_corrected"]
            is_significant = p is not None and p <= ALPHA
            assert is_bold(shown[name].get("p", "")) == is_significant
            if difference["error"]:
                assert (difference["low"] * difference["high"] > 0) == is_significant
            first, second = evidence.study.scored[group["reference"]], evidence.study.scored[name]
            pair = compare_experiments(first, second, evidence.study).metrics[figures["metric"]]
            assert pair.difference
            assert pair.difference.mean == pytest.approx(difference["mean"], abs=1e-12)
            assert pair.difference.p == pytest.approx(difference["p"] or 1.0)
        ranked = [cells for cells in rows if cells.get("accuracy", "").strip("*")]
        means = [float(cells["accuracy"].split("%")[0]) for cells in ranked]
        assert means == sorted(means, reverse=True)
        for cells in page.table("Shares in the variance"):
            if effect := effects.get(plain(cells["source"])):
                assert is_bold(cells.get("p", "")) == (effect["p"] <= ALPHA)


def check_hypotheses(page: Page, figures: Mapping[str, Any]) -> None:
    rows = page.table("Hypotheses")
    said = [cells["verdict"].strip("*") for cells in rows]
    assert said == [verdict["verdict"] for verdict in figures["verdicts"]]
    for cells, verdict in zip(rows, figures["verdicts"], strict=True):
        is_open = verdict["verdict"] == "INCONCLUSIVE"
        assert is_open == (verdict["p_holm"] is None or verdict["p_holm"] > ALPHA)
        assert ("fresh comparison" in cells["figures"]) <= is_open


def check_rest(page: Page, figures: Mapping[str, Any]) -> None:
    rows = page.table("What one run would have concluded")
    if rows:
        said = {cells["seed"]: plain(cells["best"]).split(", ") for cells in rows}
        assert said == figures["winners"]
    signs = [gap["sign"] for gap in figures["gaps"].values()]
    if signs:
        above, below = re.findall(r"(\d+), below it: (\d+)", page.texts["Overfitting"])[0]
        assert (int(above), int(below)) == (signs.count(1), signs.count(-1))
    for cells, gain in zip(page.table("Diminishing returns"), figures["gains"], strict=True):
        assert is_bold(cells.get("p", "")) == (gain["p"] is not None and gain["p"] <= ALPHA)


def check_pictures(pictures: Mapping[str, Plot], figures: Mapping[str, Any]) -> None:
    if "effects" in pictures:
        (axes, *_) = pictures["effects"].figure.axes
        bars = [to_hex(bar.get_edgecolor()) for bar in axes.patches]
        drawn = sorted(figures["effects"], key=lambda effect: -effect["difference"]["mean"])
        is_significant = [e["p"] is not None and e["p"] <= ALPHA for e in drawn]
        assert bars == [style.COLOURS[1 if significant else 0] for significant in is_significant]
    if "configuration_summary" in pictures and len(figures["best"]) == 1:
        labels = pictures["configuration_summary"].figure.axes[0].get_yticklabels()
        assert labels[0].get_text().partition(" (+")[0] == figures["best"][0]["name"]
    if "winners_by_seed" in pictures:
        labels = pictures["winners_by_seed"].figure.axes[0].get_yticklabels()
        rows = {label.get_text().partition(" (+")[0] for label in labels}
        winners = {name for best in figures["winners"].values() for name in best}
        best = figures["best"][0]
        ties = {best["name"], *(best["not_significantly_worse"] or ())}
        assert winners <= rows
        assert rows == winners | ties or best["not_significantly_worse"] is None
    assert all(picture.caption for picture in pictures.values())
