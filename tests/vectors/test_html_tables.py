import re

import numpy as np

from embedder.vectors.html_tables import table_of_vectors
from embedder.vectors.neighbors import Neighbor, Neighbors


def test_notebooks_show_escaped_words_with_bars():
    found = Neighbors([Neighbor("<b>", 0.5), Neighbor("x", -0.25)])._repr_html_()
    assert "&lt;b&gt;" in found
    assert "<b>" not in found
    assert re.findall(r"<td>(.*?)</td>", found)[:1] == ["0.500"]
    assert re.findall(r"width:([\d.]+)%", found) == ["50.0", "0.0"]


def test_the_first_words_are_shown_with_the_first_numbers():
    matrix = np.arange(60, dtype=np.float32).reshape(12, 5)
    words = ["<b>", *(f"w{i}" for i in range(11))]
    found = table_of_vectors("12 & 5", words, np.arange(12) + 1000, matrix)
    assert found.startswith("<p>12 &amp; 5</p>")
    assert "<td>&lt;b&gt;</td><td>1,000</td><td>0.000, 1.000, 2.000, 3.000, …</td>" in found
    assert found.count("<tr>") == 1 + 10
    assert ", …" not in table_of_vectors("", ["a"], np.ones(1), matrix[:1, :4])
