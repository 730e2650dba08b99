"""What grids ask, as a log folder keeps it: times, changes, damage."""

import errno
import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmgrid.errors import StoreError
from fmgrid.grid import load_plan
from fmgrid.hypotheses import registry as questions
from fmgrid.hypotheses.language import MAX_HYPOTHESES
from fmgrid.hypotheses.registry import (
    GridRecord,
    Hypothesis,
    changed_records,
    read_records,
    write_records,
)
from fmgrid.results.results_file import seal
from made_up_studies import row, study_of
from test_store import signed, texts
from unlistable import refuse


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A log folder that is not there yet."""
    return tmp_path / "logs"


MONDAY, FRIDAY = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 9, tzinfo=UTC)


def stated(claim: str = "longer is better", since: datetime = MONDAY, **changed: str) -> Hypothesis:
    ordinary = {"expect": "a > b", "resolved": "a > b", "metric": "accuracy", "place": "g.toml:9"}
    return Hypothesis(claim=claim, since=since, **(ordinary | changed))


def asked(
    path: str = "configs/g.toml", *hypotheses: Hypothesis, command: str = "run"
) -> GridRecord:
    return GridRecord(path=path, names=("a", "b"), hypotheses=hypotheses, commands=(command,))


def kept(root: Path) -> GridRecord:
    (one,), damaged = read_records(root)
    assert damaged == []
    return one


def note_of(root: Path, record: GridRecord) -> list[Path]:
    """Note a record; return the files of the folder."""
    write_records(root, [record])
    return [*(root / ".grids").iterdir()]


paths = texts.map(lambda text: text.replace("\0", ""))  # no system takes a path with it


@settings(max_examples=30)
@given(
    one=st.builds(
        GridRecord, path=paths, question=texts, names=st.lists(texts, max_size=3).map(tuple)
    )
)
def test_what_was_asked_is_read_as_it_was_noted(
    one: GridRecord, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("asked")
    write_records(root, [one])
    assert kept(root) == one


def test_a_grid_whose_name_is_no_text_is_noted_all_the_same(root: Path, tmp_path: Path) -> None:
    grid = tmp_path / "g\udcff.toml"
    grid.write_text(
        "[[grid]]\nname = 'e{epochs}'\nepochs = [1, 2]\n"
        "[[hypothesis]]\nclaim = 'a'\nexpect = 'e1 < e2'\n"
    )
    plan = load_plan([grid])
    write_records(root, plan.records)
    assert kept(root).path.endswith(r"/g\udcff.toml")
    assert changed_records(root, load_plan([grid]).records) == []


def test_a_hypothesis_keeps_the_time_at_which_it_was_first_stated(root: Path) -> None:
    write_records(root, [asked("g.toml", stated(since=MONDAY))])
    write_records(root, [asked("g.toml", stated(since=FRIDAY), stated("added", since=FRIDAY))])
    assert [one.since for one in kept(root).hypotheses] == [MONDAY, FRIDAY]


@pytest.mark.parametrize(
    "change", [{"expect": "each of b < a"}, {"resolved": "a > b by 0.1"}, {"metric": "valid_loss"}]
)
def test_a_hypothesis_that_was_changed_is_a_new_one(change: dict[str, str], root: Path) -> None:
    write_records(root, [asked("g.toml", stated())])
    write_records(root, [asked("g.toml", stated(since=FRIDAY, **change))])
    assert [one.since for one in kept(root).hypotheses] == [FRIDAY]


def test_a_hypothesis_that_moved_to_another_line_is_the_same(root: Path) -> None:
    write_records(root, [asked("g.toml", stated())])
    write_records(root, [asked("g.toml", stated(since=FRIDAY, place="g.toml:12"))])
    assert kept(root).hypotheses == (stated(place="g.toml:12"),)


def test_commands_are_kept_in_order_and_once(root: Path) -> None:
    for command in ("first", "second", "first"):
        write_records(root, [asked(command=command)])
    assert kept(root).commands == ("first", "second")


def test_the_latest_twenty_commands_are_kept(root: Path) -> None:
    for number in range(25):
        write_records(root, [asked(command=f"run {number}")])
    assert kept(root).commands == tuple(f"run {number}" for number in range(5, 25))


def test_nothing_is_written_where_nothing_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(root, [asked("g.toml", stated())])
    again = [asked("g.toml", stated(since=FRIDAY))]
    assert changed_records(root, again) == []
    monkeypatch.setattr(questions, "write_whole", lambda *_: pytest.fail("wrote"))
    write_records(root, again)


def test_looking_at_what_is_unnoted_writes_nothing(root: Path) -> None:
    assert changed_records(root, [asked()]) == [asked()]
    assert not root.exists()
    assert read_records(root) == ([], [])


def test_only_the_grid_that_changed_is_changed_records(root: Path) -> None:
    write_records(root, [asked("one.toml"), asked("two.toml")])
    changed = asked("two.toml", command="again")
    merged = asked("two.toml").model_copy(update={"commands": ("run", "again")})
    assert changed_records(root, [asked("one.toml"), changed]) == [merged]


def test_every_path_has_a_file_of_its_own(root: Path) -> None:
    paths = ["a/g.toml", "b/g.toml", "g.toml", "G.toml", "g?.toml", "g*.toml", "网.toml", "络.toml"]
    paths.append(f"{'long' * 100}.toml")
    write_records(root, [asked(path) for path in paths])
    found, _ = read_records(root)
    assert {one.path for one in found} == set(paths)
    names = {path.name.lower() for path in (root / ".grids").iterdir()}
    assert len(names) == len(paths)


WHOLE = seal(asked().model_dump())
DAMAGE = {
    "cut off": (WHOLE[:-9], "was changed or damaged: its digest does not match"),
    "edited": (WHOLE.replace(b'"run"', b'"ran"'), "was changed or damaged: its digest"),
    "of a newer format": (seal({"format": 99}), "has format 99, and this fmgrid reads 1"),
    "of another kind": (seal({"names": 5}), "does not fit this fmgrid"),
    "with a hypothesis that is none": (
        seal({**asked().model_dump(), "names": [], "commands": [], "hypotheses": ["x"]}),
        "does not fit this fmgrid",
    ),
    "with a long key": (
        signed(b"a." * 50_000 + b"a = 1"),
        "is not valid TOML: a key has over 20 parts",
    ),
    "no text": (b"\xff\xfe", "is no file of fmgrid's: it has no digest"),
    "empty": (b"", "is no file of fmgrid's: it has no digest"),
}


def test_records_with_windows_line_ends_are_the_same_records(root: Path) -> None:
    write_records(root, [asked("g.toml", stated())])
    (record,) = (root / ".grids").iterdir()
    record.write_bytes(record.read_bytes().replace(b"\n", b"\r\n"))  # as git leaves it there
    assert kept(root) == asked("g.toml", stated())
    assert changed_records(root, [asked("g.toml", stated(since=FRIDAY))]) == []


def test_a_record_of_a_terabyte_is_not_read(root: Path) -> None:
    write_records(root, [asked()])
    os.truncate(next((root / ".grids").iterdir()), 10**12)
    assert read_records(root)[0] == []
    assert "cannot be read: larger than" in read_records(root)[1][0]


@pytest.mark.parametrize(("content", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_of_a_grid_is_named_and_costs_no_other(
    content: bytes, reason: str, root: Path
) -> None:
    write_records(root, [asked()])
    damaged = root / ".grids" / "damaged.toml"
    damaged.write_bytes(content)
    found, (told,) = read_records(root)
    assert found == [asked()]
    assert told.startswith(f"{damaged}: {reason}")
    assert told.endswith("; the next fmgrid run notes anew what its grid asks")
    write_records(root, [asked("other.toml")])


def test_a_damaged_record_is_set_aside_and_not_lost(root: Path) -> None:
    for number in (1, 2):
        write_records(root, [asked()])
        (record,) = (root / ".grids").glob("*.toml")
        record.write_bytes(b"damaged")
        assert write_records(root, [asked()]) == [record.with_suffix(f".damaged-{number}")]
        assert record.with_suffix(f".damaged-{number}").read_bytes() == b"damaged"
        assert kept(root) == asked()


def test_a_hypothesis_that_is_given_up_is_kept_and_comes_back_as_old_as_it_was(root: Path) -> None:
    write_records(root, [asked("g.toml", stated(since=MONDAY))])
    write_records(root, [asked("g.toml")])
    assert kept(root).withdrawn == (stated(since=MONDAY),)
    write_records(root, [asked("g.toml", stated("another", since=FRIDAY))])
    assert kept(root).withdrawn == (stated(since=MONDAY),)
    write_records(root, [asked("g.toml", stated(since=FRIDAY))])
    assert kept(root).hypotheses == (stated(since=MONDAY),)
    assert kept(root).withdrawn == (stated("another", since=FRIDAY),)


def test_a_folder_in_place_of_a_record_is_named(root: Path) -> None:
    folder = root / ".grids" / "g.toml"
    folder.mkdir(parents=True)
    found, (told,) = read_records(root)
    assert found == []
    assert told.startswith(f"{folder}: is not a regular file")


def test_a_file_in_place_of_the_records_is_named(root: Path) -> None:
    folder = root / ".grids"
    root.mkdir()
    folder.write_text("")
    reason = "cannot be read: Not a directory, so that it is not known what the grids ask"
    assert read_records(root) == ([], [f"{folder}: {reason}"])
    for look in (write_records, changed_records):
        with pytest.raises(StoreError, match=f"{re.escape(str(folder))}: Not a directory"):
            look(root, [asked()])


@pytest.fixture
def no_root() -> Iterator[None]:
    """Have the test be nobody where it is root, who may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_records_that_cannot_be_listed_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    write_records(root, [asked()])
    monkeypatch.chdir(root)  # whose parents nobody may enter
    Path(".grids").chmod(0)
    request.getfixturevalue("no_root")
    told = ".grids: cannot be read: Permission denied, so that it is not known what the grids ask"
    assert read_records(Path()) == ([], [told])


# Grids by several paths


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a grid, in the folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    path = Path("g.toml")
    path.write_text("")
    return path


def test_a_grid_that_was_renamed_is_the_same(grid: Path, root: Path) -> None:
    write_records(root, [asked("g.toml", stated(), command="fmgrid run g.toml -q")])
    grid.rename("h.toml")
    moved = asked("h.toml", stated(since=FRIDAY), command="fmgrid run h.toml")
    write_records(root, [moved])
    commands = ("fmgrid run g.toml -q", "fmgrid run h.toml")
    assert kept(root) == moved.model_copy(update={"hypotheses": (stated(),), "commands": commands})


def test_a_grid_by_another_path_is_the_same(grid: Path, root: Path) -> None:
    write_records(root, [asked("g.toml", stated("given up"))])
    write_records(root, [asked(str(grid.resolve()), stated(since=FRIDAY))])
    write_records(root, [asked("g.toml", stated(since=FRIDAY))])
    assert kept(root).path == "g.toml"
    assert kept(root).hypotheses == (stated(since=FRIDAY),)
    assert kept(root).withdrawn == (stated("given up"),)


def test_a_collection_that_was_renamed_is_the_same(root: Path) -> None:
    whole = asked("study.toml", stated()).model_copy(update={"names": ()})
    write_records(root, [whole])
    write_records(root, [whole.model_copy(update={"path": "all.toml"})])
    assert kept(root).path == "all.toml"


@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize("names", [("a", "b"), ("a", "c")])
def test_grids_in_two_files_are_two(names: tuple[str, ...], root: Path) -> None:
    Path("h.toml").write_text("")
    write_records(root, [asked("g.toml")])
    write_records(root, [asked("h.toml").model_copy(update={"names": names})])
    assert [one.path for one in read_records(root)[0]] == ["g.toml", "h.toml"]


def test_a_grid_with_other_experiments_is_another(root: Path) -> None:
    write_records(root, [asked("g.toml")])
    write_records(root, [asked("h.toml").model_copy(update={"names": ("a",)})])
    assert len(read_records(root)[0]) == 2


def test_an_older_record_of_the_same_grid_goes_with_the_next(grid: Path, root: Path) -> None:
    Path("h.toml").write_text("")
    write_records(root, [asked("g.toml"), asked("h.toml")])
    grid.unlink()
    write_records(root, [asked("h.toml")])
    assert kept(root) == asked("h.toml")


# Files that nobody wrote on purpose, and what strangers write


COPIES = [
    "{stem} (conflicted copy).toml",
    "{stem} 2.toml",
    "{stem}.sync-conflict-20260101-120000-ABCDEFG.toml",
    "copy of {stem}.toml",
]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_record_doubles_no_grid(name: str, root: Path) -> None:
    write_records(root, [asked()])
    (record,) = (root / ".grids").iterdir()
    copy = record.with_name(name.format(stem=record.stem))
    copy.write_bytes(seal(asked(command="another").model_dump()))
    assert kept(root) == asked()
    record.unlink()
    assert read_records(root) == (
        [],
        [f"{copy}: is a copy of {record.name}, which is not there; it is not read"],
    )


@pytest.mark.parametrize("name", ["._g-12345678.toml", ".#g-12345678.toml", ".DS_Store", "g.toml~"])
def test_files_that_systems_leave_are_no_records(name: str, root: Path) -> None:
    write_records(root, [asked()])
    (root / ".grids" / name).write_bytes(b"\0\5\x16\7")
    assert kept(root) == asked()
    write_records(root, [asked(command="another")])
    assert (root / ".grids" / name).exists()


HOSTILE = {
    "a time without a zone": {"since": datetime(2026, 1, 5)},
    "a day for a time": {"since": MONDAY.date()},
    "a claim of a million characters": {"claim": "x" * 10**6},
    "a number for a claim": {"claim": 10**30},
    "a metric of 100,000 characters": {"metric": "x" * 10**5},
    "an expectation of ten million characters": {"resolved": "x" * 10**7},
    "an expectation that cannot be read": {"resolved": "a >"},
    "conditions for experiments": {"resolved": "best of epochs = 3 > a"},
    "an order of one": {"resolved": {"sign": ">", "sides": [{"value": 0.5}]}},
    "no experiment": {"resolved": {"limit": 0.1, "among": []}},
    "one experiment that differs from itself": {"resolved": {"limit": 0.1, "among": ["a", "a"]}},
    "a limit that is no number": {"resolved": {"limit": float("nan"), "among": ["a", "b"]}},
}


@pytest.mark.parametrize("values", HOSTILE.values(), ids=HOSTILE)
def test_a_hypothesis_that_nobody_can_have_stated_is_damage(
    values: dict[str, object], root: Path
) -> None:
    record = asked().model_dump() | {"hypotheses": [stated().model_dump() | values]}
    folder = root / ".grids"
    folder.mkdir(parents=True)
    (folder / "g.toml").write_bytes(seal(record))
    found, (told,) = read_records(root)
    assert found == []
    (field,) = values
    assert f"does not fit this fmgrid: hypotheses.0.{field}" in told
    assert len(told) < 1_000


@pytest.mark.parametrize(
    "values",
    [{"names": ["x" * 10**5]}, {"path": "x" * 10**5}, {"question": "x" * 10**5}, {"names": [1]}],
    ids=["a name", "a path", "a question", "a number for a name"],
)
def test_a_record_of_no_grid_is_damage(values: dict[str, object], root: Path) -> None:
    record = asked().model_dump() | {"names": [], "withdrawn": [], "commands": []}
    folder = root / ".grids"
    folder.mkdir(parents=True)
    (folder / "g.toml").write_bytes(seal({**record, "hypotheses": [], **values}))
    assert "does not fit this fmgrid" in read_records(root)[1][0]


# Several log folders


def test_one_grid_in_two_log_folders_is_one_with_the_earliest_times(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write_records(one, [asked("g.toml", stated(since=FRIDAY), command="run here")])
    write_records(
        other, [asked("g.toml", stated(since=MONDAY), stated("added"), command="run there")]
    )
    (found,), unread = read_records(tmp_path, one, other)
    assert found.hypotheses == (stated(since=MONDAY), stated("added"))
    assert (found.withdrawn, found.commands) == ((), ("run here", "run there"))
    assert unread == []


def test_a_hypothesis_that_one_of_two_folders_gave_up_is_still_stated(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write_records(one, [asked("g.toml", stated(since=MONDAY))])
    write_records(one, [asked("g.toml")])
    write_records(other, [asked("g.toml", stated(since=FRIDAY))])
    (found,), _ = read_records(one, other)
    assert (found.hypotheses, found.withdrawn) == ((stated(since=MONDAY),), ())


def test_a_grid_with_another_path_on_another_machine_is_the_same(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write_records(one, [asked("/home/me/g.toml")])
    write_records(other, [asked("C:/me/g.toml")])
    assert [found.path for found in read_records(one, other)[0]] == ["/home/me/g.toml"]


def test_grids_of_one_path_with_other_experiments_are_two(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write_records(one, [asked("g.toml")])
    write_records(other, [asked("g.toml").model_copy(update={"names": ("c", "d")})])
    assert len(read_records(one, other)[0]) == 2


@pytest.mark.usefixtures("grid")
def test_two_grids_of_one_folder_stay_two_beside_the_same_two_of_another(tmp_path: Path) -> None:
    Path("h.toml").write_text("")
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        write_records(root, [asked("g.toml"), asked("h.toml")])
    assert [found.path for found in read_records(one, other)[0]] == ["g.toml", "h.toml"]


def test_records_that_cannot_be_listed_are_not_written_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(root, [asked("g.toml", stated(since=MONDAY))])
    with monkeypatch.context() as patch:
        refuse(root / ".grids", errno.EACCES, patch)
        with pytest.raises(StoreError, match=r"\.grids: Permission denied"):
            write_records(root, [asked("g.toml", stated(since=FRIDAY))])
    assert kept(root).hypotheses == (stated(since=MONDAY),)


# Grids of one name in several folders


def of_project(
    folder: Path, *hypotheses: Hypothesis, names: tuple[str, ...] = ("a", "b")
) -> GridRecord:
    """Return what a project's grid.toml asks, typed in the project's folder."""
    file = folder / "grid.toml"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    return asked("grid.toml", *hypotheses).model_copy(
        update={"file": str(file.resolve()), "names": names}
    )


@pytest.mark.parametrize("names", [("a", "b"), ("c",), ("b", "c")])
def test_grids_of_one_name_in_two_projects_are_two(
    names: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    for _ in range(2):  # again, too
        write_records(root, [of_project(tmp_path / "pa", stated("of a"))])
        write_records(root, [of_project(tmp_path / "pb", stated("of b"), names=names)])
    found, damaged = read_records(root)
    assert damaged == []
    assert {(one.file, one.hypotheses[0].claim) for one in found} == {
        (str((tmp_path / project / "grid.toml").resolve()), f"of {project[1]}")
        for project in ("pa", "pb")
    }
    assert [one.withdrawn for one in found] == [(), ()]
    assert [one.commands for one in found] == [("run",), ("run",)]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "c")])
def test_a_project_that_moved_knows_its_grid_again(
    names: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    write_records(root, [of_project(tmp_path / "old", stated(since=MONDAY))])
    (tmp_path / "old").rename(tmp_path / "new")
    write_records(root, [of_project(tmp_path / "new", stated(since=FRIDAY), names=names)])
    assert kept(root).hypotheses == (stated(since=MONDAY),)


def test_a_project_that_was_copied_with_its_log_folder_knows_its_grid_again(
    tmp_path: Path,
) -> None:
    write_records(tmp_path / "old" / "logs", [of_project(tmp_path / "old", stated(since=MONDAY))])
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    changed = of_project(tmp_path / "new", stated(since=FRIDAY), names=("c",))
    write_records(tmp_path / "new" / "logs", [changed])
    assert kept(tmp_path / "new" / "logs").hypotheses == (stated(since=MONDAY),)


def test_a_record_without_the_file_of_its_grid_is_recognised_by_its_path(
    root: Path, tmp_path: Path
) -> None:
    write_records(root, [asked("grid.toml", stated(since=MONDAY))])
    (record,) = (root / ".grids").iterdir()
    write_records(root, [of_project(tmp_path / "project", stated(since=FRIDAY), names=("c",))])
    assert kept(root).hypotheses == (stated(since=MONDAY),)
    assert [*(root / ".grids").iterdir()] == [record]


def test_groups_of_one_title_have_titles_of_their_own(tmp_path: Path) -> None:
    grids = [of_project(tmp_path / name, names=(name,)) for name in ("pa", "pb")]
    grids.append(grids[1].model_copy(update={"names": ("pc",)}))
    study = study_of([row(name) for name in ("pa", "pb", "pc")], grids)
    assert [group.title for group in study.groups] == ["pa/grid", "pb/grid", "pb/grid (2)"]


def test_a_record_of_more_hypotheses_than_a_grid_may_have_is_named_and_left_out(
    root: Path,
) -> None:
    (root / ".grids").mkdir(parents=True)
    many = [stated(f"{number}").model_dump() for number in range(MAX_HYPOTHESES + 1)]
    (root / ".grids" / "g.toml").write_bytes(seal(asked().model_dump() | {"hypotheses": many}))
    found, (told,) = read_records(root)
    assert found == []
    assert "hypotheses: Tuple should have at most 200 items" in told


EVERY_FORM = [
    *("a > b", "0.1 < a < 0.2 by 0.05", "best of a, b > mean of c, 'd e'", "each of a, b < c - d"),
    *("mean of a, b - c > 0", 'no difference greater than 0.01 among a, b, "="'),
]


def test_a_record_that_holds_expectations_as_text_keeps_its_times(root: Path) -> None:
    record = asked("g.toml", *(stated(text, resolved=text) for text in EVERY_FORM))
    values = record.model_dump()
    for hypothesis in values["hypotheses"]:
        hypothesis["resolved"] = hypothesis["claim"]  # as fmgrid 0.1 wrote it
    (path,) = note_of(root, record)
    path.write_bytes(seal(values))
    assert kept(root) == record
    again = asked("g.toml", *(stated(text, FRIDAY, resolved=text) for text in EVERY_FORM))
    assert changed_records(root, [again]) == []


def test_an_expectation_is_stored_as_a_value(root: Path) -> None:
    (path,) = note_of(root, asked("g.toml", stated(resolved="mean of a, b - c > 0.1 by 0.05")))
    (hypothesis,) = tomllib.loads(path.read_text())["hypotheses"]
    contrast = {
        "upper": {"quantifier": "mean", "of": ["a", "b"]},
        "lower": {"quantifier": "one", "of": ["c"]},
    }
    assert hypothesis["resolved"] == {
        "sides": [contrast, {"value": 0.1}],
        "sign": ">",
        "margin": 0.05,
    }


def test_a_long_list_is_written_as_a_short_one_is(root: Path) -> None:
    names = tuple(f'e{number} "\n' for number in range(2000))
    content = seal(asked().model_copy(update={"names": names}).model_dump())
    assert content.count(b"\n") == seal(asked().model_dump()).count(b"\n")
    write_records(root, [asked().model_copy(update={"names": names})])
    assert kept(root).names == names
