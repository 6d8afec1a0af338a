"""A small language model that anybody can follow: what it generates is known without running it.

It has one layer of a llama, and words that are numbers. Each word is a direction of its own in the hidden space. The
attention looks at all words so far alike, so that it counts them, and the head answers the word that leads with that
word's successor. So a generated word is right only where the weights were read as written, and where embedding,
attention with its cache, normalization and head computed what they should. verify/probes/mlx_lm.py makes it.
"""

SUCCESSORS = [(5 * word + 3) % 16 for word in range(16)]
"""Of each word the one that the head answers it with: a permutation."""
PROMPT = [3, 3, 3, 5, 7]
LENGTH = 24
"""Words to generate."""
_COUNTED, _TIE = 64, 1
"""The weight of a word's count beside that of being the latest word, and what each further word has more of it: no two
words are ever equal."""


def expected() -> list[int]:
    """The words that the model must generate after PROMPT."""
    said, words = list(PROMPT), range(len(SUCCESSORS))
    for _ in range(LENGTH):
        # The latest word has the weight of all words together, since the attention takes the mean over them.
        latest = [2 * len(said) * (word == said[-1]) for word in words]
        leads = [latest[word] + said.count(word) * (_COUNTED + _TIE * word) for word in words]
        said.append(SUCCESSORS[leads.index(max(leads))])
    return said[len(PROMPT) :]
