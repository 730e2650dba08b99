"""Logs of plain mltrainer as a study: repeats, names, attributes as axes, further metrics."""

import csv
import json
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

import fmgrid
from command import Call
from fmgrid.analysis.effects import find_nested
from fmgrid.analysis.evidence import weigh
from fmgrid.analysis.loading import load_study
from fmgrid.analysis.statistics import Figures, compare, difference, mean_of, noise_of
from fmgrid.analysis.study import Study
from fmgrid.experiment import Experiment, typed
from fmgrid.metrics import METRICS, RANKABLE, find_metric, metric_of
from fmgrid.reporting.phrases import MINUS
from fmgrid.results.mltrainer_logs import LoggedRun, read_mltrainer_folder
from fmgrid.results.repeats import to_experiments
from fmgrid.results.store import Store
from fmgrid.results.summary import read_runs
from made_up_runs import make_run
from made_up_studies import rows, study_of
from test_tensorboard import to_record, to_scalar, write_records

pytestmark = pytest.mark.usefixtures("elsewhere")

LOGS = Path("modellogs")
LAYERS = """
[model.conv]
training = true
in_channels = 1
out_channels = {filters}
[model.drop]
training = true
p = {dropout}
[model.out]
training = true
in_features = {inputs}
out_features = 10
"""


def save(
    folder: str,
    network: str = "",
    values: Mapping[str, Sequence[float]] = {"metric/Accuracy": (0.5, 0.6)},
    settings: str = "epochs = 2",
    started: float = 1e9,
) -> Path:
    """Leave what plain mltrainer does: these values of metrics after each epoch."""
    path = LOGS / folder
    path.mkdir(parents=True)
    tags = {
        "Loss/train": (0.6, 0.5),
        "Loss/test": (0.7, 0.6),
        **values,
        "learning_rate": (0.1, 0.1),
    }
    epochs = [
        to_record(
            *(to_scalar(tag, points[epoch]) for tag, points in tags.items()),
            step=epoch,
            wall_time=started + epoch,
        )
        for epoch in range(2)
    ]
    write_records(path / "events.out.tfevents.1.host", to_record(wall_time=started), *epochs)
    (path / "settings.toml").write_text(f"[model]\n{settings}\n[types]\n")
    (path / "model.toml").write_text(f"[model]\ntraining = true\n{network}\n[types]\n")
    return path


def save_repeats(accuracies: Mapping[str, Sequence[float]], **further: Sequence[float]) -> None:
    """Save a run for each accuracy, by the lines of its network; all folders are time stamps."""
    stamp = 0
    for network, values in accuracies.items():
        for number, accuracy in enumerate(values):
            metrics = {"metric/Accuracy": (0.1, accuracy)}
            metrics |= {f"metric/{name}": (0.1, points[number]) for name, points in further.items()}
            save(f"20260101-12{stamp:04}", network, metrics, started=1e9 + 60 * stamp)
            stamp += 1


def list_names(call: Call, *words: str) -> list[str]:
    code, out, _ = call("list", "--columns", "name", *words)
    assert code == 0
    return out.splitlines()[1:]


def test_the_example_of_the_docs_is_what_list_prints(call: Call) -> None:
    page = (Path(__file__).parents[1] / "docs" / "tables.md").read_text()
    example = re.search(r"plain mltrainer's logs -->\n```console\n\$ fmgrid (.*)\n([^`]*)```", page)
    assert example
    noise = (0.01, -0.04, 0.02)
    for filters, dropout, repeat in product((16, 32), (0.1, 0.3), range(3)):
        accuracy = 0.75 + filters / 1000 - dropout / 20 + dropout * noise[repeat]
        save(
            f"20260101-12{filters}{int(10 * dropout)}{repeat}",
            f"filters = {filters}\ndropout = {dropout}",
            {
                "metric/Accuracy": (0.5, accuracy),
                "metric/F1": (0.5, accuracy - noise[-repeat] / filters),
            },
        )
    _, out, err = call(*example[1].split())
    assert out + err == example[2]


# Repeats and their names


def test_folders_of_the_same_settings_are_repeats_of_one_experiment(call: Call) -> None:
    save_repeats(
        {"filters = 8\ndropout = 0.1": (0.7, 0.8, 0.9), "filters = 8\ndropout = 0.4": (0.5,)}
    )
    code, out, _ = call("list", "--csv", "--columns", "n,accuracy,network.dropout")
    assert code == 0
    repeated, single = csv.DictReader(out.splitlines())
    assert (repeated["name"], repeated["n"]) == ("dropout_0.1", "3")
    assert float(repeated["accuracy_mean"]) == pytest.approx(0.8)
    assert float(repeated["accuracy_low"]) < 0.7
    assert float(repeated["accuracy_high"]) > 0.9
    assert (single["name"], single["n"], single["accuracy_low"]) == ("dropout_0.4", "1", "")


def test_wherever_their_folders_lie_they_are_repeats(call: Call) -> None:
    for number in range(3):
        for dropout in (0.1, 0.2):
            accuracy = (0.5, 0.5 + number / 10)
            save(
                f"machine{number}/{dropout}", f"dropout = {dropout}", {"metric/Accuracy": accuracy}
            )
    assert list_names(call) == ["dropout_0.1", "dropout_0.2"]


def test_a_folder_that_holds_whole_experiments_is_a_part_of_their_names(call: Call) -> None:
    for filters in (4, 8):
        save(f"cnn/2026-{filters}", f"filters = {filters}")
        save(f"mlp/2026-{filters}", f"units1 = {filters}\nunits2 = 5")
    assert list_names(call) == [
        *("cnn_filters_4", "cnn_filters_8"),
        *("mlp_hidden_units_4_5", "mlp_hidden_units_8_5"),
    ]
    groups = {group.title: [axis.name for axis in group.axes] for group in load_study(LOGS).groups}
    assert groups == {"cnn/": ["network.filters"], "mlp/": ["units1"]}


def test_networks_with_other_attributes_are_groups_although_they_share_a_folder(call: Call) -> None:
    for size in (4, 8):
        save(f"2026-cnn{size}", f"channels = 1\nfilters = {size}")
        save(f"2026-mlp{size}", f"units1 = {size}\nunits2 = 5")
    save("2026-alone", "channels = 1\ncells = 3")
    assert {*list_names(call)} == {
        *("filters_4", "filters_8", "hidden_units_4_5", "hidden_units_8_5"),
        "channels_1_cells_3",
    }
    groups = {group.title: [axis.name for axis in group.axes] for group in load_study(LOGS).groups}
    assert groups == {
        "networks with filters, channels": ["network.filters"],
        "networks with hidden_units": ["units1"],
        "plain mltrainer": [],
    }


def test_repeats_are_called_by_their_folder_where_nothing_differs(call: Call) -> None:
    for number in range(2):
        save(f"deep/cnn/2026-{number}", values={"metric/Accuracy": (0.1, number / 2)})
    assert list_names(call) == ["deep_cnn"]


def test_the_only_run_keeps_the_name_of_its_folder(call: Call) -> None:
    save("first/20260101-120000", "filters = 8")
    assert list_names(call) == ["first/20260101-120000"]


def test_runs_of_unknown_settings_are_no_repeats(call: Call) -> None:
    for number in range(3):
        path = save(f"2026-{number}", values={"metric/Accuracy": (0.1, number / 4)})
        (path / "model.toml").unlink()
    assert sorted(list_names(call)) == ["2026-0", "2026-1", "2026-2"]


def test_no_name_is_that_of_an_experiment_of_fmgrids() -> None:
    Store(LOGS).begin("dropout_0.1")
    Store(LOGS).save(make_run(Experiment(name="dropout_0.1")))
    for dropout in (0.1, 0.2):
        save(f"2026-{dropout}", f"dropout = {dropout}")
    study = load_study(LOGS)
    assert [*study.experiments] == ["dropout_0.1", "dropout_0.1_2", "dropout_0.2"]
    assert study.experiments["dropout_0.1"].has_seeds


def test_runs_of_the_same_bits_as_copies_and_runs_of_one_seed_are_counted_once(call: Call) -> None:
    save("2026-1", values={"metric/Accuracy": (0.1, 0.5)}, started=1e9)
    save("2026-2", values={"metric/Accuracy": (0.1, 0.6)}, started=2e9)
    save("2026-3", values={"metric/Accuracy": (0.1, 0.5)}, started=3e9)
    shutil.copytree(LOGS / "2026-1", LOGS / "backup")
    code, out, err = call("list", "--json")
    assert code == 0
    (experiment,) = json.loads(out)["experiments"]
    assert experiment["n"] == 2
    assert "so of the same seed, and counted once: 2026-3, backup" in err


@pytest.mark.parametrize(
    ("settings", "axis"),
    [
        ("valid_steps = {}", "trainer.valid_steps"),
        ("[model.scheduler_kwargs]\npatience = {}", "trainer.scheduler_kwargs.patience"),
        ("[model.optimizer_kwargs]\nmomentum = 0.{}", "optimizer_args.momentum"),
    ],
)
def test_what_mltrainer_was_told_otherwise_makes_no_repeats(settings: str, axis: str) -> None:
    for value in (1, 2):
        save(f"2026-{value}", settings=f"epochs = 2\n{settings.format(value)}")
    study = load_study(LOGS)
    assert [each.name for each in study.groups[0].axes] == [axis]
    assert len(study.experiments) == 2


@given(
    runs=st.dictionaries(
        st.sampled_from([f"{parent}/{number}" for parent in "ab" for number in range(6)]),
        st.dictionaries(
            st.sampled_from(["network.a", "network.b.a", "epochs"]),
            st.sampled_from([1, 1.0, True, "x y", "é", [1, 2]]),
        ),
    ),
    known=st.booleans(),
)
def test_experiments_have_names_of_their_own_and_each_one_setting(
    runs: dict[str, dict[str, Any]], known: bool
) -> None:
    logged = {folder: LoggedRun(values, has_settings=known) for folder, values in runs.items()}
    experiments = to_experiments(logged, taken={"a", "a_1"})
    assert experiments.keys() == runs.keys()
    by_name: dict[str, set[Any]] = {}
    for name, settings in experiments.values():
        by_name.setdefault(name, set()).add(typed(settings))
        assert name
        assert known or name in runs
    assert all(len(settings) == 1 for settings in by_name.values())
    if known:
        assert len(by_name) == len({typed(values) for values in runs.values()})


# Attributes


def test_attributes_are_columns_and_conditions_by_path_and_by_word(call: Call) -> None:
    for filters in (4, 8):
        for dropout in (0.1, 0.4):
            save(f"2026-{filters}-{dropout}", f"filters = {filters}\ndropout = {dropout}")
    assert list_names(call, "--where", "network.filters = 4") == list_names(
        call, "--where", "filters = 4 and dropout in [0.1, 0.4]"
    )
    _, out, _ = call("list", "--columns", "filters", "--sort", "network.dropout")
    assert out.splitlines()[0].split() == ["experiment", "network.filters"]
    assert list_names(call, "--where", "filters > 4 and network.dropout <= 0.1") == [
        "filters_8_dropout_0.1"
    ]
    assert len(list_names(call, "--where", "dropout < filters")) == 4
    _, _, err = call("list", "--where", "filters = 5")
    assert "no experiment has network.filters = 5; there are 4, 8" in err
    _, _, err = call("list", "--columns", "network.filter")
    assert "did you mean network.filters?" in err
    _, out, _ = call("compare", "filters_4_dropout_0.1", "filters_8_dropout_0.1")
    assert out.splitlines()[1].split() == ["network.filters", "4", "8"]


def test_attributes_within_tables_have_paths(call: Call) -> None:
    for size in (16, 32):
        lines = f"[model.config]\nhidden_size = {size}\n[model.config.head]\nunits = [{size}, 5]"
        save(f"2026-{size}", lines)
    (group,) = load_study(LOGS).groups
    assert [axis.name for axis in group.axes] == [
        *("network.config.hidden_size", "network.config.head.units"),
    ]
    _, out, _ = call("list", "--where", "network.config.head.units = [16, 5]", "--columns", "n")
    assert out.splitlines()[1].split() == ["config.hidden_size_16_config.head.units_16_5", "1"]


def test_a_dataclass_is_read_as_its_fields() -> None:
    path = save("run", 'config = "ModelConfig(input_size=3, hidden_size=16, dropout=0.2)"')
    settings = read_mltrainer_folder(path).settings
    assert {name: settings[name] for name in settings if name.startswith("network.")} == {
        "network.config.input_size": 3,
        "network.config.hidden_size": 16,
        "network.config.dropout": 0.2,
    }


@pytest.mark.parametrize(
    "text", ["Config(a=open('x'))", "f(3)", "Config(a=", "Config(a=x)", "C(" + "(" * 9000 + ")"]
)
def test_what_only_looks_like_a_dataclass_is_text(text: str) -> None:
    settings = read_mltrainer_folder(save("run", f'config = "{text}"')).settings
    assert settings.get("network.config", text) == text


def test_attributes_of_layers_are_axes_where_the_network_has_none(call: Call) -> None:
    for filters in (4, 8):
        for dropout in (0.1, 0.4):
            lines = LAYERS.format(filters=filters, dropout=dropout, inputs=filters * 784)
            save(f"2026-{filters}-{dropout}", lines)
    (group,) = load_study(LOGS).groups
    # What follows from another attribute, such as the inputs of the last layer, is none.
    assert [axis.name for axis in group.axes] == ["network.conv.out_channels", "network.drop.p"]
    assert list_names(call)[0] == "conv.out_channels_4_drop.p_0.1"


def test_layers_tell_networks_apart_whose_own_attributes_are_alike() -> None:
    for dropout in (0.1, 0.4):
        lines = LAYERS.format(filters=8, dropout=dropout, inputs=10)
        save(f"2026-{dropout}", f"filters = 8\n{lines}")
    study = load_study(LOGS)
    assert [axis.name for axis in study.groups[0].axes] == ["network.drop.p"]
    assert [*study.experiments] == ["drop.p_0.1", "drop.p_0.4"]


# Further metrics


def test_further_metrics_are_columns_of_every_table(call: Call) -> None:
    save("a", values={"metric/F1": (0.25, 0.5), "metric/Accuracy": (0.5, 0.6)})
    save("b", "filters = 3")
    names = {"-o": "runs.csv", "--history": "epochs.csv", "--by-experiment": "means.csv"}
    assert call("summarize", *[word for pair in names.items() for word in pair])[0] == 0
    tables = [[*csv.DictReader(Path(name).read_text().splitlines())] for name in names.values()]
    runs, epochs, means = tables
    assert [row["metric.F1"] for row in runs] == ["0.5", ""]
    assert [row["metric.F1"] for row in epochs] == ["0.25", "0.5", "", ""]
    assert {row["name"]: row["metric.F1_mean"] for row in means} == {
        "mltrainer": "0.5",
        "filters_3": "",
    }
    for table in tables:
        *_, last = table[0]
        assert last.startswith("metric.F1")
    history = fmgrid.history(LOGS)
    assert history["metric.F1"].tolist()[:2] == [0.25, 0.5]
    assert history.columns.is_unique


def test_experiments_are_ranked_by_a_further_metric(call: Call) -> None:
    save_repeats(
        {"filters = 4": (0.9, 0.9), "filters = 8": (0.1, 0.1)}, F1=(0.25, 0.25), loss2=(0.5, 0.75)
    )
    save("2026-best", "filters = 16", {"metric/F1": (0.5, 0.5), "metric/loss2": (1.0, 1.0)})
    by_f1 = ["filters_16", "filters_4", "filters_8"]
    assert list_names(call, "--metric", "F1") == by_f1
    assert list_names(call, "--sort", "metric.F1:max") == by_f1
    assert list_names(call, "--metric", "loss2") == ["filters_4", "filters_8", "filters_16"]
    assert list_names(call, "--metric", "loss2:max")[0] == "filters_16"
    _, out, _ = call("list", "--metric", "F1", "--columns", "F1,n")
    assert out.splitlines()[0].split() == ["experiment", "F1", "±95%", "n"]
    code, out, _ = call("report", "--metric", "F1", "--json")
    assert code == 0
    figures = json.loads(out)
    assert figures["metric"] == "metric.F1"
    assert figures["best"][0]["name"] == "filters_16"
    text = Path("report/report.md").read_text()
    assert (
        "**Ranked by** `F1`: more is better, to judge by its name; else `--metric F1:min`" in text
    )
    assert "visualizations/metric_curves.png" in text
    assert "![All experiments by F1]" in text
    assert "![F1 by network.filters]" in text
    assert "of accuracy" not in text
    assert "--metric F1" in text.split("How to reproduce this")[-1]
    assert fmgrid.report(LOGS, metric="F1:min").to_json()["best"][0]["name"] != "filters_16"


def test_a_metric_that_is_none_is_answered(call: Call) -> None:
    save("a", values={"metric/F1": (0.25, 0.5)})
    code, _, err = call("report", "--metric", "f1_")
    assert code == 2
    assert "--metric f1_: no such metric; did you mean F1?" in err
    code, _, err = call("report", "--metric", "test_accuracy")
    assert (code, "no complete run has it" in err) == (2, True)


@pytest.mark.parametrize(
    "name",
    [
        *("loss", "MAE", "mse", "RMSE", "valRMSE", "log_loss", "error_rate"),
        *("MeanAbsoluteError", "MAPE", "perplexity"),
    ],
)
def test_of_losses_and_errors_less_is_better(name: str) -> None:
    assert metric_of(f"metric.{name}").is_higher_better is False


@pytest.mark.parametrize(
    "name", ["F1", "Precision", "recall", "AUC", "R2", "top5", "terrible_blossom", "mIoU"]
)
def test_of_every_other_metric_more_is_better(name: str) -> None:
    assert metric_of(f"metric.{name}").is_higher_better is True


def test_the_user_chooses_a_direction_that_the_name_does_not_say() -> None:
    assert metric_of("metric.F1:min").is_higher_better is False
    assert metric_of("metric.loss:max").is_higher_better is True
    assert metric_of("metric.loss:max").name == "metric.loss"
    assert find_metric("F1:min", ["metric.F1"]) == "metric.F1:min"
    assert find_metric("F2", ["metric.F1"]) is None
    assert [find_metric(name, []) for name in RANKABLE] == [*RANKABLE]
    assert [metric_of(name) for name in METRICS] == [*METRICS.values()]


def test_a_function_as_a_metric_is_called_by_its_name() -> None:
    tags = [
        "<function f1 at 0x7f00>",
        "<my.module.Recall object at 0x7f01>",
        "plain name",
        "x" * 99,
    ]
    path = save("run", values={f"metric/{tag}": (0.1, 0.2) for tag in tags})
    last = read_mltrainer_folder(path).history[-1]
    assert [*last.further] == ["metric.f1", "metric.Recall", "metric.plain name"]


# Statistics without seeds


def unseeded(study: Study, *names: str, metric: str = "accuracy") -> list[Figures]:
    return [study.experiments[name].figures(metric) for name in names]


def test_repeats_without_seeds_are_compared_by_welchs_test() -> None:
    first, second = [0.7, 0.75, 0.9, 0.85], [0.5, 0.45, 0.55]
    pair = [Figures({}, {key: 1.0}, {key: values}) for key, values in (("a", first), ("b", second))]
    lead = compare(*pair)
    expected = ttest_ind(first, second, equal_var=False)
    assert lead is not None
    assert not lead.is_paired
    assert lead.n == 3
    assert lead.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (lead.low, lead.high) == (pytest.approx(low), pytest.approx(high))
    assert lead.turned.p_above(0.0) == pytest.approx(1 - lead.p_above(0.0))
    assert lead.p_ranks is None


@given(st.permutations([0.5, 0.6, 0.75, 0.9]), st.permutations([0.55, 0.5, 0.7]))
def test_the_order_of_repeats_without_seeds_changes_nothing(
    first: list[float], second: list[float]
) -> None:
    pair = [Figures({}, {key: 1.0}, {key: values}) for key, values in (("a", first), ("b", second))]
    lead = compare(*pair)
    assert lead is not None
    assert lead.p == pytest.approx(0.121, abs=0.3)
    straight = compare(
        Figures({}, {"a": 1.0}, {"a": sorted(first)}),
        Figures({}, {"b": 1.0}, {"b": sorted(second)}),
    )
    assert straight is not None
    assert lead.p == pytest.approx(straight.p)


def test_a_mean_of_repeats_has_the_variance_of_its_parts() -> None:
    parts = [Figures({}, {key: 1.0}, {key: [0.0, 1.0]}) for key in "abcd"]
    alone, together = difference(parts[0]), difference(mean_of(parts))
    assert together.error == pytest.approx(alone.error / 2)
    assert together.degrees == pytest.approx(4)


def test_runs_with_seeds_and_runs_without_are_not_compared() -> None:
    seeded = Figures({0: 0.5, 1: 0.6}, {"a": 1.0})
    other = Figures({}, {"b": 1.0}, {"b": [0.1, 0.2]})
    assert compare(seeded, other) is None
    assert not mean_of([seeded, other]).is_known


def test_one_run_without_a_seed_decides_nothing() -> None:
    one, many = (
        Figures({}, {"a": 1.0}, {"a": [0.9]}),
        Figures({}, {"b": 1.0}, {"b": [0.1, 0.1, 0.2]}),
    )
    lead = compare(one, many)
    assert lead is not None
    assert (lead.n, lead.sd, lead.p) == (1, None, 1.0)


def test_false_findings_without_seeds_are_as_rare_as_promised() -> None:
    generator = random.Random(0)
    trials, findings = 400, 0
    for _ in range(trials):
        runs = [[generator.gauss(0, 1) for _ in range(3)] for _ in range(6)]
        keyed = ({-1 - 3 * part - k: x for k, x in enumerate(of)} for part, of in enumerate(runs))
        noise = noise_of(keyed)
        first, second = (Figures({}, {part: 1.0}, {part: runs[part]}) for part in (0, 1))
        lead = compare(first, second, noise)
        assert lead is not None
        findings += lead.p <= 0.05
    assert findings / trials < 0.075


def test_no_two_runs_without_seeds_share_a_key() -> None:
    save_repeats({"filters = 4": (0.7, 0.8), "filters = 8": (0.5, 0.6)})
    study = load_study(LOGS)
    keys = [key for experiment in study.experiments.values() for key in experiment.runs]
    assert len({*keys}) == 4
    assert max(keys) < 0
    assert study.seeds == []
    assert weigh(study).winners is None


def test_compare_says_that_runs_without_seeds_are_not_paired(call: Call) -> None:
    save_repeats({"filters = 4": (0.7, 0.71, 0.72), "filters = 8": (0.5, 0.51, 0.52)})
    save("2026-single", "filters = 16")
    code, out, err = call("compare", "filters_4", "filters_8")
    assert code == 0
    accuracy = next(line for line in out.splitlines() if line.startswith("accuracy"))
    assert re.search(rf"{MINUS}20\.00 points +\[{MINUS}\d.*\] +<0\.001", accuracy)
    assert "means of 3 runs and of 3, not paired, as their seeds are not known" in err
    _, out, err = call("compare", "filters_4", "filters_16")
    assert "a single run: nothing can be concluded" in err
    shown = repr(fmgrid.compare("filters_4", "filters_8", logdir=LOGS))
    assert shown.startswith("filters_4 and filters_8, not paired: unknown seeds")
    _, out, _ = call("compare", "filters_4", "filters_8", "--json")
    assert json.loads(out)["metrics"]["accuracy"]["difference"]["is_paired"] is False


def test_a_report_finds_the_settings_that_matter_without_seeds(call: Call) -> None:
    cells = {(4, 0.1): 0.7, (4, 0.4): 0.6, (8, 0.1): 0.8, (8, 0.4): 0.7}
    save_repeats(
        {
            f"filters = {filters}\ndropout = {dropout}": [mean, mean + 0.01, mean + 0.02]
            for (filters, dropout), mean in cells.items()
        }
    )
    assert call("report")[0] == 0
    text = Path("report/report.md").read_text()
    assert "**Settings that matter**: `network.filters` (10.0 points), `network.dropout`" in text
    assert "The seeds of plain mltrainer's runs are not known" in text
    assert "It logs no seed, batch size, optimizer or data" in text
    for untrue in ("paired by seed", "another seed", "over 3 seeds", "--seeds", "the same bits"):
        assert untrue not in text


def test_a_report_keeps_logs_of_mltrainer_and_of_fmgrid_apart(call: Call) -> None:
    save_repeats({"filters = 4": (0.7, 0.71), "filters = 8": (0.5, 0.51)})
    for rate, seed in product((0.1, 0.2), (0, 1)):
        run = make_run(Experiment(name=f"lr_{rate}", learning_rate=rate, seed=seed))
        Store(LOGS).begin(run.experiment.run_name)
        Store(LOGS).save(run)
    groups = {group.title: [axis.name for axis in group.axes] for group in load_study(LOGS).groups}
    assert groups == {"other runs": ["learning_rate"], "plain mltrainer": ["network.filters"]}
    assert call("report")[0] == 0
    text = Path("report/report.md").read_text()
    for true in ("paired by seed", "Welch", "share: 2.", "plain mltrainer: 2 or more"):
        assert true in text


def test_runs_of_mltrainer_that_differ_in_epochs_are_no_snapshots_of_one_training() -> None:
    for epochs in (1, 2):
        save(f"2026-{epochs}", settings=f"epochs = {epochs}")
    assert find_nested(load_study(LOGS).configurations) == []


def test_list_and_summarize_say_that_seeds_are_unknown(call: Call) -> None:
    save_repeats({"filters = 4": (0.7, 0.71), "filters = 8": (0.5, 0.51)})
    for command in ("list", "summarize"):
        _, _, err = call(command)
        assert "4 runs of plain mltrainer, which logs no seed" in err


def test_experiments_with_seeds_are_judged_as_before() -> None:
    study = study_of([*rows("a", [0.8, 0.81, 0.79]), *rows("b", [0.7, 0.71, 0.69], epochs=9)])
    first, second = (study.experiments[name].figures("accuracy") for name in "ab")
    lead = compare(first, second)
    assert lead is not None
    assert (lead.is_paired, lead.n, lead.sd) == (True, 3, pytest.approx(0.0))


# Warnings


def test_there_is_one_warning_for_each_kind() -> None:
    for number in range(5):
        path = save(f"2026-{number}", f"filters = {number}", settings='logdir = "C:\\Users"')
        (events,) = path.glob("events*")
        events.write_bytes(events.read_bytes()[: -3 - number])
        other = LOGS / f"other{number}"
        other.mkdir()
        write_records(other / "events.out.tfevents.2", to_record(to_scalar("ray/tune/loss", 1.0)))
    warnings = read_runs(LOGS).warnings
    assert len(warnings) == 3
    assert all(warning.endswith("(and so in 4 more folders)") for warning in warnings)
    assert "other0: left out: no run of mltrainer's" in " ".join(warnings)
