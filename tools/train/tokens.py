"""Byte-level BPE as DeepSeek-V3's tokenizer does it, with a small vocabulary of its own."""
import collections
import re
import unicodedata

SPECIAL = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>",
           "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"]
BOS, EOS, PAD, USER, ASSISTANT, THINK, END_THINK = range(7)


def byte_alphabet():
    """The printable character that stands for each of the 256 bytes in token texts."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = iter(range(0x100, 0x144))
    return [chr(b) if b in plain else chr(next(rest)) for b in range(256)]


BYTES = byte_alphabet()

# The pre-tokeniser "deepseek-v3" works on a string of classes, one letter a character:
# a ASCII letter, l other letter, m mark, n number, p ASCII punctuation or symbol, q other punctuation or symbol,
# j Chinese or kana, r newline or return, s the space, w other white space, x anything else.
PASSES = [re.compile("n{1,3}"), re.compile("j+"),
          re.compile("pa+|[^raljpq]?[aljm]+|s?[pq]+r*|[swr]*r|[swr]+(?![^swr])|[swr]+")]


def kind(ch):
    o = ord(ch)
    if o < 128:
        if ch.isalpha():
            return "a"
        if ch.isdigit():
            return "n"
        return "s" if ch == " " else "r" if ch in "\r\n" else "w" if 9 <= o <= 13 else "p" if 33 <= o < 127 else "x"
    if 0x4E00 <= o <= 0x9FA5 or 0x3040 <= o <= 0x30FF:
        return "j"
    if o in (0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000) or 0x2000 <= o <= 0x200A:
        return "w"
    return {"L": "l", "M": "m", "N": "n", "P": "q", "S": "q"}.get(unicodedata.category(ch)[0], "x")


def pieces(text):
    parts = [text]
    for pattern in PASSES:
        out = []
        for part in parts:
            classes, at = "".join(map(kind, part)), 0
            for m in pattern.finditer(classes):
                if m.start() > at:
                    out.append(part[at:m.start()])
                out.append(part[m.start():m.end()])
                at = m.end()
            if at < len(part):
                out.append(part[at:])
        parts = out
    return parts


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {m: i for i, m in enumerate(self.merges)}
        self.texts = SPECIAL + BYTES + [a + b for a, b in self.merges]
        self.ids = {t: i for i, t in enumerate(self.texts)}
        self.known = {}

    def bpe(self, piece):
        parts = [BYTES[b] for b in piece.encode("utf-8")]
        while len(parts) > 1:
            rank, i = min((self.rank.get(pair, 1 << 30), i) for i, pair in enumerate(zip(parts, parts[1:])))
            if rank == 1 << 30:
                break
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return [self.ids[p] for p in parts]

    def encode(self, text):
        out = []
        for piece in pieces(text):
            if piece not in self.known:
                if len(self.known) > 200000:
                    self.known.clear()
                self.known[piece] = self.bpe(piece)
            out += self.known[piece]
        return out

    def decode(self, ids, special=False):
        back = {ch: b for b, ch in enumerate(BYTES)}
        out = b""
        for i in ids:
            if i < len(SPECIAL):
                out += SPECIAL[i].encode() if special or i in (THINK, END_THINK) else b""
            else:
                out += bytes(back[ch] for ch in self.texts[i])
        return out.decode("utf-8", "replace")


def train_merges(counts, limit):
    """Ordinary BPE training on counted pieces.  Digits and newlines are never merged: a digit must stay a token for the
    columns of a sum, and a newline so that a fed "<think>\\n" and a generated "\\n" are the tokens of "\\n\\n"."""
    words = [([BYTES[b] for b in p.encode()], n) for p, n in counts.most_common()
             if n > 2 and len(p) > 1 and not any(ch.isdigit() or ch in "\r\n" for ch in p)]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for w, (parts, n) in enumerate(words):
        for pair in zip(parts, parts[1:]):
            pairs[pair] += n
            where[pair].add(w)
    merges = []
    while len(merges) < limit and pairs:
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        for w in where.pop(best):
            parts, n = words[w]
            for pair in zip(parts, parts[1:]):
                pairs[pair] -= n
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == best:
                    parts[i:i + 2] = [best[0] + best[1]]
                i += 1
            for pair in zip(parts, parts[1:]):
                pairs[pair] += n
                where[pair].add(w)
        del pairs[best]
    return merges


if __name__ == "__main__":
    import json
    import sys
    bad = n = 0
    for line in open(sys.argv[1], encoding="utf-8"):
        v = json.loads(line)
        if v["pre"] == "deepseek-v3":
            n += 1
            bad += pieces(v["text"]) != v["pieces"]
            if pieces(v["text"]) != v["pieces"]:
                print(v["text"].__repr__(), v["pieces"], pieces(v["text"]))
    print("%d of %d texts split as expected" % (n - bad, n))
