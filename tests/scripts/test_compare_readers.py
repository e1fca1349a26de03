import logging

import pytest

pytest.importorskip("gensim", reason="gensim is not installed")

import compare_readers

END_OF_SENTENCE = "</s>"
"""fastText gives it no n-grams; gensim does."""


@pytest.fixture(scope="module")
def folder():
    found = compare_readers.data_folder()
    if not found.exists():
        pytest.skip("gensim is installed without its test data")
    yield found
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
def test_no_file_of_gensims_test_data_is_read_otherwise_in_silence(folder):
    rows = {row.file: row for row in compare_readers.rows(folder)}
    assert len(rows) >= 20
    for row in rows.values():
        assert not row.ours.startswith("error"), row
        if row.difference in ("none", "–"):
            continue
        repaired = "not UTF-8" in row.ours
        assert repaired or row.difference.endswith(f"for `{END_OF_SENTENCE}`"), row
    for name in ("cp852_fasttext.bin", "lee_fasttext.bin", "high_precision.kv.bin"):
        assert name in rows


@pytest.mark.filterwarnings("ignore")
def test_pickles_of_gensim_are_rejected_by_name(folder):
    assert "word2vec_old" in compare_readers.pickles(folder)
