from typing import get_args

import click
import pytest
from click.testing import CliRunner

from embedder.cli import main
from embedder.cli.program import _TOPICS
from embedder.config_sections.network import VectorKind
from embedder.config_sections.training import TrainingConfig
from embedder.evaluation.analogies import Method
from embedder.reporting.report import Projection
from embedder.vectors.formats import FORMATS

COMMANDS = sorted(main.commands)


def test_the_help_lists_every_command_by_topic_with_its_full_summary():
    listed = [name for names in _TOPICS.values() for name in names]
    assert sorted(listed) == COMMANDS
    shown = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    assert "..." not in shown.replace("[ARGS]...", "")
    for topic in _TOPICS:
        assert f"{topic}:" in shown
    for command in main.commands.values():
        assert command.get_short_help_str(1000) in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_unwrapped_example(name):
    lines = CliRunner().invoke(main, [name, "--help"]).output.splitlines()
    assert any(line.startswith(f"      embedder {name}") for line in lines)
    assert all(len(line) <= 100 for line in lines)


def choices_of(command, option):
    (parameter,) = [p for p in main.commands[command].params if option in p.opts]
    assert isinstance(parameter.type, click.Choice)
    return list(parameter.type.choices)


def test_choices_agree_with_the_package():
    """The choices are literals, so that the help does not import the modules that define them."""
    assert choices_of("eval", "--vectors") == list(get_args(VectorKind))
    assert choices_of("eval", "--method") == list(get_args(Method))
    assert choices_of("export", "--format") == list(FORMATS)
    assert choices_of("report", "--map") == list(get_args(Projection))
    engines = TrainingConfig.model_fields["engine"].annotation
    assert choices_of("train", "--engine") == list(get_args(engines))
