import pytest

from embedder.config_automatic import passes


@pytest.mark.parametrize(
    ("wanted", "source", "words", "expected"),
    [
        ("auto", "cooccurrence", 2, 10),
        ("auto", "cooccurrence", 20_000, 10),
        ("auto", "cooccurrence", 20_001, 20),
        ("auto", "cooccurrence", 2_000_000, 20),
        ("auto", "windows", 20_001, 5),
        (7, "cooccurrence", 20_001, 7),
        (7, "windows", 2, 7),
    ],
)
def test_passes_are_chosen_by_the_number_of_words(make_toy_config, wanted, source, words, expected):
    config = make_toy_config(examples={"source": source}, training={"passes": wanted})
    assert passes(config, words) == expected
