import pytest

from embedder.errors import FormatError, for_python, python_errors


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "x: in use; resume with: embedder train --resume a b.",
            "x: in use; resume with: embedder.train(…, output='a b', resume=True).",
        ),
        (
            "again with: embedder train r/config.yaml --output r --overwrite",
            "again with: embedder.train(…, output='r', overwrite=True)",
        ),
        ("expected --format fasttext.", "expected file_format='fasttext'."),
        ("or give --format (npy, glove).", "or give file_format (npy, glove)."),
        ("say so: --from glove.", "say so: file_format='glove'."),
        ("leave them out (--unwritable skip)", "leave them out (unwritable='skip')"),
        ("v.bin: --vectors is for runs", "v.bin: kind is for runs"),
    ],
)
def test_advice_is_in_python(message, expected):
    assert for_python(message) == expected


def test_a_function_can_be_decorated():
    @python_errors()
    def fail():
        raise FormatError("x: --from glove")

    for _ in range(2):
        with pytest.raises(FormatError, match=r"^x: file_format='glove'$"):
            fail()
