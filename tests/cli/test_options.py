import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from embedder.cli import main


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "my"], [("file", "my")]),
        (["train", "my.txt", "ot"], [("file", "ot")]),
        (["info", "runs/"], [("file", "runs/")]),
        (["config", "network.di"], [("plain", "network.dimension"), ("plain", "network.direct")]),
        (["neigh"], [("plain", "neighbors")]),
        (["train", "my.txt", "--dim"], [("plain", "--dimension")]),
    ],
)
def test_shells_complete_files_keys_commands_and_options(words, expected):
    complete = BashComplete(main, {}, "embedder", "_EMBEDDER_COMPLETE")
    found = complete.get_completions(words[:-1], words[-1])
    assert [(item.type, item.value) for item in found] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--passes", "many"], "'many' is not a valid whole number."),
        (["--max-minutes", "long"], "'long' is not a valid number."),
        (["--dimension", "0"], "0 is not in the range x>=1."),
        (["--epochs", "3"], "No such option '--epochs'. Did you mean '--passes'?"),
        (["--vector-size", "50"], "Did you mean '--dimension'?"),
        (["--minCount", "2"], "Did you mean '--min-count'?"),
        (["--max-final-vocab", "9"], "Did you mean '--max-words'?"),
    ],
)
def test_mistakes_in_options_are_explained(arguments, message):
    result = CliRunner().invoke(main, ["train", "my.txt", *arguments])
    assert result.exit_code == 2
    assert message in result.output
