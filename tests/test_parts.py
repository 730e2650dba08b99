"""The parts of a group: sweeps and products, each block of a grid for itself or all together."""

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmgrid.analysis.experiments import Group, level_of
from fmgrid.grid import Plan, load_plan
from fmgrid.hypotheses.registry import GridRecord, read_records, write_records
from made_up_studies import row, study_of

PRODUCT = "hidden_units.0 = [16, 32, 64]\nhidden_units.1 = [16, 32, 64]\n"
BASE = "[base]\nhidden_units = [32, 32]\n"
WIDTHS = 'name = "u_{hidden_units[0]}_{hidden_units[1]}"\n'
RATES = '[[grid]]\nname = "lr_{learning_rate}"\nlearning_rate = [1e-2, 1e-3, 1e-4]\n'

# By the name of a case: a grid file, and the shape, the axes and the size of each part
GRIDS: dict[str, tuple[str, list[tuple[str, str, int]]]] = {
    "a sweep": (RATES, [("one axis", "learning_rate", 3)]),
    "a product": (f"[grid]\n{PRODUCT}", [("factorial", "units1 units2", 9)]),
    "a triangle": (
        (
            f"[grid]\n{PRODUCT}[[exclude]]\nhidden_units.0 = 16\nhidden_units.1 = [32, 64]\n"
            "[[exclude]]\nhidden_units.0 = 32\nhidden_units.1 = 64\n"
        ),
        [("incomplete", "units1 units2", 6)],
    ),
    "a product beside a sweep": (
        f"{BASE}[[grid]]\n{WIDTHS}{PRODUCT}{RATES}",
        [("factorial", "units1 units2", 9), ("one axis", "learning_rate", 3)],
    ),
    "a product with a further point": (
        f'{BASE}[grid]\n{WIDTHS}{PRODUCT}[[point]]\nname = "deep"\nhidden_units = [32, 32, 32]\n',
        [("factorial", "units1 units2", 9)],
    ),
    "a product with a point that an exclusion took": (
        (
            f"[grid]\n{WIDTHS}{PRODUCT}[[exclude]]\nname = 'u_16_16'\n"
            '[[point]]\nname = "small"\nhidden_units = [16, 16]\n'
        ),
        [("factorial", "units1 units2", 9)],
    ),
    "sweeps around a point of its own": (
        (
            '[[point]]\nname = "base"\n[[grid]]\nname = "e{epochs}"\nepochs = [1, 2]\n'
            '[[grid]]\nname = "b_{batch_size}"\nbatch_size = [8, 16]\n'
        ),
        [("one axis", "epochs", 3), ("one axis", "batch_size", 3)],
    ),
    "points along one setting": (
        "".join(f'[[point]]\nname = "b{size}"\nbatch_size = {size}\n' for size in (8, 16, 32)),
        [("one axis", "batch_size", 3)],
    ),
    "sweeps that are a product together": (
        "".join(
            f'[[grid]]\nname = "{name}_{{epochs}}"\noptimizer = "{name}"\nepochs = [8, 16]\n'
            for name in ("Adam", "SGD")
        ),
        [("factorial", "epochs optimizer", 4)],
    ),
    "a sweep within a product": (
        (
            f"{BASE}[[grid]]\n{WIDTHS}{PRODUCT}"
            '[[grid]]\nname = "again_{hidden_units[0]}"\nhidden_units.0 = [16, 64]\n'
            '[[point]]\nname = "deep"\nhidden_units = [32, 32, 32]\n'
        ),
        [("factorial", "units1 units2", 9)],
    ),
    "an optimizer with an argument of its own": (
        (
            '[grid]\noptimizer = ["Adam", "AdamW", "SGD"]\noptimizer_args.momentum = [0.0, 0.9]\n'
            "learning_rate = [0.01, 0.1]\n"
        ),
        [("factorial", "learning_rate optimizer + momentum", 8)],
    ),
    "settings that vary together": (
        '[[zip]]\nname = "b{batch_size}"\nbatch_size = [8, 16, 32]\nlearning_rate = [1, 2, 4]\n',
        [("one axis", "batch_size + learning_rate", 3)],
    ),
    "points that differ in everything": (
        "".join(f'[[point]]\nname = "b{n}"\nbatch_size = {n}\nepochs = {n}\n' for n in (1, 2, 3)),
        [],
    ),
    "one point": ('[[point]]\nname = "alone"\n', []),
}


def plan_of(text: str, folder: Path) -> Plan:
    path = folder / "g.toml"
    path.write_text(text)
    return load_plan([path])


def groups_of(plan: Plan, *records: GridRecord) -> tuple[Group, ...]:
    experiments = (definition.experiment for definition in plan.definitions)
    runs = [row(**experiment.model_dump()) for experiment in experiments]
    return study_of(runs, records).groups


def group_of(plan: Plan, *records: GridRecord) -> Group:
    (group,) = groups_of(plan, *records)
    return group


def summary(group: Group) -> list[tuple[str, str, int]]:
    return [
        (part.shape, " ".join(axis.name for axis in part.axes), len(part.members))
        for part in group.parts
    ]


@pytest.mark.parametrize("case", GRIDS)
def test_the_parts_of_a_grid_are_its_sweeps_and_products(case: str, tmp_path: Path) -> None:
    text, expected = GRIDS[case]
    plan = plan_of(f'title = "All of it"\n{text}', tmp_path)
    write_records(tmp_path / "logs", plan.records)
    stored, _ = read_records(tmp_path / "logs")
    group = group_of(plan, *stored)
    assert group.title == "All of it"
    assert summary(group) == expected
    assert all({*part.members} <= {*group.members} for part in group.parts)


def test_a_record_names_the_experiments_of_each_block(tmp_path: Path) -> None:
    text = '[[grid]]\nname = "b{batch_size}"\nbatch_size = [8, 16]\nseeds = [0, 1]\n'
    (record,) = plan_of(text, tmp_path).records
    assert record.blocks == ()
    again = '[[grid]]\nname = "b{batch_size}"\nbatch_size = [16, 32]\n'
    (record,) = plan_of(text + again, tmp_path).records
    assert record.names == ("b8", "b16", "b32")
    assert record.blocks == (("b8", "b16"), ("b16", "b32"))
    assert record.titles == ("g: batch_size", "g: batch_size (2)")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("a triangle", GRIDS["a triangle"][1]),
        ("sweeps that are a product together", GRIDS["sweeps that are a product together"][1]),
        ("a product beside a sweep", []),
    ],
)
def test_a_grid_whose_record_has_no_blocks_counts_as_one_block(
    case: str, expected: list[tuple[str, str, int]], tmp_path: Path
) -> None:
    plan = plan_of(GRIDS[case][0], tmp_path)
    (record,) = plan.records
    assert (
        summary(group_of(plan, record.model_copy(update={"blocks": (), "titles": ()}))) == expected
    )


def test_a_grid_in_two_log_folders_keeps_the_blocks_of_both(tmp_path: Path) -> None:
    (record,) = plan_of(GRIDS["a product beside a sweep"][0], tmp_path).records
    for folder in ("a", "b"):
        write_records(tmp_path / folder, [record])
    (joined,), _ = read_records(tmp_path / "a", tmp_path / "b")
    assert joined.blocks == record.blocks


def test_levels_of_settings_that_vary_together_stand_in_their_order(tmp_path: Path) -> None:
    plan = plan_of(GRIDS["an optimizer with an argument of its own"][0], tmp_path)
    (part,) = group_of(plan, *plan.records).parts
    levels = ("Adam", "AdamW", "SGD + momentum 0.0", "SGD + momentum 0.9")
    assert part.axes[1].levels == levels
    sizes = [len(members) for members in part.by_level(part.axes[1]).values()]
    assert sizes == [2, 2, 2, 2]


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([1, 2, 3]), st.sampled_from([8, 16]), st.sampled_from([1, 2])
            ),
            min_size=1,
            max_size=9,
        ),
        max_size=4,
    )
)
def test_parts_are_sweeps_or_products_and_none_is_within_another(
    blocks: list[list[tuple[int, int, int]]],
) -> None:
    def name(point: tuple[int, int, int]) -> str:
        return "_".join(map(str, point))

    blocks = [*blocks, [(1, 8, 1)]]
    names = tuple(tuple(dict.fromkeys(map(name, block))) for block in blocks if block)
    points = {point for block in blocks for point in block}
    every = tuple(map(name, points))
    record = GridRecord(path="g.toml", names=every, blocks=names)
    rows = [
        row(name(point), epochs=point[0], batch_size=point[1], train_steps=point[2])
        for point in points
    ]
    (group,) = study_of(rows, [record]).groups
    parts = [{*part.members} for part in group.parts]
    for part in group.parts:
        assert part.axes
        assert part.shape in ("one axis", "factorial", "incomplete")
        assert {*part.members} <= {*group.members}
        levels = {tuple(level_of(member, axis) for axis in part.axes) for member in part.members}
        assert len(levels) == len(part.members)
    assert not any(one <= other for one, other in permutations(parts, 2))


def test_arguments_of_one_value_are_levels_of_their_own(tmp_path: Path) -> None:
    text = "".join(
        f'[[point]]\nname = "{name}"\noptimizer = "SGD"\noptimizer_args = {{ {name} = 0.5 }}\n'
        for name in ("momentum", "weight_decay")
    )
    plan = plan_of(text, tmp_path)
    (record,) = plan.records
    (part,) = group_of(plan, record.model_copy(update={"blocks": (), "titles": ()})).parts
    assert part.axes[0].levels == ("weight_decay 0.5", "momentum 0.5")
