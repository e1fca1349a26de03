"""A plain NumPy float64 twin of every kernel: slow, obvious, one formula a line."""

import itertools
import re
import unicodedata
from collections import Counter

import numpy as np

WORD = re.compile("[lL][lLm]*(?:i*'?i*[lLm]+)*")
"""A word by the kinds of its characters: letters, marks, invisible ones and apostrophes."""


def split_words(text, apostrophes="'’‘＇··‧՚՛՜՞՟״", invisible="\u200c\u200d\u180e"):
    """Words of the default tokenizer, a list for each line."""

    def kind(character):
        if character in apostrophes or character in invisible:
            return "'" if character in apostrophes else "i"
        if character == "׳":
            return "m"
        if unicodedata.category(character) == "Cf" and character in DROPPED:
            return "i"
        return {"L": "l", "N": "l", "M": "m"}.get(unicodedata.category(character)[0], ".")

    return [
        [line[m.start() : m.end()] for m in WORD.finditer("".join(map(kind, line)))]
        for line in text.split("\n")
    ]


DROPPED = {"\xad", "\u061c", "\u200e", "\u200f", "\ufeff", *map(chr, range(0x202A, 0x202F))}
DROPPED |= set(map(chr, range(0x2060, 0x2070)))


def count_words(text):
    return Counter(re.findall(rb"[^ \t\n\r\v\f]+", text))


def blank_between_words(text, kinds):
    """The text with spaces, one a byte, for all but words and newlines; kinds by character."""
    line = "".join(kinds.get(character, ".") for character in text)
    inside = {i for found in WORD.finditer(line) for i in range(found.start(), found.end())}
    return "".join(
        character if i in inside or character == "\n" else " " * len(character.encode())
        for i, character in enumerate(text)
    )


def encode(text, numbers):
    """Numbers of a text's words, −1 for a newline; new words get the next number."""
    ids = []
    for line in re.split(rb"(\n)", text):
        words = re.findall(rb"[^ \t\n\r\v\f]+", line)
        ids += [-1] if line == b"\n" else [numbers.setdefault(w, len(numbers)) for w in words]
    return ids


def renumber(ids, new_ids, previous=-1):
    """New ids without the words that have none, and without sentences that are empty then."""
    out = [previous]
    for old in ids:
        new = -1 if old < 0 else new_ids[old]
        if (old >= 0 and new >= 0) or (old < 0 and out[-1] >= 0):
            out.append(new)
    return out[1:]


def uniform(seed, counter):
    """Number `counter` of SplitMix64 from a seed, over 2⁶⁴, to 53 bits."""
    mask = 2**64 - 1
    z = ((seed + counter) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z = z ^ (z >> 31)
    return (z >> 11) / 2**53


def sample_tokens(ids, keep, seed, held_out, want_held_out, place=0, sentence=0):
    """What one side of the validation split keeps, without empty sentences."""
    out = []
    for i, word in enumerate(ids):
        if word < 0:
            sentence += 1
            out += [-1] if out and out[-1] >= 0 else []
        elif (uniform(seed + 1, sentence) < held_out) == want_held_out:
            out += [word] if uniform(seed, place + i) < keep[word] else []
    return out


def drop_tokens(ids, keep, seed, first, drop_ends):
    out = []
    for i, word in enumerate(ids):
        stays = not drop_ends if word < 0 else uniform(seed, first + i) < keep[word]
        out += [word] if stays else []
    return out


def count_ids(ids, words):
    return [list(ids).count(word) for word in range(words)]


def positions(ids, words):
    """Where each of some words stands."""
    return [[i for i, other in enumerate(ids) if other == word] for word in words]


def windows(sentences, distance_weights):
    """(centre, neighbour, weight, offset) for every pair of positions in one window."""
    for sentence in sentences:
        for i, centre in enumerate(sentence):
            for d, weight in enumerate(distance_weights, start=1):
                for j in (i - d, i + d):
                    if 0 <= j < len(sentence):
                        yield centre, sentence[j], weight, j - i


def cooccurrences(sentences, vocabulary, distance_weights, near=0, near_contexts=0):
    """Counts (V, C): contexts in any place, then the first words just before, then just after."""
    apart = min(near_contexts, vocabulary) if near else 0
    counts = np.zeros((vocabulary, vocabulary + 2 * apart))
    for centre, neighbour, weight, offset in windows(sentences, distance_weights):
        context = neighbour
        if neighbour < apart and abs(offset) <= near:
            context += vocabulary if offset < 0 else vocabulary + apart
        counts[centre, context] += weight
    return counts


def dense_counts(counts, columns):
    """(V, columns) of counts in compressed rows."""
    offsets, own_columns, weights = counts
    out = np.zeros((len(offsets) - 1, columns))
    for row, (i, j) in enumerate(itertools.pairwise(offsets)):
        for k in range(i, j):
            out[row, own_columns[k]] += weights[k]
    return out


def add(pieces):
    """The sum of the counts in several pieces of a text, (V, C) each."""
    total = np.zeros_like(pieces[0])
    for piece in pieces:
        total += piece
    return total


def fold(dense, words):
    """(V, V) of counts (V, C), given the word of each context."""
    out = np.zeros((len(dense), len(dense)))
    for context, word in enumerate(words):
        out[:, word] += dense[:, context]
    return out


def group(dense, groups):
    """(V, groups) of counts (V, C), given the group of each context; −1 for none."""
    out = np.zeros((len(dense), max(groups) + 1))
    for context, own in enumerate(groups):
        if own >= 0:
            out[:, own] += dense[:, context]
    return out


def loss_within_classes(dense, theta, columns, counts):
    """−Σ C[w, c] log p(c | w) over all contexts c, a class's share at a time.

    dense (V, contexts), theta (V, columns): logits; columns: of each context; counts: n_c.
    """
    loss = 0.0
    for row, logits in zip(dense, theta, strict=True):
        p = np.exp(logits - logits.max())
        p /= p.sum()
        for context, column in enumerate(columns):
            members = [n for own, n in zip(columns, counts, strict=True) if own == column]
            loss -= row[context] * np.log(p[column] * counts[context] / sum(members))
    return loss


def nearest_centroids(vectors, centroids):
    """The number of the centroid with the largest dot product, and this product."""
    products = [[np.dot(vector, centroid) for centroid in centroids] for vector in vectors]
    return [int(np.argmax(row)) for row in products], [max(row) for row in products]


def close_gaps(array, room, used):
    return [number for i, n in zip(room, used, strict=False) for number in array[i : i + n]]


def sparse_times_dense(offsets, columns, values, dense):
    out = np.zeros((len(offsets) - 1, dense.shape[1]))
    for row, (i, j) in enumerate(itertools.pairwise(offsets)):
        for k in range(i, j):
            out[row] += values[k] * dense[columns[k]]
    return out


def activate(r, activation):
    """a(r) and a′(r)."""
    if activation == "sigmoid":
        a = 1 / (1 + np.exp(-r))
        return a, a * (1 - a)
    if activation == "tanh":
        return np.tanh(r), 1 - np.tanh(r) ** 2
    if activation == "relu":
        return np.maximum(r, 0), (r > 0).astype(float)
    return r, np.ones_like(r)


CENTRES = {"sigmoid": 0.5, "tanh": 0.0, "relu": 0.0, "identity": 0.0}


def hidden_forward(x, W1, b1, activation, direct=False):
    a, _ = activate(x @ W1 + b1, activation)
    h = a - CENTRES[activation]
    return np.concatenate([h, x], axis=1) if direct else h


def hidden_backward(x, W1, b1, d_features, activation, direct=False):
    """∂J/∂x, ∂J/∂W1, ∂J/∂b1."""
    H = len(b1)
    _, slope = activate(x @ W1 + b1, activation)
    d_r = d_features[:, :H] * slope
    d_x = d_r @ W1.T
    if direct:
        d_x = d_x + d_features[:, H:]
    return d_x, x.T @ d_r, d_r.sum(axis=0)


def softmax(hidden, W, b, targets):
    """J, ∂J/∂h, ∂J/∂W, ∂J/∂b for dense targets (B, V)."""
    theta = hidden @ W.T + b
    log_sums = np.log(np.exp(theta - theta.max(1, keepdims=True)).sum(1)) + theta.max(1)
    log_probabilities = theta - log_sums[:, None]
    loss = -(targets * log_probabilities).sum()
    d_theta = targets.sum(1, keepdims=True) * np.exp(log_probabilities) - targets
    return loss, d_theta @ W, d_theta.T @ hidden, d_theta.sum(0)


def loss_of_inputs(x, parameters, activation, targets, direct=False):
    """The cross-entropy of each row of x (n, D) for targets (n, C) that sum to 1; and ∂CE/∂x."""
    W1, b1, W2, b2 = parameters
    losses, d_x = np.empty(len(x)), np.empty_like(x)
    for i in range(len(x)):
        row = x[i : i + 1]
        features = hidden_forward(row, W1, b1, activation, direct)
        losses[i], d_features, _, _ = softmax(features, W2, b2, targets[i : i + 1])
        d_x[i], _, _ = hidden_backward(row, W1, b1, d_features, activation, direct)
    return losses, d_x


def gather(table, ids, combine):
    """x (B, D) or (B, K D) of rows named by ids (B, K); −1 is no word."""
    rows = np.where((ids >= 0)[:, :, None], table[ids], 0.0)
    if combine == "concat":
        return rows.reshape(len(ids), -1)
    return rows.sum(1) / np.maximum((ids >= 0).sum(1), 1)[:, None]


def scatter(d_table, ids, d_x, combine):
    """Add ∂J/∂x to the gradient of the table, a place at a time."""
    D = d_table.shape[1]
    for b, row in enumerate(ids):
        for k, word in enumerate(row):
            if word >= 0:
                if combine == "concat":
                    d_table[word] += d_x[b, k * D : (k + 1) * D]
                else:
                    d_table[word] += d_x[b] / (row >= 0).sum()
    return d_table


def group_places(ids):
    """{id: its places}, without negative ids, in order of the first places."""
    return {i: [p for p, j in enumerate(ids) if i == j] for i in dict.fromkeys(ids) if i >= 0}


def number_places(groups, places):
    """The number of the group that each place is in, or −1."""
    numbers = {place: g for g, own in enumerate(groups.values()) for place in own}
    return [numbers.get(place, -1) for place in range(places)]


def sum_groups(groups, gradient, places_per_row):
    return [sum(gradient[p // places_per_row] for p in places) for places in groups.values()]


def class_softmax(hidden, W, b, targets, weights, starts):
    """J, ∂J/∂h, ∂J/∂W, ∂J/∂b of two levels; the rows of W behind the words are the classes'."""
    V = starts[-1]
    loss, d_hidden, d_W, d_b = 0.0, np.zeros_like(hidden), np.zeros_like(W), np.zeros_like(b)
    for i, (h, target, weight) in enumerate(zip(hidden, targets, weights, strict=True)):
        c = max(k for k, start in enumerate(starts[:-1]) if start <= target)
        for rows, right in (
            (np.arange(V, len(W)), V + c),
            (np.arange(starts[c], starts[c + 1]), target),
        ):
            theta = W[rows] @ h + b[rows]
            p = np.exp(theta) / np.exp(theta).sum()
            loss -= weight * np.log(p[rows == right][0])
            d_theta = weight * (p - (rows == right))
            d_hidden[i] += d_theta @ W[rows]
            d_W[rows] += np.outer(d_theta, h)
            d_b[rows] += d_theta
    return loss, d_hidden, d_W, d_b


def within_classes(hidden, W, b, targets, weights, starts):
    """w log p(word | class), and ∂J/∂h, ∂J/∂W, ∂J/∂b of J = −Σ w log p, an example at a time."""
    likelihoods = np.zeros(len(hidden))
    d_hidden, d_W, d_b = np.zeros_like(hidden), np.zeros_like(W), np.zeros_like(b)
    for i, (h, target, weight) in enumerate(zip(hidden, targets, weights, strict=True)):
        low, high = next((j, k) for j, k in itertools.pairwise(starts) if j <= target < k)
        theta = W[low:high] @ h + b[low:high]
        log_p = theta - theta.max() - np.log(np.exp(theta - theta.max()).sum())
        likelihoods[i] = weight * log_p[target - low]
        d_theta = weight * (np.exp(log_p) - np.eye(high - low)[target - low])
        d_hidden[i] = d_theta @ W[low:high]
        d_W[low:high] += np.outer(d_theta, h)
        d_b[low:high] += d_theta
    return likelihoods, d_hidden, d_W, d_b


def sampled(kind, hidden, W, b, targets, weights, candidates, q, k):
    """J, ∂J/∂h, ∂J/∂W, ∂J/∂b of sampled softmax, negative sampling or NCE, an example at a time."""
    S = len(candidates)
    correction = {"sampled-softmax": np.log(S * q), "nce": np.log(k * q)}.get(kind, 0 * q)
    loss, d_hidden, d_W, d_b = 0.0, np.zeros_like(hidden), np.zeros_like(W), np.zeros_like(b)
    for i, (h, target, weight) in enumerate(zip(hidden, targets, weights, strict=True)):
        noise = [c for c in candidates if kind == "nce" or c != target]
        words = np.array([target, *noise])
        theta = W[words] @ h + b[words] - correction[words]
        if kind == "sampled-softmax":
            theta[0] += correction[target]
            p = np.exp(theta) / np.exp(theta).sum()
            loss -= weight * np.log(p[0])
            d_theta = weight * (p - np.eye(len(words))[0])
        else:
            share = np.r_[1.0, np.full(len(noise), k / S)]
            label = np.eye(len(words))[0]
            sigma = 1 / (1 + np.exp(-theta))
            loss -= weight * (share * np.log(np.where(label == 1, sigma, 1 - sigma))).sum()
            d_theta = weight * share * (sigma - label)
        d_hidden[i] = d_theta @ W[words]
        for word, d in zip(words, d_theta, strict=True):
            d_W[word] += d * h
            d_b[word] += d
    return loss, d_hidden, d_W, d_b


def window_examples(ids, window, left_only, seed=None):
    """(context, centre) of every token, −1 for what is missing; a seed draws windows' sizes."""
    for i, centre in enumerate(ids):
        if centre < 0:
            continue
        size = window if seed is None else 1 + int(uniform(seed, i) * window)
        slots = []
        for side in [-1] if left_only else [-1, 1]:
            words, alive = [], True
            for d in range(1, window + 1):
                j = i + side * d
                alive = alive and d <= size and 0 <= j < len(ids) and ids[j] >= 0
                words.append(int(ids[j]) if alive else -1)
            slots += words[::-1] if side < 0 else words
        yield slots, centre


def kneser_ney(contexts, words, vocabulary):
    """p(context, word) of an interpolated modified Kneser–Ney model, from dictionaries."""
    n = len(contexts[0]) + 1
    counts = {n: Counter((*c, w) for c, w in zip(contexts, words, strict=True))}
    for order in range(n - 1, 0, -1):
        counts[order] = Counter(gram[1:] for gram in counts[order + 1])

    def discount(order, count):
        have = Counter(min(c, 5) for c in counts[order].values())
        if not all(have[k] for k in (1, 2, 3, 4)):
            return 0.5
        y = have[1] / (have[1] + 2 * have[2])
        k = min(count, 3)
        d = k - (k + 1) * y * have[k + 1] / have[k]
        return d if d > 0 else 0.5

    def probability(context, word):
        if context is None:
            return 1 / vocabulary
        order = len(context) + 1
        shorter = probability(context[1:] if context else None, word)
        following = {g[-1]: c for g, c in counts[order].items() if g[:-1] == context}
        total = sum(following.values())
        if total == 0:
            return shorter
        taken = sum(discount(order, c) for c in following.values())
        own = following.get(word, 0)
        kept = own - discount(order, own) if own else 0
        return kept / total + taken / total * shorter

    return probability


def optimizer_step(kind, p, g, m, s, t, rate, decays, epsilon):
    """p, m, s after step t (from 1)."""
    if kind == "sgd":
        return p - rate * g, m, s
    if kind == "adagrad":
        s = s + g**2
        return p - rate * g / (np.sqrt(s) + epsilon), m, s
    m = decays[0] * m + (1 - decays[0]) * g
    s = decays[1] * s + (1 - decays[1]) * g**2
    correction = np.sqrt(1 - decays[1] ** t) / (1 - decays[0] ** t)
    return p - rate * correction * m / (np.sqrt(s) + epsilon), m, s


def adafactor_rows(table, rows, gradients, second, columns, times, rate, decays, epsilon):
    """New columns after steps of some rows, changed in place, each in its step number times[i]."""
    shares = []
    for i, row in enumerate(rows):
        g = gradients[i]
        q = (g**2 / columns).mean()
        second[row] = decays[1] * second[row] + (1 - decays[1]) * q
        correction = np.sqrt(1 - decays[1] ** times[i])
        table[row] -= rate * correction * g / ((np.sqrt(second[row]) + epsilon) * np.sqrt(columns))
        if i % 4 == 0 and q > 0:
            shares.append(g**2 / q)
    if not shares:
        return columns
    columns = np.maximum(decays[0] * columns + (1 - decays[0]) * np.mean(shares, axis=0), 1e-8)
    return columns / columns.mean()


def positive_pmi(counts, totals=None):
    n = counts.sum(1) if totals is None else totals
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(counts * n.sum() / np.outer(n, n))
    return np.where(counts > 0, np.maximum(pmi, 0), 0)


def analogy_accuracy(vectors, words, questions, method):
    """Correct answers of a method, one question at a time."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    place = {word: i for i, word in enumerate(words)}
    correct = 0
    for question in questions:
        a, b, c, d = (place[word] for word in question)
        best, best_score = None, -np.inf
        for i in range(len(words)):
            if i in (a, b, c):
                continue
            to_a, to_b, to_c = (unit[i] @ unit[j] for j in (a, b, c))
            if method == "3CosAdd":
                score = to_b - to_a + to_c
            elif method == "PairDistance":
                one, two = unit[i] - unit[c], unit[b] - unit[a]
                score = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
            else:
                score = ((1 + to_b) / 2) * ((1 + to_c) / 2) / ((1 + to_a) / 2 + 1e-3)
            if score > best_score:
                best, best_score = i, score
        correct += best == d
    return correct


def ngram_buckets(word, min_n, max_n, buckets):
    """Buckets of the n-grams of "<word>", characters in Python, FNV-1a with signed bytes."""
    text = f"<{word}>"
    found = []
    for start in range(len(text)):
        for n in range(1, max_n + 1):
            if start + n > len(text) or n < min_n:
                continue
            if n == 1 and (start == 0 or start + n == len(text)):
                continue
            value = 2166136261
            for byte in text[start : start + n].encode("utf-8", "surrogateescape"):
                signed = byte - 256 if byte >= 128 else byte
                value = ((value ^ (signed & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
            found.append(value % buckets)
    return found


def compose_words(words, rows, first, min_n, max_n, buckets):
    """Each word's mean of its own row and its n-grams'; None is a word without n-grams."""
    V = len(rows) - buckets
    out = []
    for i, word in enumerate(words, start=first):
        found = [] if word is None else ngram_buckets(word, min_n, max_n, buckets)
        out.append(rows[[i, *(V + bucket for bucket in found)]].mean(0))
    return np.array(out)


def compose(table, starts, rows):
    """Each word's mean of its rows."""
    return np.array([table[rows[i:j]].mean(0) for i, j in itertools.pairwise(starts)])


def hand_on(d_words, starts, rows, height):
    """Gradients of the rows that words are means of, a row at a time."""
    d_rows = np.zeros((height, d_words.shape[1]))
    for d, (i, j) in zip(d_words, itertools.pairwise(starts), strict=True):
        for row in rows[i:j]:
            d_rows[row] += d / (j - i)
    return d_rows


def group_rows(starts, rows, words):
    """{row: places of the words that it is in}, in order of first appearance."""
    groups = {}
    for place, word in enumerate(words):
        for row in rows[starts[word] : starts[word + 1]]:
            groups.setdefault(row, []).append(place)
    return groups


def number_triples(keys):
    """{triple: its place}, in order of first appearance."""
    return {key: place for place, key in enumerate(dict.fromkeys(keys))}


def count_pairs(sentences, connectors):
    """How often each (first, between…, second) stands in the text."""
    pairs = Counter()
    for sentence in sentences:
        before, between = None, ()
        for word in sentence:
            if word in connectors:
                between += (word,)
                continue
            if before is not None:
                pairs[before, *between, word] += 1
            before, between = word, ()
    return pairs


def join_pairs(sentence, joined, connectors):
    """A sentence with {(first, between…, second): word} put for its pairs, from left to right."""
    out, i = [], 0
    while i < len(sentence):
        inner = itertools.takewhile(connectors.__contains__, sentence[i + 1 :])
        pair = tuple(sentence[i : i + 2 + len(list(inner))])
        found = sentence[i] not in connectors and pair in joined
        out.append(joined[pair] if found else sentence[i])
        i += len(pair) if found else 1
    return out


def phrases(sentences, scoring, min_count, threshold, connectors):
    """{(first, between…, second): score} of the pairs of words that are phrases."""
    words = Counter(itertools.chain.from_iterable(sentences))
    pairs = count_pairs(sentences, connectors)
    tokens = sum(words.values())
    distinct = len(set(words) - set(connectors)) + len(pairs)
    found = {}
    for pair, count in pairs.items():
        a, b = words[pair[0]], words[pair[-1]]
        if scoring == "original":
            score = (count - min_count) * distinct / (a * b)
        elif count < min_count:
            continue
        else:
            score = np.log(count * tokens / (a * b)) / -np.log(count / tokens)
        if score > threshold:
            found[pair] = score
    return found


def occurrence_sums(ids, units, columns, near, distance_weights, projected, vocabulary):
    """For each word, by unit: the sum of its neighbours' projected outputs, and their weight.

    ids (n,), units (n,): any keys; columns: of each context, −1 for none.
    """
    frequent = (len(columns) - vocabulary) // 2
    found = [{} for _ in range(vocabulary)]
    for position, word in enumerate(ids):
        if word < 0:
            continue
        total, weight = found[word].get(units[position], (0.0, 0.0))
        for step in (-1, 1):
            for d, own in enumerate(distance_weights, start=1):
                place = position + step * d
                if not 0 <= place < len(ids) or ids[place] < 0:
                    break
                context = ids[place]
                if d <= near and context < frequent:
                    context = vocabulary + (step > 0) * frequent + context
                if columns[context] >= 0:
                    total = total + own * projected[columns[context]].astype(float)
                    weight += own
        found[word][units[position]] = total, weight
    return found


def score_statistic(sums, weights, labels, slices, curvature, strength):
    """½ Σ_s r_sᵀ (n_s diag κ + λ I)⁻¹ r_s, r_s the sums over slice s less n_s times their mean."""
    sums, weights, labels = np.array(sums), np.array(weights), np.array(labels)
    mean = sums.sum(axis=0) / weights.sum()
    found = 0.0
    for s in range(slices):
        n = weights[labels == s].sum()
        r = sums[labels == s].sum(axis=0) - n * mean
        found += r @ np.linalg.inv(n * np.diag(curvature) + strength * np.eye(len(r))) @ r
    return found / 2


def lay_out(places, edges, periods, epochs, negatives, repulsion, seed):
    places, due, drawn = [np.array(place) for place in places], list(periods), 0
    for epoch in range(epochs):
        rate = 1 - epoch / epochs
        for e, (i, j) in enumerate(edges):
            if due[e] > epoch + 1:
                continue
            due[e] += periods[e]
            away = places[i] - places[j]
            step = rate * np.clip(-2 * away / (1 + away @ away), -4, 4)
            places[i], places[j] = places[i] + step, places[j] - step
            for _ in range(negatives):
                k = int(uniform(seed, drawn) * len(places))
                drawn += 1
                if k != i:
                    away = places[i] - places[k]
                    squared = away @ away
                    push = 2 * repulsion * away / ((1e-3 + squared) * (1 + squared))
                    places[i] = places[i] + rate * np.clip(push, -4, 4)
    return np.array(places)


def cut_blocks(ids, length, longest):
    """Where the blocks of a text start, and where the last ends."""
    starts, words = [0], 0
    for i, word in enumerate(ids):
        words += word >= 0
        at_end = word == -1
        too_long = not at_end and words >= longest and ids[i + 1 : i + 2] != [-1]
        if (at_end and words >= length) or too_long:
            starts.append(i + 1)
            words = 0
    if words == 0 and len(starts) > 1:
        starts.pop()
    return [*starts, len(ids)] if ids else starts


def repeat_blocks(ids, starts, times):
    """Each block as often as it was drawn; every copy ends a sentence."""
    out = []
    for start, end, number in zip(starts[:-1], starts[1:], times, strict=True):
        block = ids[start:end]
        out += (block if block[-1] == -1 else [*block, -1]) * number
    return out
