"""Called by tests/oracle.sh: SHARED WORK LOGITS [NAME ...]. Each model is made, compared and deleted."""
import os
import subprocess
import sys

import numpy as np

shared, work, logits = sys.argv[1:4]
sys.path.insert(0, os.path.join(shared, "tools"))
sys.dont_write_bytecode = True
import oracle  # noqa: E402

MODELS = [  # name, shape, type, further options of synth_gguf.py
    ("qwen2", "tiny-qwen2", "q4_0", []), ("qwen3", "tiny-qwen3", "q8_0", []), ("llama", "tiny-llama", "q4_k_m", ["--set", "freqs=1"]),
    ("llama-wide", "tiny-llama", "q6_k", ["--set", "d=768,H=6,KV=3,hd=128,ff=1280"]), ("moe", "tiny-moe", "q4_0", []),
    ("moe-odd", "tiny-moe", "q8_0", ["--set", "ffe=352,E=24,K=5"]),
    ("v2lite-split", "tiny-v2lite", "q4_0", ["--layers", "6", "--mla", "split"]), ("v2lite-fused", "tiny-v2lite", "q8_0", ["--layers", "6", "--mla", "fused"]),
    ("v3-split", "tiny-v3", "q4_k_m", ["--mla", "split"]), ("v3-fused", "tiny-v3", "q4_0", ["--mla", "fused"]),
    ("v3-heads", "tiny-v3", "q8_0", ["--mla", "split", "--set", "H=20,kvlora=320,nope=64,rope=64,vd=64,E=48,groups=6,topg=2"]),
]
TOKENS, SHORT = 24, 15  # one sequence of so many tokens; so many of two


def logp(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def kl(a, b):
    a, b = logp(a), logp(b)
    return (np.exp(a) * (a - b)).sum(axis=1)


passed = failed = 0
for name, shape, kind, options in MODELS:
    if len(sys.argv) > 4 and name not in sys.argv[4:]:
        continue
    model, out = os.path.join(work, name + ".gguf"), os.path.join(work, name + ".f32")
    subprocess.run([sys.executable, os.path.join(shared, "tools", "synth_gguf.py"), shape, kind, model, "--vocab", "2048", "--seed", "3"] + options, check=True, stdout=subprocess.DEVNULL)
    rng = np.random.default_rng(11)
    sequences = [rng.integers(0, 2048, n).tolist() for n in [TOKENS] + [2] * SHORT]
    exact = [r.logits for r in oracle.Model(model).forward(sequences)]
    rounded = [r.logits for r in oracle.Model(model, a64=True).forward(sequences)]

    def ours(tokens, act):
        subprocess.run([logits, model, "--tokens", ",".join(map(str, tokens)), "--out", out, "--kv", "f32", "--act", act], check=True)
        return np.fromfile(out, "<f4").reshape(len(tokens), -1).astype(np.float64)

    far = np.abs(ours(sequences[0], "f32") - exact[0]).max() / exact[0].std()
    int8 = [ours(s, "q8") for s in sequences]
    base, near = (np.concatenate([kl(e, x) for e, x in zip(exact, y)]).mean() for y in (rounded, int8))
    # A number that lies between two roundings up to f32's precision may fall the other way than in the emulation, and then all after it differs as much as
    # rounding costs: so most of the short sequences must agree, not all positions of a long one.
    same = [kl(r, x).max() for r, x in zip(rounded[1:], int8[1:])]
    good = far < 1e-4 and near <= 1.2 * base and np.median(same) <= 0.1 * base
    passed, failed = passed + good, failed + (not good)
    print("%s %-13s %-7s F32: %.1e of the deviation; int8: KL(oracle||emulation) %.2e, KL(oracle||ours) / it %.3f, KL(emulation||ours) / it: median %.0e, %d of %d below 0.1" % (
        "  " if good else "FAILED", name, kind, far, base, near / base, np.median(same) / base, sum(x <= 0.1 * base for x in same), SHORT), flush=True)
    os.remove(model)
    os.remove(out)
print("%d passed, %d failed, 0 skipped" % (passed, failed))
sys.exit(failed != 0)
