"""`fmgrid plan` and `fmgrid run` agree: on what is trained, and on what is refused."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from command import QUICK, Call, write
from fmgrid.errors import FmgridError
from fmgrid.execution.refusals import make_checked_agenda
from fmgrid.grid import load_plan
from fmgrid.results.results_file import seal
from fmgrid.results.store import Store
from fmgrid.search import Policy, make_agenda
from loading import load_grids
from made_up_grids import run_made_up

pytestmark = pytest.mark.usefixtures("elsewhere")

WIDE = """name = "w_{hidden_units[0]}_{hidden_units[1]}"
[base]
dataset = "fashion-mnist-sample"
epochs = 5
[grid]
hidden_units.0 = [1, 2]
hidden_units.1 = [1, 2, 3]
"""
STORE = Store(Path("modellogs"))


def train(text: str = WIDE) -> list[str]:
    """Make finished runs of a grid without training; return their names."""
    experiments = [definition.experiment for definition in load_grids([write(text)])]
    run_made_up(experiments, STORE)
    return [experiment.run_name for experiment in experiments]


def damage(name: str) -> None:
    with STORE.results_file(name).open("ab") as file:
        file.write(b"x")


def make_newer(name: str) -> None:
    STORE.results_file(name).write_bytes(seal({"format": 2}))


def make_link(name: str) -> None:
    STORE.folder(name).rename(f"elsewhere_{name}")
    STORE.folder(name).symlink_to(Path(f"elsewhere_{name}").absolute())


def make_file(name: str) -> None:
    STORE.folder(name).rename(f"elsewhere_{name}")
    STORE.folder(name).touch()


def make_foreign(name: str) -> None:
    STORE.results_file(name).unlink()
    (STORE.folder(name) / "events.out.tfevents.1.host").touch()


def remove(name: str) -> None:
    STORE.results_file(name).unlink()


def change(_: str) -> None:
    write(WIDE.replace("epochs = 5", "epochs = 3"))


def refused_by_run(policy: Policy) -> bool:
    try:
        make_checked_agenda(load_plan([Path("grid.toml")]), STORE, policy)
    except FmgridError:
        return True
    return False


def trained_by_run(policy: Policy) -> list[str]:
    experiments = [one.experiment for one in load_grids([Path("grid.toml")])]
    trainings = make_agenda(experiments, STORE, policy).trainings
    return [experiment.run_name for experiment in trainings]


SPOILED = [damage, make_newer, make_link, make_file, make_foreign, remove, change]


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("words", [(), ("--replace",), ("--retry-failed",)], ids=" ".join)
def test_plan_tells_what_run_would_train_and_refuses_what_run_refuses(
    spoil: Callable[[str], None], words: Sequence[str], call: Call
) -> None:
    first, *_ = train()
    spoil(first)
    policy = Policy(set_aside="--replace" in words, retry_failed="--retry-failed" in words)
    commands = [("run", "--dry-run", *words)] if words else [("run", "--dry-run"), ("plan",)]
    for command in commands:
        code, out, _ = call(*command, "grid.toml", "--json")
        told = json.loads(out)
        assert code == (2 if refused_by_run(policy) else 0)
        assert bool(told["refused"]) == refused_by_run(policy)
        trained = trained_by_run(policy)
        assert told["to_train"] == len(trained)
        assert [run["run"] for run in told["runs"] if run["trained"]] == trained
        assert call(*command, "grid.toml")[0] == code


def test_a_damaged_result_is_to_be_trained_in_the_plan(call: Call) -> None:
    first, *_ = train()
    damage(first)
    code, out, told = call("plan", "grid.toml")
    assert code == 0
    assert told.startswith("6 runs, 1 to train")
    (line,) = [line for line in out.splitlines() if "damaged" in line]
    assert line.startswith(first)
    assert line.endswith(" damaged, 0.1 s")


def test_an_experiment_is_one_line_with_the_states_of_its_seeds(call: Call) -> None:
    text = f"seeds = [0, 1, 2]\n{WIDE}".replace("epochs = 5", "epochs = [1, 5]", 1)
    text = text.replace("epochs = [1, 5]\n[grid]", "[grid]\nepochs = [1, 5]").replace(
        "w_", "w{epochs}_"
    )
    train(text)
    for name in ("w5_1_1_s1", "w1_1_1_s1", "w1_1_2", "w5_1_3", "w5_1_3_s1", "w5_1_3_s2"):
        remove(name)
    damage("w5_2_1_s2")
    code, out, told = call("plan", "grid.toml")
    assert code == 0
    assert told.startswith("12 experiments with seeds 0-2: 36 runs, 5 to train, 2 part of another")
    states = {line.split()[0]: line.split(maxsplit=4)[-1] for line in out.splitlines()[1:]}
    assert len(states) == 12
    assert {name: state for name, state in states.items() if state != "complete"} == {
        "w5_1_1": "complete 2 of 3, 0.1 s",
        "w1_1_1": "complete 2 of 3, with w5_1_1",
        "w1_1_2": "complete 2 of 3, with a finished run",
        "w5_1_3": "pending, 0.3 s",
        "w5_2_1": "complete 2 of 3, damaged 1 of 3, 0.1 s",
    }
    runs = json.loads(call("plan", "grid.toml", "--json")[1])["runs"]
    assert [run["run"] for run in runs if run["trained"]] == [
        *("w5_1_1_s1", "w5_1_3", "w5_1_3_s1", "w5_1_3_s2", "w5_2_1_s2")
    ]


def test_seeds_that_differ_stand_in_the_lines(call: Call) -> None:
    seeds = "[[point]]\nname = 'a'\nseeds = [0, 1, 2, 5]\n[[point]]\nname = 'b'\nseeds = [7]\n"
    _, out, told = call("plan", write(QUICK + seeds))
    assert [line.split()[:3] for line in out.splitlines()] == [
        *(["experiment", "seed", "state"], ["a", "0-2,5", "pending,"], ["b", "7", "pending,"])
    ]
    assert told.startswith("5 runs, 5 to train")


def test_a_damaged_result_is_taken_from_the_training_that_has_it(call: Call) -> None:
    train(QUICK + '[[point]]\nname = "a"\n[[point]]\nname = "b"\n')
    damage("b")
    _, out, told = call("plan", "grid.toml")
    assert told == "2 runs, 0 to train, 1 part of another's training\n"
    assert "with a finished run" in out


def test_one_changed_setting_of_many_runs_is_one_mistake_with_its_line(call: Call) -> None:
    train()
    change("")
    problem = (
        "grid.toml:4: epochs: modellogs/w_1_1 is finished with other settings (epochs 5 -> 3); "
        "choose another name or --logdir, or set it aside with --replace; "
        "so for 6 runs: w_1_1, w_1_2, w_1_3 and 3 more\n1 mistake; nothing was done\n"
    )
    assert call("run", "grid.toml")[::2] == (2, problem)
    code, out, told = call("plan", "grid.toml")
    assert (code, out.count("changed")) == (2, 6)
    assert told == (
        f"6 runs, 0 to train\nfmgrid run would refuse this, and train nothing:\n{problem}"
    )


def test_runs_that_are_set_aside_for_one_reason_are_one_warning(call: Call) -> None:
    grid = QUICK + "[grid]\nbatch_size = [8, 16, 32, 64, 128, 256]\n"
    train(grid)
    for name in ("batch_size_8", "batch_size_16"):
        damage(name)
    make_newer("batch_size_32")
    write(grid.replace("steps = 3", "steps = 4"))
    code, _, told = call("run", "grid.toml", "--replace", "-j", "0")
    assert code == 0
    warnings = [line.partition(": ")[2] for line in told.splitlines() if "warning" in line]
    assert [re.sub(r"modellogs/batch.*toml: [^)]*", "...", line) for line in warnings] == [
        "2 runs were damaged and are now in modellogs/.replaced (...): batch_size_8, batch_size_16",
        "batch_size_32 was newer and is now modellogs/.replaced/batch_size_32.1: ...",
        (
            "3 runs were changed and are now in modellogs/.replaced (train_steps 3 -> 4): "
            "batch_size_64, batch_size_128, batch_size_256"
        ),
    ]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("epochs = 5\n", "", "grid.toml: epochs: "),
        ("epochs = 5\n", "epochs = 5\nlearning_rate = 1.0\n", "grid.toml:5: learning_rate: "),
        ("[grid]\n", "[grid]\nbatch_size = 8\n", "grid.toml:6: batch_size: "),
    ],
    ids=["a default", "a setting of all", "a setting of a block"],
)
def test_what_changed_is_named_where_it_is_written(
    old: str, new: str, place: str, call: Call
) -> None:
    train(WIDE.replace("epochs = 5", "epochs = 4") if not new else WIDE)
    write(WIDE.replace(old, new))
    code, _, told = call("run", "grid.toml")
    assert code == 2
    assert told.startswith(f"{place}modellogs/w_1_1 is finished with other settings")
    assert len(told.splitlines()) == 2


def test_different_changes_are_told_apart(call: Call) -> None:
    train(QUICK + '[[point]]\nname = "a"\n[[point]]\nname = "b"\nbatch_size = 8\n')
    write(
        QUICK.replace("epochs = 1", "epochs = 2")
        + '[[point]]\nname = "a"\n[[point]]\nname = "b"\nbatch_size = 9\n'
    )
    code, _, told = call("run", "grid.toml")
    assert code == 2
    with_remedy = "; choose another name or --logdir, or set it aside with --replace\n"
    assert told == (
        f"grid.toml:7: a: modellogs/a is finished with other settings (epochs 1 -> 2){with_remedy}"
        "grid.toml:9: b: modellogs/b is finished with other settings (epochs 1 -> 2, "
        f"batch_size 8 -> 9){with_remedy}2 mistakes; nothing was done\n"
    )


@pytest.mark.parametrize("spoil", [make_newer, make_link, make_foreign, make_file])
def test_many_that_are_refused_for_one_reason_are_one_mistake(
    spoil: Callable[[str], None], call: Call
) -> None:
    for name in train():
        spoil(name)
    code, _, told = call("plan", "grid.toml")
    assert code == 2
    assert "w_1_1, w_1_2, w_1_3 and 3 more" in told
    assert told.endswith("\n1 mistake; nothing was done\n")
    code, _, told = call("run", "grid.toml")
    assert (code, len(told.splitlines())) == ((2, 2) if spoil is make_newer else (3, 1))
    assert told.count("modellogs") == 1


def test_a_place_for_damaged_runs_that_is_none_is_refused_by_plan(call: Call) -> None:
    first, *_ = train()
    damage(first)
    Path("mine").mkdir()
    Path("modellogs/.replaced").symlink_to(Path("mine").absolute())
    code, _, told = call("plan", "grid.toml")
    assert (code, "modellogs/.replaced: is a link" in told) == (2, True)


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_a_log_folder_that_cannot_be_is_refused_by_plan(
    make: Callable[[Path], None], call: Call
) -> None:
    make(Path("logs"))
    code, _, told = call("plan", write(QUICK), "--logdir", "logs")
    assert (code, "--logdir logs: is not a folder" in told) == (2, True)
    assert call("run", "grid.toml", "--logdir", "logs")[0] == 3


@pytest.mark.parametrize("words", [(), ("--retry-failed",)], ids=" ".join)
def test_a_new_name_template_trains_nothing_and_every_command_says_so(
    words: Sequence[str], call: Call
) -> None:
    train()
    write(WIDE.replace("w_", "v_"))
    number = 0 if words else 6
    for command in (("run", "--dry-run", *words), *([] if words else [("plan",)])):
        code, out, told = call(*command, "grid.toml")
        assert (code, out.count("with a finished run")) == (0, number)
        assert told.startswith("6 runs, 0 to train")
    if not words:
        code, _, told = call("run", "grid.toml")
        assert code == 0
        assert told.startswith("6 runs, 0 to train, 6 part of another's training\n")
        shared = STORE.read("v_1_1")
        assert shared is not None
        assert shared.trained_as == "w_1_1"
