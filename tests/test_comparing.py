"""`fmgrid compare`: what it prints of two experiments, at any width, and what it refuses."""

import errno
import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from command import Call
from fmgrid.analysis.experiments import ExperimentRuns
from fmgrid.analysis.loading import find_pair, load_study
from fmgrid.analysis.study import Study
from fmgrid.cli import status
from fmgrid.cli.comparing import show_comparison
from fmgrid.cli.finding import find_run
from fmgrid.errors import InputError, StoreError
from fmgrid.experiment import Experiment, Failure
from fmgrid.hypotheses.registry import GridRecord, write_records
from fmgrid.pages.rendering import to_markdown
from fmgrid.reporting import to_document, weigh
from fmgrid.results.store import Store
from made_up_runs import make_run
from made_up_studies import rows, study_of
from unlistable import refuse


def two(
    first: Mapping[int, float], second: Mapping[int, float], **settings: Any
) -> tuple[ExperimentRuns, ExperimentRuns, Study]:
    """Return two experiments with accuracies by seed, of which the second has *settings*."""
    made = study_of([*rows("one", first), *rows("other", second, **(settings or {"epochs": 9}))])
    return made.experiments["one"], made.experiments["other"], made


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def show(pair: Iterable[Any], width: int = 0) -> tuple[str, str]:
        if width:
            monkeypatch.setenv("COLUMNS", str(width))
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        show_comparison(*pair, json=False)
        printed = capsys.readouterr()
        return printed.out, printed.err

    return show


def test_means_are_those_of_the_seeds_that_both_have(shown: Any) -> None:
    # Over all of its seeds the first would be better, over those that both have it is worse.
    lucky = {0: 0.50, 1: 0.51, 2: 0.99, 3: 0.98}
    out, err = shown(two(lucky, {0: 0.60, 1: 0.60, 9: 0.1}))
    assert "accuracy         50.50%  60.00%  +9.50 points" in out
    assert "over 2 seeds (0, 1), paired; 2 of one and 1 of other left out" in err
    assert "differences are other minus one" in err


def test_one_seed_in_common_concludes_nothing_whatever_else_was_run(shown: Any) -> None:
    out, err = shown(two({0: 0.5, 1: 0.6}, {0: 0.7}))
    assert "over 1 seed (0), paired; 1 of one left out" in err
    remedy = "give both the same --seeds, such as 0,1,2,3,4"
    assert err.rstrip().endswith(f"one seed: nothing can be concluded; {remedy}")
    assert "+20.00 points" in out


def test_without_a_seed_in_common_there_are_means_and_no_difference(shown: Any) -> None:
    out, err = shown(two({0: 0.5, 1: 0.6}, {2: 0.7}))
    assert "55.00%  70.00%" in out
    assert "points" not in out
    assert err == (
        "they share no seed, and are not compared: means of 2 runs and of 1; "
        "give both the same --seeds, such as 0,1,2,3,4\n"
    )


def test_one_configuration_by_two_names_is_identical_in_every_run(shown: Any) -> None:
    out, err = shown(two({0: 0.5, 1: 0.6}, {0: 0.5, 1: 0.6}, epochs=5))
    assert "the same configuration" in out
    assert "identical in every run" in err


@pytest.mark.parametrize(
    ("settings", "is_confounded"),
    [({"batch_size": 8}, True), ({"epochs": 9}, False), ({"train_steps": 9}, False)],
)
def test_images_seen_confound_what_is_not_time(
    shown: Any, settings: dict[str, Any], is_confounded: bool
) -> None:
    runs = [*rows("one", [0.5]), *rows("other", [0.6], **settings)]
    made = study_of(one | {"images_seen": 500 if one["name"] == "one" else 4000} for one in runs)
    _, err = shown([*made.experiments.values(), made])
    assert ("confounded with the amount of data: 500 and 4,000 images seen" in err) is is_confounded


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_no_figure_is_cut_on_a_narrow_terminal(shown: Any, width: int) -> None:
    first, second = {0: 0.5012, 1: 0.6023}, {0: 0.7034, 1: 0.7145}
    wide, _ = shown(two(first, second))
    narrow, _ = shown(two(first, second), width)
    figures = [word for word in wide.split() if any(letter.isdigit() for letter in word)]
    assert all(figure in narrow for figure in figures)


def test_json_has_the_seeds_and_no_p_value_of_a_single_difference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_comparison(*two({0: 0.5, 1: 0.6}, {0: 0.7}), json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["seeds"] == [0]
    accuracy = answer["metrics"]["accuracy"]
    assert accuracy["difference"]["p"] is None
    assert accuracy["first"]["mean"] == 0.5


def save(folder: Path, name: str, **settings: Any) -> None:
    run = make_run(Experiment(name=name, **settings))
    store = Store(folder)
    store.begin(run.experiment.run_name)
    store.log_file(run.experiment.run_name).write_text("")
    store.save(run)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with runs of two experiments at two seeds."""
    for name, epochs in (("few", 1), ("more", 2)):
        for seed in (0, 1):
            save(tmp_path / "logs", name, seed=seed, epochs=epochs)
    return tmp_path / "logs"


def test_a_name_is_an_experiment_and_with_its_seed_a_run(logs: Path) -> None:
    *found, _ = find_pair(["few", "more_s0"], logs)
    assert [list(one.runs) for one in found] == [[0, 1], [0]]
    *found, _ = find_pair([str(logs / "few_s1"), str(logs / "more")], Path("nowhere"))
    assert [list(one.runs) for one in found] == [[1], [0, 1]]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("few", "few"), "fmgrid compare few few: both are the same runs"),
        (("few_s1", "few_s1"), "both are the same runs"),
        (("few", "few_s0"), "fmgrid compare few few_s0: both are the same runs, or one is a part"),
        (("logs/few_s1", "logs/../logs/few"), "one is a part of the other"),
        (("few", "mroe"), "no complete run or experiment in logs; did you mean more?"),
        (("few", "zzz"), "no complete run or experiment in logs; there are few, more"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    logs: Path, names: tuple[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(logs.parent)
    with pytest.raises(InputError) as raised:
        find_pair(names, Path("logs"))
    assert told in str(raised.value)


def test_a_failed_experiment_is_said_to_have_failed(tmp_path: Path) -> None:
    save(tmp_path, "good")
    experiment = Experiment(name="bad", epochs=2)
    failure = Failure(message="ValueError: boom")
    store = Store(tmp_path)
    store.begin("bad")
    store.save(make_run(experiment, status="failed", history=(), failure=failure))
    with pytest.raises(InputError, match="1 run failed, and fmgrid show bad says why"):
        find_pair(["bad", "good"], tmp_path)


def test_a_name_too_long_for_a_folder_is_no_run(logs: Path) -> None:
    with pytest.raises(InputError, match="no such run in"):
        find_run("x" * 5_000, logs)


def test_a_hint_names_a_handful(tmp_path: Path) -> None:
    for number in range(20):
        save(tmp_path, f"e{number}")
    with pytest.raises(InputError) as raised:
        find_pair(["zzz", "e1"], tmp_path)
    assert str(raised.value).endswith("there are e0, e1, e2, e3, e4, e5 and 14 more")


@pytest.mark.parametrize("names", [("/", "/"), ("/usr", "/etc"), ("few", "/.."), ("//", "few")])
def test_the_root_of_the_disk_is_no_log_folder(logs: Path, names: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="is no run: a log folder lies deeper"):
        find_pair(names, logs)


def test_the_folder_of_a_run_is_found_by_any_path_to_it(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logs.parent / "link").symlink_to(logs / "few_s1")
    monkeypatch.chdir(logs / "more_s1")
    for path in (".", "../more_s1", str(logs / "few" / ".." / "more_s1")):
        (one, other, _) = find_pair([path, str(logs.parent / "link")], Path("nowhere"))
        assert [list(found.runs) for found in (one, other)] == [[1], [1]]


def test_a_run_that_cannot_be_read_is_named_in_a_comparison(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(logs / "few_s1", errno.EACCES, monkeypatch)
    warnings: list[str] = []
    *found, _ = find_pair(["few", "more"], logs, warnings.append)
    assert [list(one.runs) for one in found] == [[0], [0, 1]]
    assert f"{logs}/few_s1: cannot be listed: Permission denied" in warnings[0]


# Single runs


def test_a_run_behind_a_link_is_shown(logs: Path) -> None:
    (logs.parent / "link").symlink_to(logs / "few_s1")
    (logs / "inner").symlink_to(logs / "few_s1")
    for name in (str(logs.parent / "link"), "inner"):
        assert find_run(name, logs).experiment.run_name == "few_s1"


def test_a_run_is_shown_by_the_names_that_compare_takes(logs: Path) -> None:
    save(logs, "late", seed=4)
    for name in ("few", "few_s0", "few_s1", str(logs / "more_s0"), "late", "late_s4"):
        (compared,) = find_pair([name, "more_s1"], logs)[:1]
        run = find_run(name, logs)
        assert (run.experiment.run_name, run.experiment.seed) in {
            (stored.run, seed) for seed, stored in compared.runs.items()
        }
    for name, seed in (("few", 0), ("few_s0", 0), ("late", 4)):
        assert find_run(name, logs).experiment.seed == seed


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fwe", "fmgrid show fwe: no such run in logs; did you mean few?"),
        ("few_s3", "no such run in logs; did you mean few_s1?"),
        ("zzz", "no such run in logs; there are few, late, more"),
        ("late", "fmgrid show late: means 2 runs; name one of them: late_s4, late_s5"),
        ("late_s0", "no such run in logs; did you mean late_s5?"),
        ("begun", "fmgrid show begun: is not finished; fmgrid status logs names it"),
    ],
)
def test_a_run_that_is_none_is_named_with_what_was_probably_meant(
    name: str, told: str, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (4, 5):
        save(logs, "late", seed=seed)
    Store(logs).begin("begun")
    monkeypatch.chdir(logs.parent)
    with pytest.raises(InputError) as raised:
        find_run(name, Path("logs"))
    assert told in str(raised.value)


def test_the_run_of_a_log_folder_below_is_shown(logs: Path) -> None:
    shutil.copytree(logs, logs.parent / "above" / "a")
    assert find_run("few_s0", logs.parent / "above").experiment.run_name == "few"


def test_diff_is_compare(logs: Path, call: Call) -> None:
    compared = call("compare", "few", "more", "--logdir", logs)
    assert compared[0] == 0
    assert call("diff", "few", "more", "--logdir", logs) == compared


def test_a_run_that_cannot_be_read_is_said_to_be_so(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logs / "few_s1" / "few_s1_results.toml").unlink()
    refuse(logs / "few_s1", errno.EACCES, monkeypatch)
    with pytest.raises(StoreError, match="few_s1: Permission denied"):
        find_run("few_s1", logs)


def test_where_no_run_can_be_read_the_reason_is_told(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    for folder in logs.iterdir():
        refuse(folder, errno.EACCES, monkeypatch)
    with pytest.raises(InputError, match="has no run that can be read: 4 warnings above"):
        load_study(logs, warn=warnings.append)
    assert "\n".join(warnings).count("cannot be listed: Permission denied") == 4


def test_a_folder_above_two_log_folders_loses_no_run_in_silence(logs: Path) -> None:
    above = logs.parent / "above"
    for name in ("a", "b"):
        shutil.copytree(logs, above / name)
        write_records(above / name, [GridRecord(path="g.toml", names=("few", "more"))])
    study = load_study(above)
    evidence = weigh(study)
    page = to_markdown(to_document(evidence, (), above, "fmgrid report"))
    assert [group.title for group in study.groups] == ["g"]
    assert all(len(one.runs[0].history) == one.settings["epochs"] for one in study.scored.values())
    assert "counted once: b/few, b/few_s1, b/more, b/more_s1" in page
    assert "Nothing: every run" not in page


def test_a_run_that_goes_on_in_a_log_folder_below_is_said_to_run(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(logs).begin("new")
    Store(logs.parent / "idle").begin("old")
    with Store(logs).locked():
        status(logs.parent, json=False)
    states = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert (states["running"], states["interrupted"]) == ("logs/new", "idle/old")
