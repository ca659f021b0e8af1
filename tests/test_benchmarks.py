"""What the benchmarks have written."""

from benchmarks.speed.page import PAGE, page


def test_the_page_is_made_from_the_results():
    assert PAGE.read_text() == page(), "run python -m benchmarks.speed.page"
