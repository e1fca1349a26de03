import pytest
import yaml

from embedder.config import Config
from embedder.config_files import load_config, make_config, with_names
from embedder.errors import ConfigError

MINIMAL = "corpus: {files: [a.txt]}\n"


def test_defaults_fill_what_a_file_leaves_out(write):
    config = load_config(write("a.yaml", MINIMAL))
    assert config.network.activation == "sigmoid"
    assert config.training.batch_size == 256


def test_the_documented_keys_are_accepted(write):
    text = """
corpus:        {files: [books17.txt.gz], tokenizer: whitespace, lowercase: false, text_field: null}
vocabulary:    {min_count: 5, max_size: 30000, subsample: 1.0e-3}
examples:      {source: cooccurrence, window: 5, window_weights: linear}
network:       {input: word, dimension: 100, hidden: 100, activation: sigmoid, direct: false}
loss:          {name: softmax}
training:      {passes: 20, batch_size: 256, optimizer: adam, learning_rate: 2.0e-2, seed: 1,
                threads: 2, checkpoint_every: 5, engine: local}
validation:    {fraction: 0.0}
output:        runs/books
"""
    assert load_config(write("a.yaml", text)).output == "runs/books"


def test_the_resolved_configuration_reads_back_as_itself(write):
    config = load_config(write("a.yaml", MINIMAL), ["training.learning_rate=1e-2"])
    assert load_config(write("b.yaml", config.to_yaml())) == config


def test_overrides_are_yaml_and_make_missing_sections(write):
    overrides = ["training.passes=3", "corpus.files=[b.txt, c.txt]", "network.direct=true"]
    config = load_config(write("a.yaml", MINIMAL), overrides)
    assert (config.training.passes, config.network.direct) == (3, True)
    assert config.corpus.files == ["b.txt", "c.txt"]


def test_one_file_needs_no_list(write):
    assert load_config(write("a.yaml", "corpus: {files: a.txt}")).corpus.files == ["a.txt"]


@pytest.mark.parametrize("number", ["2e-2", "2.0e-2", "0.02", "+2E-2"])
def test_scientific_notation_is_a_number(write, number):
    config = load_config(write("a.yaml", MINIMAL + f"training: {{learning_rate: {number}}}"))
    assert config.training.learning_rate == 0.02


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corpus: {files: [a], tokeniser: words}", "Did you mean 'corpus.tokenizer'?"),
        ("corpus: {files: [a]}\ntrainin: {}", "Did you mean 'training'?"),
        ("corpus: {files: [a], min_count: 2}", "Did you mean 'vocabulary.min_count'?"),
        ("corpus: {files: [a], zzz: 2}", "Valid keys: files, tokenizer"),
        ("training: {passes: 3}", "corpus: required, but not given."),
        (
            MINIMAL + "network: {dimension: 0}",
            "network.dimension: expected a number greater than 0, got 0",
        ),
        (MINIMAL + "network: {dimension: -5}", "network.dimension"),
        (MINIMAL + "network: {dimension: ten}", "expected a valid integer, got 'ten'"),
        (MINIMAL + "training: {passes: 1.5}", "training.passes"),
        (MINIMAL + "training: {memory_limit: 1XB}", "expected a size, such as 2GB, got '1XB'"),
        (MINIMAL + "training: {optimizer: adamw}", "'adam', 'adafactor', 'adagrad' or 'sgd'"),
        (MINIMAL + "training: [1]", "expected a section with keys"),
        ("corpus: {files: []}", "corpus.files"),
        ("corpus: [", "line 1: not valid YAML"),
        ("- a\n- b", "expected sections"),
        (MINIMAL + "corpus: {files: [b]}", "line 2: not valid YAML: duplicate key 'corpus'"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("", "corpus: required"),
    ],
)
def test_a_mistake_is_named_with_its_place(write, text, said):
    path = write("a.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_a_missing_file_a_folder_and_a_binary_file_are_told_apart(write, tmp_path):
    for path, said in [
        (tmp_path / "none.yaml", "no such"),
        (tmp_path, "folder"),
        (write("b.yaml", b"\xff\xfe\x00"), "not a text file"),
    ]:
        with pytest.raises(ConfigError, match=said):
            load_config(path)


@pytest.mark.parametrize(
    "override", ["training", "=3", "training.passes.more=3", "output=[", "x=y"]
)
def test_a_bad_override_is_named(write, override):
    with pytest.raises(ConfigError):
        load_config(write("a.yaml", MINIMAL + "training: {passes: 2}"), [override])


def test_every_config_of_the_project_is_valid(pytestconfig):
    files = sorted((pytestconfig.rootpath / "configs").glob("*.yaml"))
    assert files
    for file in files:
        assert yaml.safe_load(load_config(file).to_yaml())


WINDOWS = "examples.source=windows"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["network.input=mean"], "expected windows for network.input mean"),
        (["examples.dynamic=true"], "examples.dynamic: has no effect"),
        ([WINDOWS, "examples.near=3"], "examples.near: has no effect"),
        (["loss.name=nce"], "loss.name: expected softmax"),
        (["network.dropout=0.1"], "need examples.source windows"),
        (["validation.files=[b.txt]"], "expected only fraction"),
        ([WINDOWS, "network.input=concat", "network.vectors=sum"], "expected input or output"),
        ([WINDOWS, "network.tied=true", "network.hidden=50"], "equal to network.dimension"),
        ([WINDOWS, "validation.fraction=0.1", "validation.split=[5, 5]"], "expected only one of"),
        (["validation.fraction=0.1", "evaluation.ngram=5"], "windows and network.input mean or"),
        (
            [WINDOWS, "network.input=mean", "evaluation.ngram=5"],
            "expected fraction, files or split",
        ),
        (["validation.patience=5"], "expected fraction, files or split"),
        (["training.optimizer=adafactor"], "sampled-softmax, negative-sampling or nce, got softm"),
        (
            [WINDOWS, "loss.name=class-softmax", "training.optimizer=adafactor"],
            "training.optimizer: .* got class-softmax",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(write, overrides, said):
    with pytest.raises(ConfigError, match="a.yaml: .*" + said):
        load_config(write("a.yaml", MINIMAL), overrides)


def test_windows_have_defaults_of_their_own(write):
    config = load_config(write("a.yaml", MINIMAL), [WINDOWS, "training.passes=7"])
    assert config.network.initialisation == "spectral"
    assert (config.training.passes, config.training.embedding_rate_factor) == (7, 1.0)
    model = load_config(write("b.yaml", MINIMAL), [WINDOWS, "network.input=concat"])
    assert (model.network.initialisation, model.vocabulary.subsample) == ("random", 0.0)
    assert load_config(write("c.yaml", model.to_yaml())) == model


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.words=[no]", r"words\.0: expected text, got false; YAML .* in quotes\.$"),
        ("evaluation.words=[a, on]", r"words\.1: expected text, got true; YAML .* in quotes"),
        ("evaluation.words=no", r"words: expected a list, got false; YAML .* in quotes"),
        ("validation.split=5", r"split: expected a list, got 5\.$"),
        ("evaluation.words=[null]", r"words\.0: expected text, got null; YAML .* in quotes"),
        ("evaluation.words=[1984]", r"words\.0: expected text, got 1984; put it in quotes"),
        ("corpus.files=[2020-01-01]", "files.0: expected text, got 2020-01-01; put it in quotes"),
        ("corpus.text_field=[a]", r"text_field: expected text, got \['a'\]\.$"),
        ("corpus.files=[]", r"corpus.files: expected at least one, got \[\]"),
        ("evaluation.analogies=[' ']", r"analogies\.0: expected the name of a file or folder"),
        ("output=''", "output: expected the name of a file or folder, got ''"),
        ("corpus.phrases.file=''", "phrases.file: expected the name of a file or folder"),
        ("subwords.parts=''", "subwords.parts: expected the name of a file or folder"),
        ("corpus.normalisation=null", "expected 'nfc', 'nfkc' or 'none', got None"),
        ("corpus.normalization=nfc", "Did you mean 'corpus.normalisation'"),
    ],
)
def test_what_yaml_takes_for_another_value_and_empty_names_are_explained(write, override, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write("a.yaml", MINIMAL), [override])


def test_one_name_needs_no_list(write):
    overrides = ["evaluation.words=king", "evaluation.similarity=a.txt", "validation.files=b.txt"]
    config = load_config(write("a.yaml", MINIMAL), [*overrides, WINDOWS])
    evaluation = config.evaluation
    assert (evaluation.words, evaluation.similarity) == (["king"], ["a.txt"])
    assert config.validation.files == ["b.txt"]
    quoted = load_config(write("b.yaml", MINIMAL), ["evaluation.words=['no', 'yes']"])
    assert quoted.evaluation.words == ["no", "yes"]
    assert load_config(write("c.yaml", quoted.to_yaml())) == quoted


def test_every_key_says_what_it_is():
    sections = [field.annotation for field in Config.model_fields.values()]
    for section in [Config, *sections]:
        for name, field in getattr(section, "model_fields", {}).items():
            if section is not Config or name == "output":
                assert field.description, f"{section.__name__}.{name}"


def test_errors_call_keys_what_their_reader_does():
    names = {"corpus.errors": "errors", "training.engine": "--engine"}
    for message, expected in [
        ("a.txt: set corpus.errors to 'replace'.", "a.txt: set errors to 'replace'."),
        ("lower corpus.errors.", "lower errors."),
        ("corpus.errors, training.engine: no", "errors, --engine: no"),
        ("`phrases training.engine=local`", "`phrases training.engine=local`"),
        ("did you mean 'corpus.errors'?", "did you mean 'corpus.errors'?"),
        ("a/corpus.errors.txt: empty", "a/corpus.errors.txt: empty"),
        ("my.corpus.errors: empty", "my.corpus.errors: empty"),
        ("corpus.errors/a.txt: empty", "corpus.errors/a.txt: empty"),
    ]:
        assert with_names(message, names) == expected


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"slices": {"only": "a.txt"}}, "t: slices.files: expected at least two slices, got one."),
        ({"slices": {"a/b": "x", "c": "y"}}, "'a/b' cannot be the name of a slice"),
        ({"slices": {"a": [], "c": "y"}}, "the slice a has no files"),
        ({"slices": {"a": 3, "c": "y"}}, "slices.files: expected a list, got 3"),
        ({"slices": {"a": "x", "c": "y"}, "subwords": {"max_n": 3, "mode": "joint"}}, "mode joint"),
        ({"slices": {"a": "x", "c": "y"}, "examples": {"source": "windows"}}, "cooccurrence"),
        ({"slices": {"prior": "next"}, "corpus": {"files": ["a"]}}, "slices.prior: expected"),
    ],
)
def test_mistakes_in_the_configuration_are_one_sentence(sections, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")) as caught:
        make_config(sections, "t")
    assert "corpus: required" not in str(caught.value)


def test_the_corpus_is_all_slices_unless_it_is_named():
    tree = {"slices": {1900: "a.txt", "1950s": ["b", "c"]}}
    assert make_config(tree, "t").corpus.files == ["a.txt", "b", "c"]
    named = make_config(tree | {"corpus": {"files": ["all.txt"]}}, "t")
    assert named.corpus.files == ["all.txt"]
    assert list(named.slices.files) == ["1900", "1950s"]
    again = make_config(named.model_dump(), "t")
    assert again == named
