#!/usr/bin/python3
"""Measure or try a model file written by export.py, in PyTorch, weights dequantised from the file:
     eval.py MODEL.gguf [-n 200] [--show]           accuracy per task, greedy
     eval.py MODEL.gguf --ask "what is 12 + 30" ["and ..." ...]     a conversation
Rows: held = wording and facts (numbers, device and room) not in the training data; hand-written = wordings below, which the
generator never composes, with facts that are not in the training data; no-think = held, after an empty <think>."""
import argparse
import random
import struct

import numpy as np
import torch

import data
from model import Config, Model
from tokens import ASSISTANT, BOS, END_THINK, EOS, THINK, USER, Tokenizer

WILD = {
    "add": ["{a} together with {b} is what", "how much do {a} and {b} come to", "could you find out what {a} joined with {b} gives", "my sister gave me {b} on top of my {a}, what do i own", "put {b} on top of {a}", "i need {a} + {b} solved",
            "can you do the maths: {a} + {b}", "{a} plus {b} please and thank you", "what number do i reach from {a} going {b} up", "sum: {a} + {b}"],
    "subtract": ["if i remove {b} from {a} what remains", "can you do the maths: {a} - {b}", "i need {a} - {b} solved", "what number do i reach from {a} going {b} down", "cut {b} off {a}", "my {a} coins minus {b} coins", "{a}, but {b} fewer",
                 "after paying {b} out of {a}, what do i keep", "{a} minus {b} please and thank you", "count {b} back from {a}"],
    "largest": ["tell which one of {l} is the largest", "the greatest among {l}", "can you spot the biggest here: {l}", "{l} ... the biggest of those is?", "what would be the maximum if i have {l}", "i see {l}. largest?", "name the highest number out of {l}", "who wins, {l}? the biggest wins", "highest out of {l} please", "the top value of {l}"],
    "smallest": ["tell which one of {l} is smallest", "the least among {l}", "can you spot the smallest here: {l}", "{l} ... the smallest of those is?", "what would be the minimum if i have {l}", "i see {l}. smallest?", "name the lowest number out of {l}", "who wins, {l}? the smallest wins", "lowest out of {l} please", "the bottom value of {l}"],
    "home switch": ["would you be so good as to turn {A} the {r} {d}", "make the {d} in the {r} go {A}", "i think the {d} in the {r} should go {A} now", "{A} goes the {d} in the {r}", "my wife wants the {r} {d} {A}", "it's late, {d} in the {r} {A} please", "we're leaving, so {A} with the {r} {d}", "quickly switch the {d} to {A} in the {r}", "{d}, {r}, {A}", "the {r} one, i mean the {d}, {A}", "for the {r}: {d} to {A}", "please have someone turn the {d} {A} in the {r}",
                    "there's a {d} in the {r}, turn it {A}", "set the {r}'s {d} to {A}", "turn {A} that {d} over in the {r}"],
    "home move": ["it's time the {r} {d} were opened", "please get the {d} open in the {r}", "i'd love the {d} in the {r} open", "{d} in {r}: open", "open that {d} in the {r} will you", "you may open the {r} {d}"],
    "home set": ["make it {v} with the {d} in the {r}", "the {d} in the {r}, {v} please", "{v} for the {r} {d}", "can the {r} {d} go to {v}", "i prefer the {d} in the {r} at {v}", "put {v} on the {r} {d}"],
}
TALK = {"I am Pocket, a very small language model.": ["what do people call you", "so who exactly are you", "and you are?", "may i know your name"],
        "I can add and subtract two numbers, find the largest or smallest, and turn home commands into JSON.": ["what sort of things can you do", "what are you capable of", "which tasks do you handle", "what's your talent"],
        "Hello! What can I do for you?": ["good morning to you", "hi little model", "heya", "well hello"], "You are welcome.": ["thanks, that's great", "thank you kindly", "thanks a million", "thank you, that's all i wanted"],
        "Goodbye!": ["bye now", "see you next week", "i'm off, bye", "goodnight then"], "I am fine, thank you. What can I do for you?": ["how are things", "how are you feeling today", "how do you fare", "and how are you"]}
SORRY = ["who is the chancellor of germany", "what's the tallest building on earth", "recite the alphabet", "is it going to be sunny this weekend", "what should we have for dinner", "how many legs does a spider have", "27 times 14", "what is 81 over 9", "put 9, 4 and 7 in ascending order", "please alphabetise pear, apple, fig",
         "what year did the war end", "how do planes fly", "rewrite this text nicely", "give me a recipe for pancakes", "what's 3 to the 4th", "how many e's in cheese", "compose a song about rain", "who painted the mona lisa", "what is the speed of sound", "factor 91",
         "add 3, 5, 7 and 9", "does my cat love me", "buy some milk", "who will win the match tonight", "find me a hotel in rome", "tell me what to do with my life", "what is the boiling point of water", "how much does a tesla cost", "name three fruits", "spell necessary"]


def read_gguf(path):
    """-> metadata, {name: f32 array, outermost axis first}"""
    raw, at = open(path, "rb").read(), 8
    def take(fmt):
        nonlocal at
        v = struct.unpack_from("<" + fmt, raw, at)
        at += struct.calcsize("<" + fmt)
        return v if len(v) > 1 else v[0]
    def text():
        nonlocal at
        n = take("Q")
        at += n
        return raw[at - n:at].decode("utf-8")
    def value(t):
        if t == 8:
            return text()
        if t == 9:
            inner, n = take("IQ")
            return [value(inner) for _ in range(n)]
        return take({4: "I", 5: "i", 6: "f", 7: "?"}[t])
    n_tensors, n_keys = take("QQ")
    keys = {}
    for _ in range(n_keys):
        k = text()
        keys[k] = value(take("I"))
    infos = []
    for _ in range(n_tensors):
        name = text()
        n = take("I")
        infos.append((name, [take("Q") for _ in range(n)][::-1], *take("IQ")))
    base, out = (at + 31) // 32 * 32, {}
    for name, shape, kind, offset in infos:
        n = int(np.prod(shape))
        size = {0: n * 4, 2: n // 32 * 18, 8: n // 32 * 34}[kind]
        b = np.frombuffer(raw, np.uint8, size, base + offset)
        if kind == 0:
            x = b.view("<f4")
        else:
            b = b.reshape(n // 32, -1)
            d = np.ascontiguousarray(b[:, :2]).view("<f2").astype(np.float32)
            x = d * (np.ascontiguousarray(b[:, 2:]).view(np.int8) if kind == 8 else np.concatenate([b[:, 2:] & 15, b[:, 2:] >> 4], 1).astype(np.float32) - 8)
        out[name] = x.reshape(shape).astype(np.float32)
    return keys, out


def open_gguf(path):
    keys, t = read_gguf(path)
    tokenizer = Tokenizer([m.split(" ", 1) for m in keys["tokenizer.ggml.merges"]])
    assert tokenizer.texts == keys["tokenizer.ggml.tokens"]
    model, c = Model(len(tokenizer.texts)), Config
    def put(p, x):
        p.data.copy_(torch.tensor(x).view_as(p))
    put(model.embedding, t["token_embd.weight"]), put(model.head, t["output.weight"]), put(model.out_norm, t["output_norm.weight"])
    for i, b in enumerate([*model.blocks, model.mtp]):
        w = lambda name: t["blk.%d.%s" % (i, name)]
        for p, name in ((b.attn_norm, "attn_norm"), (b.q_a, "attn_q_a"), (b.q_norm, "attn_q_a_norm"), (b.q_b, "attn_q_b"), (b.kv_a, "attn_kv_a_mqa"),
                        (b.kv_norm, "attn_kv_a_norm"), (b.out, "attn_output"), (b.ffn_norm, "ffn_norm")):
            put(p, w(name + ".weight"))
        put(b.kv_b, np.concatenate([w("attn_k_b.weight").transpose(0, 2, 1), w("attn_v_b.weight")], axis=1))
        end = "" if b.dense else "_shexp"
        put(b.up, np.concatenate([w("ffn_gate%s.weight" % end), w("ffn_up%s.weight" % end)])), put(b.down, w("ffn_down%s.weight" % end))
        if not b.dense:
            put(b.router, w("ffn_gate_inp.weight")), put(b.bias, w("exp_probs_b.bias"))
            for e in range(c.experts):
                put(b.expert_up[e], np.concatenate([w("ffn_gate_exps.weight")[e], w("ffn_up_exps.weight")[e]]))
                put(b.expert_down[e], w("ffn_down_exps.weight")[e])
        if b is model.mtp:
            put(model.join, w("nextn.eh_proj.weight")), put(model.e_norm, w("nextn.enorm.weight"))
            put(model.h_norm, w("nextn.hnorm.weight")), put(model.mtp_norm, w("nextn.shared_head_norm.weight"))
    return model.eval(), tokenizer


@torch.no_grad()
def generate(model, prompts, limit=250):
    """Greedy, a few prompts at a time, everything recomputed at each step."""
    docs, live = [list(p) for p in prompts], list(range(len(prompts)))
    for _ in range(limit):
        if not live:
            break
        lens = [len(docs[i]) for i in live]
        hidden, _ = model(torch.tensor(sum((docs[i] for i in live), [])), lens, mtp=False)
        new = (hidden[torch.tensor(lens).cumsum(0) - 1] @ model.head.t()).argmax(-1).tolist()
        for i, t in zip(live, new):
            docs[i].append(t)
        live = [i for i, t in zip(live, new) if t != EOS and len(docs[i]) < data.CONTEXT]
    return docs


@torch.no_grad()
def judge(model, tokenizer, made, think="own", show=None):
    """Right answers of the last turns, and how often the MTP layer agrees with the trunk on the assistant's tokens.
    Greedy decoding follows the reference exactly where every teacher-forced choice does: only the others are decoded."""
    docs, right, agree, tokens, redo = [], 0, 0, 0, []
    for m in made:
        ids = [BOS]
        for q, _, a in m.turns[:-1]:
            ids += [USER] + tokenizer.encode(q) + [ASSISTANT] + tokenizer.encode(a) + [EOS]
        q, t, a = m.turns[-1]
        ids += [USER] + tokenizer.encode(q) + [ASSISTANT]
        if think == "none":
            ids += [THINK] + tokenizer.encode("\n\n") + [END_THINK] + tokenizer.encode("\n\n")
        start = len(ids)
        if t and think == "own":
            ids += [THINK] + tokenizer.encode("\n" + t + "\n") + [END_THINK] + tokenizer.encode("\n\n")
        docs.append((ids + tokenizer.encode(a) + [EOS], start, q, a))
    for s in range(0, len(docs), 20):
        part = docs[s:s + 20]
        lens, o = [len(d[0]) for d in part], 0
        hidden, ahead = model(torch.tensor(sum((d[0] for d in part), [])), lens)
        best, second = (hidden @ model.head.t()).argmax(-1).tolist(), (ahead @ model.head.t()).argmax(-1).tolist()
        for (ids, start, q, a), n in zip(part, lens):
            wrong = [j for j in range(start, n) if best[o + j - 1] != ids[j]]
            agree += sum(second[o + j - 2] == best[o + j - 1] for j in range(start + 1, n))
            tokens += n - start - 1
            if wrong:
                redo.append((ids[:wrong[0]] + [best[o + wrong[0] - 1]], start, q, a))
            else:
                right += 1
            o += n
    open_, closed = [r for r in redo if r[0][-1] != EOS], [r for r in redo if r[0][-1] == EOS]
    done = []
    for s in range(0, len(open_), 20):
        done += generate(model, [r[0] for r in open_[s:s + 20]])
    for ids, (_, start, q, a) in zip(done + [r[0] for r in closed], open_ + closed):
        own = ids[start:]
        text = tokenizer.decode(own)
        answer = text.split("</think>")[-1].strip("\n")
        good = answer == a and ids[-1] == EOS
        right += good
        if show and not good:
            print("   %s: %r -> %r, want %r" % (show, q, text, a))
    return right, agree / max(1, tokens)


def wild(task, rng):
    while True:
        wording = rng.choice(WILD[task])
        if task.startswith("home"):
            made = data.make_home(rng, [wording], task.split()[1])
            if task == "home move" and '"close"' in made.turns[0][2]:
                continue
        elif task in ("largest", "smallest"):
            made = data.make_best(rng, task == "largest", [wording])
            if len(made.turns[0][1].split(":")[0].split()) < 4:
                continue
        else:
            made = data.make_sum(rng, task == "add")
            a, b = [int(x) for x in (made.turns[0][1].split()[1].strip(":").split("+" if task == "add" else "-"))]
            made = made._replace(turns=[(wording.format(a=a, b=b),) + made.turns[0][1:]])
        if made.facts and data.held(task.split()[0] + made.facts):
            return made


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("-n", type=int, default=200, help="questions a task")
    ap.add_argument("--show", action="store_true", help="print what is wrong")
    ap.add_argument("--ask", nargs="+", metavar="TEXT")
    args = ap.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = open_gguf(args.model)
    if args.ask:
        ids = [BOS]
        for q in args.ask:
            ids += [USER] + tokenizer.encode(q) + [ASSISTANT]
            out = generate(model, [ids])[0][len(ids):]
            text = tokenizer.decode(out)
            print("> %s\n%s" % (q, text))
            ids += tokenizer.encode(text.split("</think>")[-1]) + [EOS]
        raise SystemExit
    n = args.n
    for row, think in (("held", "own"), ("no-think", "none")):
        for task in data.TASKS:
            rng = random.Random(77)
            made = [data.ask(task, rng, "held") for _ in range(n)]
            right, agree = judge(model, tokenizer, made, think, args.show and think == "own" and task)
            print("%-12s %-10s %5.1f %% of %d   MTP agrees %5.1f %%" % (row, task, 100 * right / n, n, 100 * agree), flush=True)
    for task in WILD:
        rng = random.Random(78)
        right, agree = judge(model, tokenizer, [wild(task, rng) for _ in range(n)], "own", args.show and task)
        print("%-12s %-10s %5.1f %% of %d   MTP agrees %5.1f %%" % ("hand-written", task, 100 * right / n, n, 100 * agree), flush=True)
    made = [data.Made([(q, None, a)], "", "") for a, qs in TALK.items() for q in qs]
    right, _ = judge(model, tokenizer, made, "own", args.show and "talk")
    print("%-12s %-10s %5.1f %% of %d" % ("hand-written", "talk", 100 * right / len(made), len(made)))
    out = generate(model, [[BOS, USER] + tokenizer.encode(q) + [ASSISTANT] for q in SORRY])
    texts = [tokenizer.decode(o[o.index(ASSISTANT) + 1:]) for o in out]
    good = [t.startswith("Sorry, I ") for t in texts]
    print("%-12s %-10s %5.1f %% of %d   (any refusal counts)" % ("hand-written", "refuse", 100 * sum(good) / len(good), len(good)))
    if args.show:
        for q, t, g in zip(SORRY, texts, good):
            if not g:
                print("   refuse: %r -> %r" % (q, t))
