"""datasets/shop as a description: figures, formulas, errors. No server."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pglab.dataset import Dataset, seeding, template_name
from pglab.dataset.progress import Board
from pglab.errors import DatasetError, DiskFull

SHOP = Dataset.load("shop")
SEEDS = {path.stem: path.read_text() for path in (SHOP.folder / "seed").glob("*.sql")}


def code_of(text: str) -> str:
    """SQL without its comments and its strings."""
    return re.sub(r"'[^']*'", "''", re.sub(r"--.*", "", text))


def array(text: str, number: int = 0) -> list[int]:
    """The number-th literal integer[] of a text."""
    return [int(each) for each in re.findall(r"\('\{([\d,\s]+)\}'::integer\[\]\)", text)[number].split(",")]


def sql_hash(i: np.ndarray, salt: int) -> np.ndarray:
    """gen.h as functions.sql writes it, run by numpy: * and % are alike, # is ^."""
    body = re.search(r"FUNCTION gen\.h\(.*?RETURN\s(.*?);", SHOP.functions(SHOP.scales["tiny"]), re.S)
    assert body
    return np.asarray(eval(body[1].replace("#", "^").replace("\n", " "), {"i": i, "salt": salt}))


# -- figures ----------------------------------------------------------------------------------------------------------


def test_full_is_the_size_that_was_promised() -> None:
    rows = SHOP.scales["full"].rows
    assert rows["orders"] == 2_400_000
    assert rows["order_items"] >= 4_800_000
    assert 9_500_000 <= sum(rows.values()) <= 11_000_000


def test_large_is_ten_times_full_and_tiny_holds_whole_blocks() -> None:
    scales = SHOP.scales
    assert {table: 10 * rows for table, rows in scales["full"].rows.items()} == scales["large"].rows
    assert scales["tiny"].rows["users"] % 100 == 0
    assert scales["tiny"].rows["orders"] < 50_000


@pytest.mark.parametrize("scale", ["tiny", "small", "full", "large"])
def test_every_table_has_a_checksum(scale: str) -> None:
    stated = SHOP.scales[scale].checksums
    assert set(stated) == set(SHOP.scales[scale].rows)
    assert all(0 < int(value) < 2**64 for value in stated.values())


def test_every_table_has_its_files() -> None:
    tables = set(re.findall(r"CREATE TABLE (\w+)", SHOP.schema))
    assert tables == set(SEEDS) == set(SHOP.scales["full"].rows)
    for table in tables:
        assert SHOP.insert(table, SHOP.scales["tiny"], 1, 2).split("INSERT INTO")[1].split()[0] == table
        assert any("PRIMARY KEY (id)" in statement for statement in SHOP.finish(table))


def test_template_name_carries_scale_and_version() -> None:
    assert template_name(SHOP, "full") == f"shop_full_{SHOP.version}"


# -- the same rows everywhere -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", sorted(SEEDS))
def test_nothing_that_differs_between_servers(table: str) -> None:
    code = code_of(SEEDS[table])
    assert not re.search(
        r"\b(random|now|clock_timestamp|current_\w+|md5|sha\d+|hash\w*|float\w*|numeric|real|double)\b",
        code,
        re.I,
    )
    assert not re.search(r"\d\.\d", code), "a fraction"


@pytest.mark.parametrize("table", sorted(SEEDS))
def test_every_variable_is_filled_and_casts_stay(table: str) -> None:
    code = code_of(SHOP.insert(table, SHOP.scales["small"], 7, 9))
    assert "generate_series(7::bigint, 9)" in code
    assert not re.search(r"(?<!:):[a-z]", code)


def test_hash_is_even_and_uncorrelated() -> None:
    count = 1_000_000
    i = np.arange(1, count + 1, dtype=np.int64)
    drawn = {salt: sql_hash(i, salt) for salt in (1, 2, 3, 11, 12, 41)}
    for values in drawn.values():
        assert values.min() >= 0
        assert values.max() < 2**32
        for classes in (7, 10, 100, 4096):  # by the low bits and by the high ones
            for found in (values % classes, values * classes >> 32):
                assert chi_square_z(np.bincount(found, minlength=classes)) < 6
        for lag in (1, 2, 10, 21, 2400):
            assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 0.01
            pairs = (values[:-lag] * 10 >> 32) * 10 + (values[lag:] * 10 >> 32)
            assert chi_square_z(np.bincount(pairs, minlength=100)) < 6
    for one in drawn:
        for other in drawn:
            if one < other:
                assert abs(np.corrcoef(drawn[one], drawn[other])[0, 1]) < 0.01


def chi_square_z(counts: np.ndarray) -> float:
    """By how many standard deviations the counts are less even than chance makes them."""
    mean = counts.mean()
    return float((((counts - mean) ** 2 / mean).sum() - (len(counts) - 1)) / math.sqrt(2 * (len(counts) - 1)))


# -- formulas that two files share ------------------------------------------------------------------------------------


def test_orders_are_dealt_by_a_permutation_at_every_scale() -> None:
    to_slot = int(re.findall(r"\* (\d+) % \(2400 \* :blocks\)", SEEDS["orders"])[0])
    to_user = int(re.findall(r"\* (\d+) % \(100 \* :blocks\)", SEEDS["orders"])[0])
    for scale in SHOP.scales.values():
        assert math.gcd(to_slot, 2400 * scale.blocks) == 1
        assert math.gcd(to_user, 100 * scale.blocks) == 1


def test_orders_know_the_items_that_order_items_makes() -> None:
    items, first = array(SEEDS["orders"], 0), array(SEEDS["orders"], 1)
    order_of_item = array(SEEDS["order_items"])
    assert [order_of_item.count(order) for order in range(1, 11)] == items
    assert [order_of_item.index(order) + 1 for order in range(1, 11)] == first
    assert set(items) <= {1, 2, 3, 5}, "seed/orders.sql adds the fourth and the fifth together"


def test_shipments_invert_the_status_rank() -> None:
    forth = re.search(
        r"\(order_id - 1\) \* (\d+) \+ gen\.h\(\(order_id - 1\) / 100",
        (SHOP.folder / "functions.sql").read_text(),
    )
    back = re.search(r"\) \* (\d+) % 100 AS order_id", SEEDS["shipments"])
    assert forth
    assert back
    assert int(forth[1]) * int(back[1]) % 100 == 1


# -- errors -----------------------------------------------------------------------------------------------------------


def test_unknown_dataset_and_scale(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset nothing"):
        Dataset.load("nothing")
    with pytest.raises(DatasetError, match=r"no scale 'huge'.*tiny, small, full, large"):
        SHOP.scale("huge")
    (tmp_path / "datasets" / "shop").mkdir(parents=True)
    (tmp_path / "datasets" / "shop" / "dataset.toml").write_text("name = 'shop'\n")
    with pytest.raises(DatasetError, match="cannot be read"):
        Dataset.load("shop", tmp_path)


def test_too_little_disk_is_said_with_both_figures(tmp_path: Path) -> None:
    cluster: Any = SimpleNamespace(primary=SimpleNamespace(data=tmp_path, free_bytes=lambda: 1_500_000_000))
    with pytest.raises(DiskFull) as caught:
        seeding._check_room(cluster, SHOP, SHOP.scales["full"])
    assert f"{SHOP.scales['full'].bytes * 2.2 / 1e9:.2f} GB" in str(caught.value)
    assert "1.50 GB are free" in str(caught.value)
    assert "scale small" in str(caught.value)
    seeding._check_room(cluster, SHOP, SHOP.scales["small"])


# -- progress ---------------------------------------------------------------------------------------------------------


def test_progress_rises_to_the_end() -> None:
    scale = SHOP.scales["small"]
    board = Board(SHOP, scale)
    inside: list[tuple[int, float]] = []
    admin: Any = SimpleNamespace(execute=lambda *_: SimpleNamespace(fetchall=lambda: inside))
    seen = [board.read(admin, {})[0]]
    for table, rows in scale.rows.items():
        pids = {table: 1}
        for share in (0.5, 1.0):
            board.loaded(table, int(rows * share))
            seen.append(board.read(admin, pids)[0])
        board.begin(table, "vacuum")
        for number in range(len(SHOP.finish(table))):
            board.begin(table, "index", number)
            inside[:] = [(1, 0.5)]
            seen.append(board.read(admin, pids)[0])
            inside.clear()
        assert board.read(admin, pids)[1] == f"indexing {table}"
        board.begin(table, "verify")
        seen.append(board.read(admin, pids)[0])
        board.end(table)
        seen.append(board.read(admin, {})[0])
    assert seen[0] == 0
    assert all(before < after or before == after == 0.999 for before, after in pairwise(seen))
    assert seen[-1] == 0.999, "1 is for the rename"
