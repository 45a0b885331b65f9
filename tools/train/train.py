#!/usr/bin/python3
"""Train Pocket on two CPU cores: train.py --out DIR --minutes 45     (resumes from DIR/train.pt when it exists)

Two processes of one thread share each step's work; gradients are summed through shared memory.  Muon moves the matrices
inside the blocks, AdamW the rest.  The rate is constant for 40 % of the time, then falls.  The MTP layer joins for the
last half; for the last 35 % the forward pass uses weights rounded to Q4_0 where the int4 file will (gradients go straight
through)."""
import os
import sys
if __name__ == "__main__" and "MALLOC_TOP_PAD_" not in os.environ:    # glibc must keep freed memory: about 10 % faster
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MALLOC_TRIM_THRESHOLD_="1000000000",
                      MALLOC_MMAP_THRESHOLD_="1000000000", MALLOC_TOP_PAD_="100000000")
    os.execv(sys.executable, [sys.executable] + sys.argv)
import argparse
import random
import time

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

import data
from model import Model, q4_0, save
from tokens import Tokenizer

WORKERS, RATE, MUON_RATE, DECAY, BALANCE, MTP_SHARE = 2, 2e-3, 0.02, 0.05, 0.002, 0.3
MTP_FROM, QUANTISE_FROM = 0.5, 0.65


def batch(tokenizer, rng, n):
    ids, weight, lens = [], [], []
    while len(ids) < n:
        i, w = data.encode(tokenizer, data.document(rng))
        ids, weight, lens = ids + i, weight + w, lens + [len(i)]
    return torch.tensor(ids), torch.tensor(weight), lens


def targets(ids, weight, lens, ahead):
    """Rows whose token `ahead` places on counts and is in the same document, and that token."""
    doc = torch.repeat_interleave(torch.arange(len(lens)), torch.tensor(lens))
    i = (weight[ahead:] > 0).nonzero()[:, 0]
    i = i[doc[i] == doc[i + ahead]]
    return i, ids[i + ahead]


def orthogonal(g):
    """Muon's update: Newton-Schulz steps towards the nearest orthogonal matrix."""
    x = g / (g.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    for _ in range(5):
        a = x @ x.t()
        x = 3.4445 * x + (-4.775 * a + 2.0315 * (a @ a)) @ x
    return (x.t() if tall else x) * max(1, g.shape[0] / g.shape[1]) ** 0.5


def worker(rank, args, tokenizer, grads, loads, update, clock, barrier):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Model(len(tokenizer.texts))
    small = {id(p) for p in model.int4()}                          # all parameters in one vector, the Q4_0 ones first
    params = sorted(model.named_parameters(), key=lambda np: id(np[1]) not in small)
    n, n4 = sum(p.numel() for _, p in params), sum(p.numel() for p in model.int4())
    master, work, grad = torch.empty(n), torch.empty(n), torch.zeros(n)
    decay, adam, matrices, at = torch.zeros(n), torch.ones(n), [], 0
    for name, p in params:
        k = p.numel()
        master[at:at + k] = p.data.flatten()
        p.data, p.grad = work[at:at + k].view_as(p), grad[at:at + k].view_as(p)
        if p.dim() == 2:
            decay[at:at + k] = DECAY
            if name not in ("embedding", "head") and "router" not in name:
                adam[at:at + k] = 0
                matrices.append((at, k, tuple(p.shape)))
        at += k
    first, second, step, spent, seen = torch.zeros(n), torch.zeros(n - n4), 0, 0.0, 0
    path, moes = args.out + "/train.pt", model.moes()
    if os.path.exists(path):
        s = torch.load(path)
        master.copy_(s["master"]), first.copy_(s["first"]), second.copy_(s["second"])
        step, spent, seen = s["step"], s["spent"], s["seen"]
        for b, x in zip(moes, s["bias"]):
            b.bias.copy_(x)
    if rank == 0:
        print("%d parameters, %d of them Q4_0, %d tokens in the vocabulary" % (n, n4, len(tokenizer.texts)), flush=True)
    total, last, saved, sums = args.minutes * 60, time.time(), spent, [0.0, 0.0, 0]
    while spent < total:
        done = spent / total
        work.copy_(master)
        if done >= QUANTISE_FROM:
            work[:n4] = q4_0(work[:n4])
        ids, weight, lens = batch(tokenizer, random.Random(step * WORKERS + rank + 1000003), args.batch // WORKERS)
        with_mtp = done >= MTP_FROM
        hidden, ahead = model(ids, lens, with_mtp)
        i, y = targets(ids, weight, lens, 1)
        loss = F.cross_entropy(hidden.index_select(0, i) @ model.head.t(), y)
        loss_mtp = torch.zeros(())
        if with_mtp:
            i, y = targets(ids, weight, lens, 2)
            loss_mtp = F.cross_entropy(ahead.index_select(0, i) @ model.head.t(), y)
        grad.zero_()
        (loss + MTP_SHARE * loss_mtp).backward()
        grads[rank].copy_(grad)
        loads[rank].copy_(torch.stack([b.load for b in moes]))
        barrier.wait()
        g, load = grads.mean(0), loads.sum(0)
        rate = min(1, (step + 1) / 100) * (1 if done < 0.4 else max(0.02, (1 - done) / 0.6))
        g *= min(1.0, 1.0 / (g.norm().item() + 1e-6))
        first.mul_(0.9).add_(g, alpha=0.1)
        second.mul_(0.98).addcmul_(g[n4:], g[n4:], value=0.02)     # the first n4 are all matrices: Muon's
        move = (first[n4:] / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.98 ** (step + 1))).sqrt() + 1e-9) * (RATE * adam[n4:])
        for m, (at, k, shape) in enumerate(matrices):              # the matrices are shared out
            if m % WORKERS == rank:
                update[at:at + k] = orthogonal((first[at:at + k] * 0.9 + g[at:at + k] * 0.1).view(shape)).flatten() * MUON_RATE
        if rank == 0:
            now = time.time()
            clock[0], last = now - last, now
        barrier.wait()
        master.mul_(1 - rate * RATE * decay).sub_(update, alpha=rate)
        master[n4:].sub_(move, alpha=rate)
        for b, x in zip(moes, load):
            b.bias += BALANCE * torch.sign(x.mean() - x)
            b.load.zero_()
        step, spent, seen = step + 1, spent + float(clock[0]), seen + len(ids) * WORKERS
        sums = [sums[0] + loss.item(), sums[1] + loss_mtp.item(), sums[2] + 1]
        if rank == 0 and (step % 50 == 0 or spent >= total):
            bar = "#" * int(20 * spent / total)
            print("[%-20s] %4.1f of %g min, %4.1f left  step %d  %.2f M tokens, %d/s  loss %.4f  mtp %.4f  busiest expert %.2f"
                  % (bar, spent / 60, args.minutes, max(0, total - spent) / 60, step, seen / 1e6, seen / spent, sums[0] / sums[2],
                     sums[1] / sums[2], (load.max(1)[0] / load.mean(1).clamp(min=1)).max()), flush=True)
            sums = [0.0, 0.0, 0]
        if rank == 0 and (spent - saved > 120 or spent >= total):
            saved = spent
            torch.save(dict(master=master, first=first, second=second, step=step, spent=spent, seen=seen, bias=[b.bias for b in moes]), path + ".tmp")
            os.replace(path + ".tmp", path)
            work.copy_(master)
            save(args.out + "/model.pt", model, tokenizer, step=step, spent=spent, seen=seen)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", required=True)
    ap.add_argument("--minutes", type=float, default=45)
    ap.add_argument("--batch", type=int, default=2048, help="tokens a step")
    ap.add_argument("--merges", type=int, default=1400)
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    vocabulary = args.out + "/merges.pt"
    if not os.path.exists(vocabulary):
        torch.save(data.vocabulary(args.merges), vocabulary)
    tokenizer = Tokenizer(torch.load(vocabulary))
    model = Model(len(tokenizer.texts))
    n = sum(p.numel() for p in model.parameters())
    grads, update = torch.zeros(WORKERS, n).share_memory_(), torch.zeros(n).share_memory_()
    loads = torch.zeros(WORKERS, len(model.moes()), len(model.moes()[0].load)).share_memory_()
    clock = torch.zeros(1, dtype=torch.float64).share_memory_()
    if not os.path.exists(args.out + "/model.pt"):
        save(args.out + "/model.pt", model, tokenizer, step=0, spent=0.0, seen=0)
    context = mp.get_context("fork")
    barrier = context.Barrier(WORKERS)
    group = [context.Process(target=worker, args=(k, args, tokenizer, grads, loads, update, clock, barrier)) for k in range(WORKERS)]
    for w in group:
        w.start()
    for w in group:
        w.join()
