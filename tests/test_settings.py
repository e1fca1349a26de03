import pytest
import yaml

from embedder.errors import ConfigError
from embedder.settings import ALIASES, apply_settings, config_of, split_inputs


def test_files_are_told_from_overrides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").write_text("text")
    long = "evaluation.words=" + "x" * 5000
    assert split_inputs([long]) == ([], [long])
    found = split_inputs(["my.txt", "training.passes=5", "a=b", "https://a.b/c?d=e", "output=x"])
    assert found == (["my.txt", "a=b", "https://a.b/c?d=e"], ["training.passes=5", "output=x"])


def test_texts_have_the_default_configuration(write):
    config = config_of(["a.txt", "b/"], ["network.dimension=30"])
    assert config.corpus.files == ["a.txt", "b/"]
    assert (config.network.dimension, config.network.hidden) == (30, 30)
    path = write("c.yaml", yaml.safe_dump({"corpus": {"files": "x"}, "output": "there"}))
    assert config_of([str(path)], ["training.passes=3"]).output == "there"
    with pytest.raises(ConfigError, match=r"^the command line: training.passes: expected"):
        config_of(["a.txt"], ["training.passes=-1"])


@pytest.mark.parametrize("name", ALIASES)
def test_what_other_programs_call_keys_sets_these(name):
    tree = {}
    assert apply_settings(tree, {name: 7}) == {ALIASES[name]: name}
    section, key = ALIASES[name].split(".")
    assert tree == {section: {key: 7}}


@pytest.mark.parametrize("files", [["c.yaml", "a.txt"], ["a.txt", "c.yaml"]])
def test_a_configuration_and_texts_exclude_each_other(files):
    with pytest.raises(ConfigError, match=r"^c.yaml: a configuration names its text .* a.txt"):
        config_of(files, [])
    with pytest.raises(ConfigError, match=r"omit d.yml"):
        config_of(["c.yaml", "d.yml"], [])


def test_settings_have_short_names():
    tree = {"network": {"activation": "tanh"}}
    names = apply_settings(
        tree,
        {
            "dimension": 50,
            "epochs": 3,
            "max_words": 1000,
            "seed": 4,
            "text_field": "body",
            "training.threads": 2,
            "validation": {"fraction": 0.1},
            "subwords": True,
            "phrases": {"passes": 1},
        },
    )
    assert tree == {
        "network": {"activation": "tanh", "dimension": 50},
        "training": {"passes": 3, "seed": 4, "threads": 2},
        "vocabulary": {"max_size": 1000},
        "corpus": {"text_field": "body", "phrases": {"passes": 1}},
        "validation": {"fraction": 0.1},
        "subwords": {"max_n": 6},
    }
    assert names["training.passes"] == "epochs"
    assert "validation.fraction" not in names  # a section, so that errors name the key
    assert "subwords.max_n" not in names
    for settings in (
        {"max_n": 4, "subwords": True},
        {"subwords": True, "max_n": 4},
    ):
        tree2: dict = {}
        apply_settings(tree2, settings)
        assert tree2["subwords"]["max_n"] == 4
    assert apply_settings(tree, {"subwords": False, "phrases": False}) == {}


def test_unknown_and_ambiguous_names_are_refused():
    with pytest.raises(ConfigError, match=r"dimensions: unknown setting. Did you mean 'dimension'"):
        apply_settings({}, {"dimensions": 5})
    with pytest.raises(ConfigError, match=r"files: ambiguous; expected one of corpus.files, val"):
        apply_settings({}, {"files": "a"})
    with pytest.raises(ConfigError, match="`embedder config` lists all"):
        apply_settings({}, {"zzz": 1})
