"""The main command: parsing, errors and help, common to all commands."""

import inspect
import re
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from embedder.cli.options import option_names
from embedder.cli.streams import lenient_streams
from embedder.errors import CorpusWarning, EmbedderError
from embedder.runs.progress import say
from embedder.settings import ALIASES, NAMES
from embedder.training.signals import stop_signals
from embedder.version import __version__

_TOPICS = {
    "Train": ("train", "update", "slices", "init", "config", "run", "phrases"),
    "Explore": ("neighbors", "analogy", "changes", "info", "report"),
    "Measure": ("eval", "compare", "stability", "check-gradients"),
    "Convert": ("export", "convert", "align", "index"),
    "Manage": ("cache",),
}
"""The commands by topic, as the help lists them."""
_LONGEST_SUMMARY = 200


class Command(click.Command):
    """A command whose help shows indented lines of its description, such as examples, unchanged.

    If the command's argument comes first, repeatable options take all the values that follow them,
    as in --analogies FILE FILE. After such an option, an argument would look like a value.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        # Click does not rewrap a paragraph that begins with this mark.
        self.help = re.sub(r"\n\n(?=    )", "\n\n\b\n", inspect.cleandoc(self.help or ""))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors are one sentence in terms of its options."""
        try:
            return super().invoke(ctx)
        except EmbedderError as error:
            message = str(error)
        except OSError as error:  # where nobody expected that a look is forbidden
            if error.filename is None or isinstance(error, BrokenPipeError):
                raise
            message = f"{error.filename}: cannot be accessed ({error.strerror})."
        except MemoryError:
            message = "out of memory; lower vocabulary.max_size or training.batch_size."
        from embedder.config_files import with_names

        raise click.ClickException(with_names(message, option_names(ctx))) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its values, then parse."""
        if args and not args[0].startswith("-"):
            args = self._repeat_options(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            message = error.format_message()
            if option := self._option_for(error.option_name):
                message = f"No such option '{error.option_name}'. Did you mean '{option}'?"
            elif not any(isinstance(parameter, click.Argument) for parameter in self.params):
                raise
            else:
                message += f" If it is a word or a file, put -- before it: -- {error.option_name}"
            raise click.UsageError(message, ctx) from None

    def _option_for(self, name: str) -> str | None:
        """Return our option for what other programs call so."""
        key = ALIASES.get(name.lstrip("-").replace("-", "_"), "")
        ours = next((short for short in NAMES if NAMES[short] == key), key.rpartition(".")[2])
        option = f"--{ours.replace('_', '-')}"
        return option if any(option in parameter.opts for parameter in self.params) else None

    def _repeat_options(self, args: list[str]) -> list[str]:
        """Return arguments with a repeatable option before each of its values."""
        repeatable = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.multiple
            for name in parameter.opts
        }
        expanded: list[str] = []
        option: str | None = None
        for before, argument in zip(["", *args], args, strict=False):
            if argument.startswith("-"):
                option = argument if argument in repeatable else None
            elif option is not None and before != option:
                expanded.append(option)
            expanded.append(argument)
        return expanded


class _Program(click.Group):
    command_class = Command

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the program; see `click.Group.main`."""
        with lenient_streams(), _plain_warnings():
            return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with stop_signals() as signals, signals.at_once():
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            click.echo("Stopped.", err=True)
            raise SystemExit(exit_code_of(stop)) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by topic, each with its full summary."""
        for topic, names in _TOPICS.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                assert command is not None
                rows.append((name, command.get_short_help_str(_LONGEST_SUMMARY)))
            with formatter.section(topic):
                formatter.write_dl(rows)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show our own warnings as a sentence, without a place in the program."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_plainly(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, CorpusWarning):
                say(str(message))
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = show_plainly
        warnings.simplefilter("default", CorpusWarning)
        yield


def exit_code_of(stop: BaseException) -> int:
    """Return the exit code of a program that a signal ended: 128 and its number."""
    return 128 + int(getattr(stop, "number", signal.SIGINT))


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="embedder")
def main() -> None:
    """Train word embeddings from your own text on ordinary CPUs, and use them.

    `embedder COMMAND --help` explains a command, with examples.
    """
