"""DeepSeek-V3's architecture, small: MLA with a query latent, a sigmoid router with groups and a selection bias, a shared
expert, and one MTP layer.  A batch is flat: documents laid end to end, all products 2-D, attention document by document."""
import os

import torch
import torch.nn as nn
import torch.nn.functional as F

CONTEXT = 1024


class Config:
    width, layers, heads, nope, rope, value, latent, q_latent = 128, 4, 4, 32, 16, 32, 64, 96
    ffn, experts, used, expert_ffn, groups, groups_used, scale, eps = 352, 8, 2, 96, 4, 2, 1.0, 1e-6


def linear(rows, cols):
    return nn.Parameter(torch.randn(rows, cols) * cols ** -0.5 * 0.7)


def ones(n):
    return nn.Parameter(torch.ones(n))


def norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + Config.eps) * weight


def rotate(x, cos, sin):
    """Rotate the neighbours (2i, 2i+1) of the last axis."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def swiglu(x, up, down):
    """up holds the gate's rows first."""
    gate, up = (x @ up.t()).chunk(2, -1)
    return (F.silu(gate) * up) @ down.t()


class Block(nn.Module):
    def __init__(self, dense):
        super().__init__()
        c, h = Config, Config.heads
        self.dense = dense
        self.attn_norm, self.ffn_norm = ones(c.width), ones(c.width)
        self.q_a, self.q_norm, self.q_b = linear(c.q_latent, c.width), ones(c.q_latent), linear(h * (c.nope + c.rope), c.q_latent)
        self.kv_a, self.kv_norm = linear(c.latent + c.rope, c.width), ones(c.latent)
        self.kv_b = linear(h * (c.nope + c.value), c.latent)       # per head: the key's rows, then the value's
        self.out = linear(c.width, h * c.value)
        f = c.ffn if dense else c.expert_ffn                       # the dense FFN, or the shared expert
        self.up, self.down = linear(2 * f, c.width), linear(c.width, f)
        small = [self.out, self.down]
        if not dense:
            self.router = linear(c.experts, c.width)
            self.expert_up = nn.ParameterList(linear(2 * c.expert_ffn, c.width) for _ in range(c.experts))
            self.expert_down = nn.ParameterList(linear(c.width, c.expert_ffn) for _ in range(c.experts))
            self.register_buffer("bias", torch.zeros(c.experts))
            self.load = torch.zeros(c.experts)
            small += list(self.expert_down)
        for p in small:                                            # quiet residual branches at the start
            p.data *= (2 * c.layers) ** -0.5

    def attention(self, x, cos, sin, lens, mask):
        c, n, h = Config, len(x), Config.heads
        q = (norm(x @ self.q_a.t(), self.q_norm) @ self.q_b.t()).view(n, h, -1).transpose(0, 1)
        kv = x @ self.kv_a.t()
        k_rope = rotate(kv[:, c.latent:], cos, sin)
        kv = (norm(kv[:, :c.latent], self.kv_norm) @ self.kv_b.t()).view(n, h, -1).transpose(0, 1)
        q = torch.cat((q[..., :c.nope], rotate(q[..., c.nope:], cos, sin)), -1) * (c.nope + c.rope) ** -0.5
        k = torch.cat((kv[..., :c.nope], k_rope.expand(h, -1, -1)), -1)
        out = [torch.bmm(torch.softmax(torch.bmm(a, b.transpose(1, 2)) + mask[:m, :m], -1), v)
               for a, b, v, m in zip(q.split(lens, 1), k.split(lens, 1), kv[..., c.nope:].split(lens, 1), lens)]
        return torch.cat(out, 1).transpose(0, 1).reshape(n, -1) @ self.out.t()

    def moe(self, x):
        c = Config
        score = torch.sigmoid(x @ self.router.t())
        choice = (score.detach() + self.bias).view(len(x), c.groups, -1)
        best = choice.topk(2, -1)[0].sum(-1).topk(c.groups_used, -1)[1]
        keep = torch.zeros(len(x), c.groups, dtype=torch.bool).scatter_(1, best, True)
        chosen = choice.masked_fill(~keep[..., None], -1e9).flatten(1).topk(c.used, -1)[1]
        weight = score.gather(1, chosen)
        weight = weight / weight.sum(-1, keepdim=True) * c.scale
        self.load += torch.bincount(chosen.flatten(), minlength=c.experts)
        y = swiglu(x, self.up, self.down)
        for e in range(c.experts):
            i, slot = (chosen == e).nonzero(as_tuple=True)
            if len(i):
                w = weight.flatten().index_select(0, i * c.used + slot)[:, None]
                y = y.index_add_(0, i, swiglu(x.index_select(0, i), self.expert_up[e], self.expert_down[e]) * w)
        return y

    def forward(self, x, *where):
        x = x + self.attention(norm(x, self.attn_norm), *where)
        h = norm(x, self.ffn_norm)
        return x + (swiglu(h, self.up, self.down) if self.dense else self.moe(h))


class Model(nn.Module):
    def __init__(self, n_vocab):
        super().__init__()
        c = Config
        self.blocks = nn.ModuleList(Block(i == 0) for i in range(c.layers))
        self.mtp = Block(False)
        self.join = linear(c.width, 2 * c.width)                   # eh_proj: the embedding's half first
        self.embedding, self.head = nn.Parameter(torch.randn(n_vocab, c.width) * 0.5), linear(n_vocab, c.width)
        self.out_norm, self.e_norm, self.h_norm, self.mtp_norm = (ones(c.width) for _ in range(4))
        angle = torch.arange(CONTEXT)[:, None] * 10000.0 ** (-torch.arange(0, c.rope, 2) / c.rope)
        self.cos, self.sin = angle.cos(), angle.sin()
        self.mask = torch.full((CONTEXT, CONTEXT), -1e9).triu(1)

    def moes(self):
        return [b for b in [*self.blocks, self.mtp] if not b.dense]

    def forward(self, ids, lens, mtp=True):
        """-> the trunk's hidden rows; the MTP layer's (row i has seen token i+1 and predicts token i+2)."""
        pos = torch.cat([torch.arange(n) for n in lens])
        where = self.cos[pos], self.sin[pos], lens, self.mask
        e = F.embedding(ids, self.embedding)
        x = e
        for block in self.blocks:
            x = block(x, *where)
        hidden = norm(x, self.out_norm)
        if not mtp:
            return hidden, None
        z = torch.cat((norm(e.roll(-1, 0), self.e_norm), norm(hidden, self.h_norm)), -1) @ self.join.t()
        return hidden, norm(self.mtp(z, *where), self.mtp_norm)

    def int4(self):
        """The parameters that the int4 file holds as Q4_0."""
        out = [self.join]
        for b in [*self.blocks, self.mtp]:
            out += [b.q_a, b.q_b, b.out, b.up, b.down] + ([] if b.dense else [*b.expert_up, *b.expert_down])
        return out


def q4_0(w):
    """Round blocks of 32 to Q4_0 as the reference quantiser does, and back."""
    x = w.view(-1, 32)
    top = x.gather(1, x.abs().argmax(1, keepdim=True))
    d = top / -8
    q = (x * torch.where(d == 0, d, 1 / d) + 8.5).floor().clamp_(0, 15) - 8
    return (q * d.half().float()).view_as(w)


def save(path, model, tokenizer, **more):
    torch.save(dict(more, merges=tokenizer.merges, weights={k: v.detach().clone() for k, v in model.state_dict().items()}), path + ".tmp")
    os.replace(path + ".tmp", path)


def load(path):
    """-> model, tokenizer, the rest of the checkpoint"""
    from tokens import Tokenizer
    state = torch.load(path)
    tokenizer = Tokenizer(state["merges"])
    model = Model(len(tokenizer.texts))
    model.load_state_dict(state["weights"])
    return model.eval(), tokenizer, state
