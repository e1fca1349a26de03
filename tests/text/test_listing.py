import errno
import os
from pathlib import Path

import pytest

from embedder.config_sections.text import CorpusConfig
from embedder.errors import CorpusError, CorpusWarning
from embedder.text.corpus import read_text
from embedder.text.listing import files_below, find_shards, find_sources


def names(*patterns, folder, **options):
    """The files that patterns below a folder stand for, relative to it."""
    found = find_sources([str(folder / pattern) for pattern in patterns], **options)
    return [source.path.relative_to(folder).as_posix() for source in found]


@pytest.fixture
def tree(write, tmp_path):
    for name in ("a.txt", "b.md", "sub/c.txt", "sub/deep/d.txt", ".hidden/e.txt", "sub/.f.txt"):
        write(f"d/{name}", f"{name}\n")
    return tmp_path / "d"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (".", ["a.txt", "b.md", "sub/c.txt", "sub/deep/d.txt"]),
        ("*", ["a.txt", "b.md"]),
        ("*.txt", ["a.txt"]),
        ("?.md", ["b.md"]),
        ("[ab].*", ["a.txt", "b.md"]),
        ("*/*.txt", ["sub/c.txt"]),
        ("**", ["a.txt", "b.md", "sub/c.txt", "sub/deep/d.txt"]),
        ("**/*.txt", ["a.txt", "sub/c.txt", "sub/deep/d.txt"]),
        ("s*/**/d.txt", ["sub/deep/d.txt"]),
        ("**/deep/*", ["sub/deep/d.txt"]),
        (".h*/*", [".hidden/e.txt"]),
        ("sub/.*", ["sub/.f.txt"]),
        ("sub/../a.*", ["sub/../a.txt"]),
    ],
)
def test_globs_and_folders_are_expanded(tree, pattern, expected):
    assert names(pattern, folder=tree) == expected


def test_patterns_may_be_relative(tree, monkeypatch):
    monkeypatch.chdir(tree)
    for pattern in ("**/c.txt", "./sub/*.txt", "sub"):
        assert find_sources([pattern])[0].name == str(Path("sub/c.txt"))


def test_a_file_that_several_patterns_match_counts_once(tree):
    assert names("b.md", "*", "**/*.txt", ".", folder=tree) == [
        "b.md",
        "a.txt",
        "sub/c.txt",
        "sub/deep/d.txt",
    ]


def test_links_are_followed_and_each_real_file_counts_once(tree, write):
    other = write("other/x.txt", "x").parent
    (tree / "sub" / "back").symlink_to(tree)
    (tree / "sub" / "deep" / "again").symlink_to(tree / "sub")
    (tree / "elsewhere").symlink_to(other)
    (tree / "copy.txt").symlink_to(tree / "a.txt")
    expected = {"a.txt", "c.txt", "d.txt", "x.txt"}
    for patterns in (["**/*.txt"], ["."], ["*", "*/*", "**"]):
        found = names(*patterns, folder=tree)
        real = [os.path.realpath(tree / name) for name in found]
        assert len(set(real)) == len(real)
        assert {Path(path).name for path in real} - {"b.md"} == expected


def test_a_link_to_nothing_is_an_error_or_left_out_with_a_warning(tree):
    (tree / "gone.txt").symlink_to(tree / "missing")
    (tree / "around.txt").symlink_to(tree / "around.txt")
    for pattern in (".", "*.txt", "gone.txt"):
        with pytest.raises(CorpusError, match=r"gone\.txt.*\(a link to a missing file\).*=skip\.$"):
            names(pattern, folder=tree)
    with pytest.warns(CorpusWarning, match=r"around\.txt .*gone\.txt .* be read; left out\.$"):
        assert names("*.txt", folder=tree, unreadable="skip") == ["a.txt"]
    with pytest.raises(CorpusError, match=r"gone\.txt"):
        names("gone.txt", folder=tree, unreadable="skip")
    assert names("*.md", folder=tree) == ["b.md"]  # whose pattern does not concern it


def test_files_and_folders_without_permission_are_named(tree, monkeypatch):
    def forbid(allowed, *forbidden):
        def call(path, *arguments):
            if str(path) in map(str, forbidden):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return allowed(path, *arguments)

        return call

    monkeypatch.setattr(os, "listdir", forbid(os.listdir, tree / "sub"))
    may_read = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path.name != "a.txt" and may_read(path, mode)
    )
    with pytest.raises(CorpusError, match=r"a\.txt \(Permission denied\), .*/sub \(Perm"):
        names(".", folder=tree)
    with pytest.warns(CorpusWarning):
        assert names("**", folder=tree, unreadable="skip") == ["b.md"]
    with pytest.raises(CorpusError, match="Permission denied"):
        names("a.txt", folder=tree)
    with pytest.raises(CorpusError, match="Permission denied"):
        files_below(tree)
    monkeypatch.setattr(Path, "lstat", forbid(Path.lstat, tree / "sub" / "c.txt"))
    with pytest.raises(CorpusError, match=r"c\.txt: cannot be read \(Permission denied\)"):
        names("s*/c.txt", folder=tree)
    monkeypatch.setattr(Path, "stat", forbid(Path.stat, tree / "b.md"))
    with pytest.raises(CorpusError, match=r"b\.md: cannot be read \(Permission denied\)"):
        names("b.md", folder=tree)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_modes_of_files_are_respected(tree):
    (tree / "sub").chmod(0)
    try:
        for pattern in (".", "sub/c.txt", "**/*.txt"):
            with pytest.raises(CorpusError, match="Permission denied"):
                names(pattern, folder=tree)
    finally:
        (tree / "sub").chmod(0o755)


def test_a_configuration_may_leave_out_what_cannot_be_read(tree):
    (tree / "gone.txt").symlink_to(tree / "missing")
    config = CorpusConfig(files=[str(tree / "*.txt")], unreadable="skip")
    with pytest.warns(CorpusWarning):
        assert b"".join(read_text(config)).split() == [b"a", b"txt"]
    with pytest.warns(CorpusWarning):
        assert len(find_shards(config.files, 100, config.unreadable)) == 1


@pytest.mark.parametrize("pattern", ["", " ", "\n"])
def test_an_empty_name_is_not_the_current_folder(pattern):
    with pytest.raises(CorpusError, match="name of a text is empty"):
        find_sources([pattern])


def test_the_error_for_a_missing_file_says_where_it_was_looked_for(tree, monkeypatch):
    monkeypatch.chdir(tree)
    with pytest.raises(CorpusError, match=rf"^nothing: no such file or folder in {tree}; check"):
        find_sources(["nothing"])
    with pytest.raises(CorpusError, match=r"did you mean 'sub/c\.txt'\?"):
        find_sources(["sub/c.tx"])
    for impossible in ("x" * 5000, "a\0b", "a.txt/below"):
        with pytest.raises(CorpusError, match="no such file or folder"):
            find_sources([impossible])
    with pytest.raises(CorpusError, match=r"\*\.pdf: no matching files"):
        find_sources(["*.pdf"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_read_if_named_but_no_part_of_a_folder(tree):
    os.mkfifo(tree / "pipe")
    assert "pipe" not in names(".", folder=tree)
    assert names("pipe", folder=tree) == ["pipe"]
