import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fmgrid.errors import InputError
from fmgrid.experiment import Experiment
from fmgrid.grid import MAX_RUNS, Definition
from loading import load_grids
from unlistable import refuse

Load = Callable[..., list[Definition]]

CONFIGS = Path(__file__).parent.parent / "configs"

BASELINE = {
    "epochs": 5,
    "train_steps": 100,
    "batch_size": 64,
    "hidden_units": (256, 256),
    "learning_rate": 1e-3,
    "optimizer": "Adam",
    "optimizer_args": {"weight_decay": 1e-5},
}
WIDTHS = (16, 32, 64, 128, 256, 512)
STUDY = {
    "epochs": {f"epochs_{epochs}": {"epochs": epochs} for epochs in (3, 5, 10)},
    "units": {f"units_{a}_{b}": {"hidden_units": (a, b)} for a in WIDTHS for b in WIDTHS},
    "batchsize": {f"batchsize_{size}": {"batch_size": size} for size in (4, 8, 16, 32, 64, 128)},
    "depth": {f"depth_{depth}": {"hidden_units": (256,) * depth} for depth in (1, 2, 3)},
    "learning_rate": {
        "lr_0.01": {"learning_rate": 1e-2},
        "lr_0.005": {"learning_rate": 5e-3},
        "lr_0.001": {"learning_rate": 1e-3},
        "lr_0.0005": {"learning_rate": 5e-4},
        "lr_0.0001": {"learning_rate": 1e-4},
        "lr_1e-05": {"learning_rate": 1e-5},
    },
    "optimizer": {
        f"optimizer_{name}": {"optimizer": name} for name in ("SGD", "Adam", "AdamW", "RMSprop")
    },
    "combined": {
        "combined_config_1": {"epochs": 10, "batch_size": 32, "hidden_units": (512, 256)},
        "combined_config_2": {
            "epochs": 10,
            "hidden_units": (256, 128),
            "learning_rate": 5e-4,
            "optimizer": "AdamW",
        },
        "combined_config_3": {"batch_size": 128, "hidden_units": (128, 64)},
    },
}
THE_SAME = {
    "epochs_5",
    "units_256_256",
    "batchsize_64",
    "depth_2",
    "lr_0.001",
    "optimizer_Adam",
}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a grid file with the given text, called g.toml."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str, **options: object) -> list[Definition]:
        Path("g.toml").write_text(text, encoding="utf-8")
        return load_grids([Path("g.toml")], **options)  # type: ignore[arg-type]

    return load_text


def experiments(definitions: list[Definition]) -> list[Experiment]:
    return [definition.experiment for definition in definitions]


def names(definitions: list[Definition]) -> list[str]:
    return [definition.experiment.run_name for definition in definitions]


def values(definitions: list[Definition], *settings: str) -> list[tuple[object, ...]]:
    return [tuple(getattr(e, name) for name in settings) for e in experiments(definitions)]


def test_the_last_axis_varies_fastest_as_in_nested_loops(load: Load) -> None:
    found = load("[grid]\nepochs = [1, 2]\nbatch_size = [8, 16]\nlearning_rate = [0.1, 0.2]\n")

    assert values(found, "epochs", "batch_size", "learning_rate") == [
        (epochs, size, rate) for epochs in (1, 2) for size in (8, 16) for rate in (0.1, 0.2)
    ]


def test_several_grids_are_a_product_each_and_the_file_is_their_union(load: Load) -> None:
    found = load("[[grid]]\nepochs = [1, 2]\n[[grid]]\nbatch_size = [8, 16, 32]\nepochs = 3\n")

    assert values(found, "epochs", "batch_size") == [(1, 64), (2, 64), (3, 8), (3, 16), (3, 32)]


def test_zipped_axes_are_walked_together_and_a_single_value_goes_with_all(load: Load) -> None:
    found = load("[[zip]]\nepochs = [1, 2, 3]\nbatch_size = [8, 16, 32]\nlearning_rate = 0.5\n")

    assert values(found, "epochs", "batch_size", "learning_rate") == [
        (1, 8, 0.5),
        (2, 16, 0.5),
        (3, 32, 0.5),
    ]


def test_a_point_is_one_experiment_whose_lists_are_values(load: Load) -> None:
    text = "[[point]]\nname = 'wide'\nhidden_units = [512, 512]\n[[point]]\nname = 'narrow'\n"
    found = load(text + "hidden_units = [8]\n")

    assert [(e.name, e.hidden_units) for e in experiments(found)] == [
        ("wide", (512, 512)),
        ("narrow", (8,)),
    ]


def test_all_kinds_of_blocks_come_together_in_one_file(load: Load) -> None:
    found = load(
        "[grid]\nepochs = [1, 2]\n[[zip]]\nbatch_size = [8, 16]\n[[point]]\nname = 'plain'\n"
    )

    assert names(found) == ["epochs_1", "epochs_2", "batch_size_8", "batch_size_16", "plain"]


def test_a_base_alone_is_one_experiment_named_after_its_file(load: Load) -> None:
    [found] = experiments(load("[base]\nepochs = 2\n"))

    assert (found.name, found.epochs) == ("g", 2)


def test_a_list_valued_setting_is_an_axis_as_a_list_of_lists(load: Load) -> None:
    found = load("[grid]\nhidden_units = [[], [16], [16, 8]]\n")

    assert values(found, "name", "hidden_units", "depth") == [
        ("hidden_units_none", (), 0),
        ("hidden_units_16", (16,), 1),
        ("hidden_units_16_8", (16, 8), 2),
    ]


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        pytest.param("epochs = 1", [(2, 8), (2, 16), (3, 8), (3, 16)], id="one value"),
        pytest.param("epochs = [1, 3]", [(2, 8), (2, 16)], id="any of a list"),
        pytest.param(
            "epochs = [1, 3]\nbatch_size = 8",
            [(1, 16), (2, 8), (2, 16), (3, 16)],
            id="all settings of a rule must match",
        ),
        pytest.param(
            "epochs = 1\n[[exclude]]\nbatch_size = 8", [(2, 16), (3, 16)], id="any of two rules"
        ),
        pytest.param("name = 'e?_b16'", [(1, 8), (2, 8), (3, 8)], id="a pattern of names"),
        pytest.param("name = ['e1_*', 'e2_*']", [(3, 8), (3, 16)], id="a list of patterns"),
        pytest.param(
            "epochs = 9",
            [(1, 8), (1, 16), (2, 8), (2, 16), (3, 8), (3, 16)],
            id="a rule may match nothing",
        ),
    ],
)
def test_an_exclusion_drops_what_matches(
    load: Load, rule: str, left: list[tuple[int, int]]
) -> None:
    grid = "name = 'e{epochs}_b{batch_size}'\n[grid]\nepochs = [1, 2, 3]\nbatch_size = [8, 16]\n"

    assert values(load(f"{grid}[[exclude]]\n{rule}\n"), "epochs", "batch_size") == left


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        pytest.param("hidden_units = [16]", [(8, 16), (16, 16)], id="one network"),
        pytest.param("hidden_units = [[16], [8, 16]]", [(16, 16)], id="several networks"),
        pytest.param("hidden_units.0 = 8", [(16,), (16, 16)], id="a layer"),
        pytest.param("hidden_units.1 = 16", [(16,)], id="a layer that not all have"),
        pytest.param("depth = 2", [(16,)], id="the derived depth"),
    ],
)
def test_an_exclusion_reaches_into_networks(
    load: Load, rule: str, left: list[tuple[int, ...]]
) -> None:
    grid = "[grid]\nhidden_units = [[16], [8, 16], [16, 16]]\n"

    found = load(f"{grid}[[exclude]]\n{rule}\n")

    assert [e.hidden_units for e in experiments(found)] == left


def test_an_exclusion_tells_true_from_one(load: Load) -> None:
    text = "[grid]\noptimizer_args.amsgrad = [true, false]\n[[exclude]]\noptimizer_args.amsgrad = "

    assert names(load(text + "true\n")) == ["amsgrad_False"]
    with pytest.raises(InputError, match="1 is not true or false; write true"):
        load(text + "1\n")


def test_an_exclusion_is_judged_by_the_optimizers_that_it_is_about(load: Load) -> None:
    grid = "[grid]\noptimizer = ['Adam', 'Adafactor']\n"
    arguments = "optimizer_args.eps = [1e-8, [1e-30, 1e-3]]\n"
    with pytest.raises(InputError, match="is not a list of 2 numbers"):
        load(grid + arguments)
    rule = "[[exclude]]\noptimizer_args.eps = [[1e-30, 1e-3], [1e-30, 1e-2]]\n"

    assert names(load(grid + rule)) == ["optimizer_Adam", "optimizer_Adafactor"]
    assert names(load(grid + rule, overrides=["optimizer=Adam"])) == ["g"]
    with pytest.raises(InputError, match="is not a number"):
        load(grid + rule + "optimizer = 'Adam'\n")


PLUG_IN = """
from torch import optim
class Mine(optim.SGD):
    def __init__(self, params, lr=0.1, warm=None):
        super().__init__(params, lr)
"""


@pytest.mark.parametrize(
    "axis", ["[1, true]", "[0, 0.0]", "[0, false]", "[[1], [true]]", "[0.0, -0.0]"]
)
def test_values_that_train_differently_are_never_one_run(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axis: str
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    (tmp_path / "plug_in_of_values.py").write_text(PLUG_IN)
    base = '[base]\noptimizer = "plug_in_of_values:Mine"\n'

    with pytest.raises(InputError, match="here with optimizer_args"):
        load(f"name = 'x'\n{base}[grid]\noptimizer_args.warm = {axis}\n")
    found = load(f"{base}[grid]\noptimizer_args.warm = {axis}\n")

    assert len({one.fingerprint for one in experiments(found)}) == 2
    first = axis[1:].partition(",")[0]
    rule = f"[[exclude]]\noptimizer_args.warm = {first}\n"
    if not first.startswith("["):
        assert len(load(f"{base}[grid]\noptimizer_args.warm = {axis}\n{rule}")) == 1


def test_0_and_0_0_are_one_run_where_torch_takes_a_float(load: Load) -> None:
    text = '[base]\noptimizer = "SGD"\n[grid]\noptimizer_args.momentum = [0, 0.0, 0.9]\n'

    one = load(f"name = 'x{{optimizer_args[momentum]:g}}'\n{text}")
    two = load(text)

    assert names(one) == ["x0", "x0.9"]
    assert names(two) == ["momentum_0", "momentum_0.0", "momentum_0.9"]  # as they are written
    assert len({found.prefix_key for found in experiments(two)}) == 2
    rule = "[[exclude]]\noptimizer_args.momentum = 0\n"
    assert names(load(text + rule)) == ["momentum_0.9"]
    assert len(load("[grid]\nlearning_rate = [1, 0.5]\n[[exclude]]\nlearning_rate = 1\n")) == 1


def test_what_is_absent_takes_the_default(load: Load) -> None:
    [found] = experiments(load("[[point]]\nname = 'plain'\n"))

    assert found == Experiment(name="plain")


def test_tables_are_merged_with_those_of_the_base(load: Load) -> None:
    text = "[base]\noptimizer_args = { weight_decay = 0.1, eps = 1e-7 }\n"
    found = load(f"{text}[grid]\noptimizer_args = [{{}}, {{ eps = 1e-6 }}, {{ amsgrad = true }}]\n")

    assert [e.optimizer_args for e in experiments(found)] == [
        {"weight_decay": 0.1, "eps": 1e-7},
        {"weight_decay": 0.1, "eps": 1e-6},
        {"weight_decay": 0.1, "eps": 1e-7, "amsgrad": True},
    ]


def test_everything_but_tables_replaces_what_the_base_says(load: Load) -> None:
    text = "[base]\nhidden_units = [1, 2, 3]\nepochs = 9\n"
    [found] = experiments(load(f"{text}[[point]]\nhidden_units = [4]\nepochs = 1\n"))

    assert (found.hidden_units, found.epochs) == ((4,), 1)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        pytest.param("[grid]\nhidden_units.1 = [8]", (256, 8), id="of the default"),
        pytest.param(
            "[base]\nhidden_units = [1, 2, 3]\n[grid]\nhidden_units.1 = 8",
            (1, 8, 3),
            id="of the base's list",
        ),
        pytest.param(
            "[base]\nhidden_units.0 = 8\n[grid]\nhidden_units.1 = [16]",
            (8, 16),
            id="in the base and in the grid",
        ),
        pytest.param(
            "[base]\nhidden_units.0 = 8\n[grid]\nhidden_units = [[1, 2, 3]]",
            (1, 2, 3),
            id="in the base, overruled by a whole list",
        ),
        pytest.param(
            "base = { hidden_units = { 0 = 8, 1 = 4 } }\n[[point]]", (8, 4), id="as a table"
        ),
    ],
)
def test_a_dotted_key_reaches_one_layer(load: Load, text: str, units: tuple[int, ...]) -> None:
    [found] = experiments(load(f"{text}\n"))

    assert found.hidden_units == units


@pytest.mark.parametrize(
    ("template", "name"),
    [
        pytest.param("e{epochs}_b{batch_size}", "e5_b64", id="settings"),
        pytest.param("depth_{depth}", "depth_2", id="the derived depth"),
        pytest.param("{hidden_units[0]}x{hidden_units[1]}", "256x128", id="layers"),
        pytest.param("u_{hidden_units}", "u_256_128", id="all layers"),
        pytest.param("lr_{learning_rate}", "lr_0.001", id="a learning rate"),
        pytest.param("lr_{learning_rate:.0e}", "lr_1e-03", id="a format"),
        pytest.param("e{epochs:03d}", "e005", id="a width"),
        pytest.param("{optimizer}_{optimizer_args[betas]}", "Adam_0.8_0.9", id="a list"),
        pytest.param("{optimizer_args}", "eps_1e-07_betas_0.8_0.9", id="all arguments"),
        pytest.param("{train_steps}_{validation}_{dataset}", "full_test_fashion-mnist", id="words"),
        pytest.param("plain", "plain", id="no field at all"),
    ],
)
def test_names_are_made_from_settings(load: Load, template: str, name: str) -> None:
    base = "hidden_units = [256, 128]\ntrain_steps = 'full'\n"
    args = "optimizer_args = { eps = 1e-7, betas = [0.8, 0.9] }\n"

    assert names(load(f"name = '{template}'\n[base]\n{base}{args}")) == [name]


def test_a_plug_in_optimizer_is_named_by_its_class(load: Load) -> None:
    found = load("name = 'by_{optimizer}'\n[base]\noptimizer = 'lion_pytorch:Lion'\n")

    assert names(found) == ["by_Lion"]


def test_a_block_may_have_a_name_of_its_own(load: Load) -> None:
    text = "name = 'file_{epochs}'\n[[grid]]\nepochs = [1, 2]\n[[grid]]\nname = 'own_{epochs}'\n"

    assert names(load(f"{text}epochs = [1, 2]\n")) == ["file_1", "file_2", "own_1", "own_2"]


def test_without_a_template_names_tell_what_varies(load: Load) -> None:
    text = "[grid]\nepochs = [1, 2]\nbatch_size = 32\nhidden_units.1 = [8]\n"
    found = load(f"{text}optimizer_args.weight_decay = [0, 0.1]\n")

    assert names(found) == [
        "epochs_1_weight_decay_0",
        "epochs_1_weight_decay_0.1",
        "epochs_2_weight_decay_0",
        "epochs_2_weight_decay_0.1",
    ]


def test_a_file_name_is_no_template(tmp_path: Path) -> None:
    file = tmp_path / "{epochs.__class__}.toml"
    file.write_text("[base]\n")

    with pytest.raises(InputError, match=r'"\{epochs.__class__\}" is no safe folder name'):
        load_grids([file])


def test_seed_zero_bears_the_plain_name_and_other_seeds_a_suffix(load: Load) -> None:
    found = load("seeds = [0, 3, 1]\n[grid]\nepochs = [1, 2]\n")

    assert names(found) == [
        "epochs_1",
        "epochs_1_s3",
        "epochs_1_s1",
        "epochs_2",
        "epochs_2_s3",
        "epochs_2_s1",
    ]


@pytest.mark.parametrize(
    ("text", "asked", "seeds"),
    [
        pytest.param("[[point]]", None, [0], id="seed 0 unless somebody says more"),
        pytest.param("repeats = 3\n[[point]]", None, [0, 1, 2], id="repeats count from 0"),
        pytest.param("seeds = [5]\n[[point]]", None, [5], id="seeds of the file"),
        pytest.param("seeds = [5]\n[base]", None, [5], id="seeds of a file with a base alone"),
        pytest.param("[[point]]\nseeds = [7, 8]", None, [7, 8], id="seeds of a block"),
        pytest.param("repeats = 9\n[[point]]\nseeds = [7]", None, [7], id="a block overrules"),
        pytest.param("seeds = [7]\n[[point]]\nrepeats = 2", None, [0, 1], id="repeats of a block"),
        pytest.param("seeds = [7]\n[[point]]\nrepeats = 2", [4, 5], [4, 5], id="--seeds overrules"),
        pytest.param("[base]", [4, 5], [4, 5], id="--seeds for a base alone"),
    ],
)
def test_seeds_are_those_of_the_nearest(
    load: Load, text: str, asked: list[int] | None, seeds: list[int]
) -> None:
    assert [e.seed for e in experiments(load(f"{text}\n", seeds=asked))] == seeds


def test_blocks_may_spread_the_seeds_of_one_experiment(load: Load) -> None:
    text = "[[point]]\nname = 'a'\nseeds = [0, 1]\n[[point]]\nname = 'a'\nseeds = [1, 2]\n"

    assert names(load(text)) == ["a", "a_s1", "a_s2"]


def test_arguments_go_to_those_optimizers_that_take_them(load: Load) -> None:
    found = load(
        "[grid]\noptimizer = ['SGD', 'Adam', 'AdamW']\noptimizer_args.momentum = [0, 0.9]\n"
        "optimizer_args.betas = [[0.9, 0.99], [0.8, 0.9], [0.7, 0.9]]\n"
    )

    assert [(e.optimizer, *e.optimizer_args) for e in experiments(found)] == [
        *[("SGD", "momentum")] * 2,
        *[("Adam", "betas")] * 3,
        *[("AdamW", "betas")] * 3,
    ]
    assert names(found)[:3] == [
        "optimizer_SGD_momentum_0",
        "optimizer_SGD_momentum_0.9",
        "optimizer_Adam_betas_0.9_0.99",
    ]


def test_arguments_of_no_axis_go_to_those_that_take_them_too(load: Load) -> None:
    found = load("[grid]\noptimizer = ['SGD', 'Adam']\noptimizer_args.momentum = 0.9\n")

    assert [e.optimizer_args for e in experiments(found)] == [{"momentum": 0.9}, {}]


def test_what_only_some_take_counts_only_for_those(load: Load) -> None:
    text = "[grid]\noptimizer = ['SGD', 'Adam']\noptimizer_args.momentum = [0.1, 0.2, 0.3]\n"

    assert len(load(text, max_runs=4)) == 4


@pytest.mark.parametrize(
    ("override", "setting", "value"),
    [
        pytest.param("epochs=1", "epochs", 1, id="a number"),
        pytest.param(" epochs = 1 # one ", "epochs", 1, id="white space and a comment"),
        pytest.param("train_steps=full", "train_steps", "full", id="a bare word"),
        pytest.param('train_steps="full"', "train_steps", "full", id="a quoted word"),
        pytest.param("hidden_units=[8, 8, 8]", "hidden_units", (8, 8, 8), id="a list"),
        pytest.param("hidden_units.1=8", "hidden_units", (4, 8), id="a layer"),
        pytest.param("learning_rate=1", "learning_rate", 1.0, id="a whole learning rate"),
        pytest.param(
            "optimizer_args.weight_decay=0",
            "optimizer_args",
            {"weight_decay": 0, "eps": 1e-7},
            id="an argument",
        ),
        pytest.param(
            "optimizer_args={weight_decay=0}",
            "optimizer_args",
            {"weight_decay": 0, "eps": 1e-7},
            id="a table, which is merged",
        ),
    ],
)
def test_an_override_has_the_last_word(
    load: Load, override: str, setting: str, value: object
) -> None:
    base = "epochs = 3\nhidden_units.0 = 4\nhidden_units.1 = 4\n"
    args = "optimizer_args = { weight_decay = 0.1, eps = 1e-7 }\n"
    found = load(f"[base]\n{base}{args}[[point]]\nlearning_rate = 0.5\n", overrides=[override])

    assert [getattr(e, setting) for e in experiments(found)] == [value]


@pytest.mark.parametrize(
    "axis",
    [
        pytest.param("hidden_units.0 = [1, 2]", id="the axis itself"),
        pytest.param("hidden_units = [[1, 16], [2, 16]]", id="an axis of whole lists"),
    ],
)
def test_an_override_of_a_layer_wins_over_an_axis(load: Load, axis: str) -> None:
    text = f"[base]\nhidden_units.0 = 4\nhidden_units.1 = 16\n[grid]\n{axis}\nepochs = [1, 2]\n"

    found = load(f"name = 'e{{epochs}}'\n{text}", overrides=["hidden_units.0=7"])

    assert values(found, "epochs", "hidden_units") == [(1, (7, 16)), (2, (7, 16))]


def test_an_override_replaces_an_axis(load: Load) -> None:
    text = "[grid]\nepochs = [1, 2, 3]\nbatch_size = [8, 16]\n[[zip]]\nepochs = [1, 2]\n"

    found = load(f"{text}learning_rate = [0.1, 0.2]\n", overrides=["epochs=9"], max_runs=4)

    assert names(found) == [
        "batch_size_8",
        "batch_size_16",
        "learning_rate_0.1",
        "learning_rate_0.2",
    ]
    assert {e.epochs for e in experiments(found)} == {9}


def test_the_later_of_two_overrides_wins(load: Load) -> None:
    overrides = ["epochs=1", "hidden_units.0=5", "epochs=2", "hidden_units=[3, 4]"]

    assert values(load("[base]\n", overrides=overrides), "epochs", "hidden_units") == [(2, (3, 4))]


STEPS_AND_IMAGES = [
    pytest.param("train_steps = 9", "train_images = 64", (None, 64), id="images after steps"),
    pytest.param("train_images = 64", "train_steps = 9", (9, None), id="steps after images"),
    pytest.param("train_images = 64", "train_steps = 'full'", ("full", None), id="a full pass"),
]


@pytest.mark.parametrize(("earlier", "later", "found"), STEPS_AND_IMAGES)
def test_of_steps_and_images_the_later_takes_the_place_of_the_other(
    load: Load, earlier: str, later: str, found: tuple[object, object]
) -> None:
    before, after = earlier.replace(" ", ""), later.replace(" ", "")
    grids = [
        load(f"[base]\n{earlier}\n[grid]\n{later}\n"),
        load(f"[base]\n{earlier}\n[[point]]\n{later}\n"),
        load(f"[base]\n{earlier}\n", overrides=[after]),
        load(f"[base]\n{later}\n[grid]\n{earlier}\n", overrides=[after]),
        load("[base]\n", overrides=[after, before, after]),
    ]
    assert [values(grid, "train_steps", "train_images") for grid in grids] == [[found]] * 5


def test_an_override_of_the_images_replaces_an_axis_of_steps(load: Load) -> None:
    text = "[grid]\ntrain_steps = [1, 2, 3]\nbatch_size = [8, 16]\n"

    found = load(text, overrides=["train_images=64"], max_runs=2)

    assert names(found) == ["batch_size_8", "batch_size_16"]
    assert str(found[0].origin("train_images").place) == "--set train_images=64"


def test_images_are_an_axis_with_names_and_exclusions_like_any_other(load: Load) -> None:
    axes = "[[grid]]\ntrain_images = [64, 128]\n[[grid]]\ntrain_steps = [64, 128]\n"
    rule = "[[exclude]]\ntrain_images = 64\n"

    assert names(load(f"{axes}{rule}")) == ["train_images_128", "train_steps_64", "train_steps_128"]
    text = "name = 'i{train_images:04}'\n[grid]\ntrain_images = [64, 128]\n"
    assert names(load(text)) == ["i0064", "i0128"]


def test_a_name_can_be_overridden(load: Load) -> None:
    text = "name = 'old'\n[grid]\nname = 'older'\nepochs = [1, 2]\n"

    assert names(load(text, overrides=["name=new_{epochs}"])) == ["new_1", "new_2"]
    assert names(load("[base]\n", overrides=["name=5"])) == ["5"]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        pytest.param(["*_8"], ["e1_8", "e2_8"], id="a pattern means names, and all their seeds"),
        pytest.param(["e1_8"], ["e1_8"], id="a name in full"),
        pytest.param(["e[13]_8", "e2_16"], ["e1_8", "e2_16"], id="any of several"),
    ],
)
def test_only_selects_by_name(load: Load, patterns: list[str], found: list[str]) -> None:
    text = "name = 'e{epochs}_{batch_size}'\n[grid]\nepochs = [1, 2]\nbatch_size = [8, 16]\n"

    assert names(load(text, only=patterns)) == found


def test_only_may_name_the_run_of_one_seed(load: Load) -> None:
    text = "repeats = 3\n[[point]]\nname = 'a'\n[[point]]\nname = 'b'\nepochs = 1\n"

    assert names(load(text, only=["a_s2"])) == ["a_s2"]
    assert names(load(text, only=["a"])) == ["a", "a_s1", "a_s2"]


def test_a_directory_means_the_grids_directly_in_it(tmp_path: Path) -> None:
    for name in ("b.toml", "a.toml", "notes.txt", "deeper/c.toml", "x.toml/d.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[base]\n")

    assert names(load_grids([tmp_path])) == ["a", "b"]


def test_a_file_named_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.toml").write_text("[grid]\nepochs = [1, 2]\n")
    Path("link.toml").symlink_to("g.toml")
    paths = [Path("g.toml"), tmp_path, Path("link.toml"), tmp_path / "g.toml"]

    assert names(load_grids(paths, max_runs=2)) == ["epochs_1", "epochs_2"]


def test_the_same_experiment_twice_is_one(load: Load) -> None:
    text = "[[grid]]\nepochs = [1, 2]\n[[grid]]\nepochs = [2, 3]\n"

    assert names(load(text)) == ["epochs_1", "epochs_2", "epochs_3"]


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_bytes(b"\xef\xbb\xbf[grid]\r\nepochs = [\r\n  1,\r\n  0,\r\n]\r\n")

    with pytest.raises(InputError, match=r"g.toml:4: grid.epochs: 0 is not"):
        load_grids([file])


def test_a_definition_knows_where_its_settings_were_written(load: Load) -> None:
    text = "[base]\nbatch_size = 8\noptimizer_args.eps = 1\n[grid]\nepochs = [1,\n2]\n"
    second = load(f"{text}hidden_units.0 = 4\n", overrides=["train_steps=3"])[1]

    assert str(second.place) == "g.toml:4"
    assert str(second.origin("epochs").place) == "g.toml:6"
    assert str(second.origin("batch_size").place) == "g.toml:2"
    assert str(second.origin("optimizer_args").place) == "g.toml:3"
    assert str(second.origin("hidden_units").place) == "g.toml:7"
    assert str(second.origin("train_steps").place) == "--set train_steps=3"
    assert str(second.origin("optimizer").place) == "g.toml:4"  # a default: the block


@pytest.mark.parametrize("family", STUDY)
def test_a_config_is_what_the_study_had(family: str) -> None:
    found = experiments(load_grids([CONFIGS / f"{family}.toml"]))

    assert {e.name: e for e in found} == {
        name: Experiment(name=name, **{**BASELINE, **settings})
        for name, settings in STUDY[family].items()
    }


def test_the_configs_together_are_the_61_experiments_of_the_study() -> None:
    found = experiments(load_grids([CONFIGS]))

    assert sorted(e.run_name for e in found) == sorted(n for names in STUDY.values() for n in names)
    assert len(found) == 61


def test_six_of_the_61_are_one_configuration() -> None:
    found = experiments(load_grids([CONFIGS]))
    by_fingerprint = {
        e.fingerprint: {o.name for o in found if o.fingerprint == e.fingerprint} for e in found
    }

    assert len(by_fingerprint) == 56
    assert [same for same in by_fingerprint.values() if len(same) > 1] == [THE_SAME]


# Those of configs/studies run in their own folder: see tests/test_studies.py.
@pytest.mark.parametrize(
    "file",
    sorted({*CONFIGS.rglob("*.toml")} - {*(CONFIGS / "studies").iterdir()}),
    ids=lambda file: file.relative_to(CONFIGS).as_posix(),
)
def test_a_config_states_its_question_its_command_and_its_count(file: Path) -> None:
    question, command, count = file.read_text(encoding="utf-8").splitlines()[:3]

    assert question.startswith("# ")
    assert question.endswith("?")
    assert command.startswith("# ")
    assert command.endswith(f"fmgrid run {file.relative_to(CONFIGS.parent).as_posix()}")
    assert count.startswith(f"# {len(load_grids([file]))} experiments")


def test_a_grid_above_the_limit_is_refused_with_its_count(load: Load) -> None:
    text = "seeds = [0, 1]\n[grid]\nepochs = [1, 2, 3]\nbatch_size = [8, 16]\n"

    assert len(load(text, max_runs=12)) == 12
    with pytest.raises(InputError) as caught:
        load(text, max_runs=11)

    assert str(caught.value) == (
        "g.toml: spells out 12 of 12 runs, and the limit is 11; "
        "make it smaller or raise the limit with --max-runs"
    )


def test_the_limit_holds_for_all_files_together(tmp_path: Path) -> None:
    for name, count in (("a", 6_000), ("b", 7_000)):
        (tmp_path / f"{name}.toml").write_text(f"repeats = {count}\n[base]\n")

    with pytest.raises(InputError) as caught:
        load_grids([tmp_path])

    assert "b.toml: spells out 7,000 of 13,000 runs, and the limit is 10,000" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "[grid]\n"
            + "".join(
                f"{name} = {list(range(1, 1001))}\n"
                for name in ("epochs", "batch_size", "train_steps")
            ),
            id="a thousand million points",
        ),
        pytest.param("repeats = 2000000000\n[base]\n", id="two thousand million seeds"),
        pytest.param(
            "[base]\nhidden_units = ["
            + "1," * 900
            + "]\n[grid]\n"
            + "".join(f"hidden_units.{layer} = [1, 2]\n" for layer in range(900)),
            id="more points than atoms",
        ),
    ],
)
def test_a_grid_of_any_size_is_counted_without_expanding_it(load: Load, text: str) -> None:
    with pytest.raises(InputError, match=r"spells out .* runs, and the limit is 10,000"):
        load(text)


def test_the_limit_is_ten_thousand_unless_raised() -> None:
    assert MAX_RUNS == 10_000


# Folders of grids


GRID = "[base]\nepochs = 1\n"


@pytest.mark.parametrize("name", ["._a.toml", ".old.toml", ".#a.toml", "a.toml~", "#a.toml#"])
def test_files_that_systems_and_editors_leave_are_no_grids(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GRID)
    if name == ".#a.toml":  # as Emacs locks a file
        (tmp_path / name).symlink_to("somebody@somewhere.1")
    else:
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert [one.experiment.name for one in load_grids([tmp_path])] == ["a"]
    (tmp_path / "a.toml").unlink()
    with pytest.raises(InputError, match="holds no grids"):
        load_grids([tmp_path])


def test_a_hidden_grid_is_read_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / ".a.toml").write_text(f'name = "a"\n{GRID}')
    assert [one.experiment.name for one in load_grids([tmp_path / ".a.toml"])] == ["a"]


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO])
def test_a_folder_of_grids_that_cannot_be_listed_is_named(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text(GRID)
    refuse(tmp_path, error, monkeypatch)
    with pytest.raises(InputError) as raised:
        load_grids([tmp_path])
    assert str(raised.value) == f"{tmp_path}: cannot be listed: {os.strerror(error)}"
