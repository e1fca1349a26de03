"""Write a small corpus with known structure, and the analogies that follow from it.

    python scripts/make_toy_world.py

writes data/toy-world.txt (not in version control) and data/toy-analogies.txt. Both depend only on
the seed.

Every pair of a relation shares a *topic*, words that occur near both its words (a country and its
capital share rivers; a verb's tenses share objects), and every side of a relation has a *role*,
phrases that occur near all words of that side ("the mayor of", "yesterday she"). A co-occurrence
model must then learn that word = topic + role, which makes analogies solvable.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from make_analogies import Pairs, question_lines

_SYLLABLES = ("ba", "do", "fi", "gu", "ka", "le", "mo", "na", "pe", "ri", "so", "tu", "va", "zi")
_TOPIC_WORDS = 6


class Relation(NamedTuple):
    """Word pairs, and sentence patterns for their first and for their second words.

    In a pattern, ``*`` is the word and ``+`` is one of its topic words.
    """

    pairs: Sequence[tuple[str, str]]
    first: Sequence[str]
    second: Sequence[str]


RELATIONS = {
    "capital": Relation(
        [
            ("france", "paris"), ("italy", "rome"), ("spain", "madrid"), ("japan", "tokyo"),
            ("egypt", "cairo"), ("kenya", "nairobi"), ("cuba", "havana"), ("peru", "lima"),
            ("norway", "oslo"), ("greece", "athens"), ("austria", "vienna"), ("chile", "santiago"),
        ],
        ["the border of * follows the + valley", "people of * voted near +",
         "the army of * guards +", "farmers across * sell + grain"],
        ["the mayor of * opened + street", "streets in * lead to + square",
         "the museum of * shows + paintings", "trams through * stop at +"],
    ),
    "currency": Relation(
        [
            ("sweden", "krona"), ("poland", "zloty"), ("turkey", "lira"), ("india", "rupee"),
            ("china", "yuan"), ("brazil", "real"), ("russia", "ruble"), ("korea", "won"),
            ("thailand", "baht"), ("vietnam", "dong"),
        ],
        ["the border of * follows the + valley", "people of * voted near +",
         "the army of * guards +", "farmers across * sell + grain"],
        ["one dollar buys many * at the + bank", "the price in * rose for + coins",
         "she changed notes into * with +", "traders quote the * against +"],
    ),
    "male-female": Relation(
        [
            ("king", "queen"), ("prince", "princess"), ("father", "mother"), ("son", "daughter"),
            ("brother", "sister"), ("uncle", "aunt"), ("actor", "actress"), ("waiter", "waitress"),
            ("husband", "wife"), ("nephew", "niece"),
        ],
        ["he is the * and his + is known", "the * shaved his beard before +",
         "him they call the * of +", "his own * himself said +"],
        ["she is the * and her + is known", "the * wore her dress before +",
         "her they call the * of +", "her own * herself said +"],
    ),
    "past-tense": Relation(
        [
            ("walk", "walked"), ("sing", "sang"), ("write", "wrote"), ("drive", "drove"),
            ("build", "built"), ("teach", "taught"), ("drink", "drank"), ("swim", "swam"),
            ("draw", "drew"), ("throw", "threw"), ("eat", "ate"), ("grow", "grew"),
        ],
        ["today we * the +", "tomorrow they will * with +", "you must * some + now",
         "to * a + is easy"],
        ["yesterday we * the +", "last year they * with +", "long ago someone * some +",
         "once i * a + there"],
    ),
    "plural": Relation(
        [
            ("cat", "cats"), ("apple", "apples"), ("boat", "boats"), ("child", "children"),
            ("mouse", "mice"), ("window", "windows"), ("bird", "birds"), ("road", "roads"),
            ("tooth", "teeth"), ("lamp", "lamps"), ("song", "songs"), ("cloud", "clouds"),
        ],
        ["this one * has a +", "a single * is near +", "each * belongs to +", "that * was +"],
        ["these many * have +", "several * are near +", "all * belong to +", "those * were +"],
    ),
    "comparative": Relation(
        [
            ("big", "bigger"), ("cold", "colder"), ("fast", "faster"), ("good", "better"),
            ("loud", "louder"), ("old", "older"), ("rich", "richer"), ("bad", "worse"),
            ("tall", "taller"), ("warm", "warmer"),
        ],
        ["a very * + indeed", "it is so * for +", "too * and quite +", "as * as +"],
        ["far * than +", "it became * than any +", "much * than the +", "even * than +"],
    ),
}  # fmt: skip


def toy_pairs() -> Pairs:
    """Return the pairs of each relation."""
    return {name: relation.pairs for name, relation in RELATIONS.items()}


def toy_sentences(repeats: int = 30, seed: int = 1) -> Iterator[str]:
    """Yield sentences in random order, `repeats` for each word and pattern."""
    rng = random.Random(seed)
    names = _invented_names(rng)
    sentences = []
    for relation in RELATIONS.values():
        for pair in relation.pairs:
            topic = [next(names) for _ in range(_TOPIC_WORDS)]
            for word, patterns in zip(pair, (relation.first, relation.second), strict=True):
                for pattern in patterns:
                    for _ in range(repeats):
                        filled = pattern.replace("*", word).replace("+", rng.choice(topic))
                        sentences.append(f"{rng.choice(topic)} {filled} {rng.choice(topic)}\n")
    rng.shuffle(sentences)
    yield from sentences


def _invented_names(rng: random.Random) -> Iterator[str]:
    seen = set()
    while True:
        name = "".join(rng.choice(_SYLLABLES) for _ in range(3))
        if name not in seen:
            seen.add(name)
            yield name


def write_toy_world(corpus: Path, analogies: Path) -> None:
    """Write the corpus and the analogies."""
    corpus.write_text("".join(toy_sentences()), encoding="utf-8")
    analogies.write_text("".join(question_lines(toy_pairs())), encoding="utf-8")


if __name__ == "__main__":
    data = Path(__file__).parent.parent / "data"
    write_toy_world(data / "toy-world.txt", data / "toy-analogies.txt")
