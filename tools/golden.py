#!/usr/bin/env python3
"""golden.py SHARED OUT - what tests/golden.c reads, from SHARED/golden/*.json: one text a model, and its .f32 rows.

Text: "vocab V", then for every sequence "sequence N STD KL token ..." and N lines of ten "id value" pairs, the largest logits of each position. STD: deviation of
the last row's logits. KL: between the last rows of the oracle and of its emulation of int8 activations (SHARED/tools/oracle.py), 0 where nothing rounds. Needs numpy."""
import glob
import json
import os
import shutil
import sys

import numpy as np

shared, out = sys.argv[1:]
sys.path.insert(0, os.path.join(shared, "tools"))
import oracle  # noqa: E402


def kl(a, b):
    a, b = (x - x.max() - np.log(np.exp(x - x.max()).sum()) for x in (a, b))
    return float((np.exp(a) * (a - b)).sum())


for path in sorted(glob.glob(os.path.join(shared, "golden", "*.json"))):
    name = os.path.splitext(os.path.basename(path))[0]
    golden = json.load(open(path))
    model = os.path.join(shared, "golden", name + ".gguf")
    lines = ["vocab %d" % golden["vocab"]]
    quantised = not name.endswith(("f32", "f16"))
    for s in golden["sequences"]:
        n, cost = len(s["tokens"]), 0.0
        if quantised:
            exact, rounded = (oracle.Model(model, a64=a).forward([s["tokens"]])[0].logits[-1] for a in (False, True))
            cost = kl(exact, rounded)
        lines.append("sequence %d %.9g %.4g %s" % (n, s["logits_std"], cost, " ".join(map(str, s["tokens"]))))
        lines += [" ".join("%d %.9g" % tuple(t) for t in row) for row in s["top"]]
    with open(os.path.join(out, name + ".txt"), "w") as f:
        f.write("\n".join(lines) + "\n")
    shutil.copyfile(os.path.join(shared, "golden", golden["f32_file"]), os.path.join(out, name + ".f32"))
