from pathlib import Path

from tui.tail import FIRST_READ_BYTES, MOST_READ_BYTES, LogTail


def test_lines_of_all_daemons_are_merged_by_their_time(tmp_path: Path):
    (tmp_path / "infer.log").write_text("2026-01-01 10:00:02,000 infer\n")
    (tmp_path / "node.log").write_text(
        "2026-01-01 10:00:01,000 node\n2026-01-01 10:00:03,000 node\n"
    )
    lines = LogTail(tmp_path).new_lines()
    assert [line[-5:].strip() for line in lines] == ["node", "infer", "node"]


def test_only_what_is_new_comes_and_half_a_line_waits(tmp_path: Path):
    path = tmp_path / "node.log"
    path.write_text("one\n")
    tail = LogTail(tmp_path)
    assert tail.new_lines() == ["one"]
    with path.open("a") as file:
        file.write("two\nthr")
    assert tail.new_lines() == ["two"]
    with path.open("a") as file:
        file.write("ee\n")
    assert tail.new_lines() == ["three"]
    assert tail.new_lines() == []


def test_a_file_that_was_cut_short_is_read_from_its_start(tmp_path: Path):
    path = tmp_path / "node.log"
    path.write_text("a long first line\n")
    tail = LogTail(tmp_path)
    tail.new_lines()
    path.write_text("new\n")
    assert tail.new_lines() == ["new"]


def test_of_a_long_file_only_whole_lines_of_its_end_are_read(tmp_path: Path):
    path = tmp_path / "node.log"
    path.write_text("x" * 99 + "\n" + ("y" * 99 + "\n") * (FIRST_READ_BYTES // 100 + 50))
    lines = LogTail(tmp_path).new_lines()
    assert {len(line) for line in lines} == {99}
    assert not any("x" in line for line in lines)


def test_a_folder_that_is_not_there_has_no_lines(tmp_path: Path):
    assert LogTail(tmp_path / "log").new_lines() == []


def test_what_has_no_time_stays_with_the_line_before_it(tmp_path: Path):
    (tmp_path / "infer.log").write_text("2026-01-01 10:00:02,000 infer a\n  rest of a\n")
    (tmp_path / "node.log").write_text(
        "2026-01-01 10:00:01,000 node b\n2026-01-01 10:00:03,000 node c\n"
    )
    tail = LogTail(tmp_path)
    assert [line[-1] for line in tail.new_lines()] == ["b", "a", "a", "c"]
    with (tmp_path / "infer.log").open("a") as file:
        file.write("  more of a\n")
    with (tmp_path / "node.log").open("a") as file:
        file.write("2026-01-01 10:00:04,000 node d\n")
    assert [line[-1] for line in tail.new_lines()] == ["a", "d"]


def test_a_file_that_was_replaced_is_read_from_its_start(tmp_path: Path):
    path = tmp_path / "node.log"
    path.write_text("one\n")
    tail = LogTail(tmp_path)
    tail.new_lines()
    path.rename(tmp_path / "node.log.1")
    path.write_text("another and longer\n")
    assert tail.new_lines() == ["another and longer"]


def test_a_line_too_long_to_be_read_is_stepped_over_and_stops_nothing(tmp_path: Path):
    path = tmp_path / "node.log"
    path.write_text("one\n")
    tail = LogTail(tmp_path)
    tail.new_lines()
    with path.open("a") as file:
        file.write("x" * (2 * MOST_READ_BYTES + 7))
    assert [tail.new_lines() for _ in range(3)] == [[], [], []]
    with path.open("a") as file:
        file.write("its end\nafter it\n")
    assert tail.new_lines() == ["after it"]
    with path.open("a") as file:
        file.write("and so on\n")
    assert tail.new_lines() == ["and so on"]
