#!/usr/bin/python3
"""Write a checkpoint as GGUF: export.py CHECKPOINT OUT.gguf [--f32]   (without --f32 the int4 mix)

The int4 mix is Q4_0 for the attention, FFN and expert matrices, Q8_0 for embedding, head, kv_a, k_b and v_b,
F32 for norms, router and selection bias."""
import struct
import sys

import numpy as np

from model import CONTEXT, Config, load
from tokens import BOS, EOS, PAD, SPECIAL

F32, Q4_0, Q8_0 = 0, 2, 8
U32, F32_KEY, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5

TEMPLATE = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}\
{% set ns = namespace(system='', first=true) %}\
{%- for message in messages %}{%- if message['role'] == 'system' %}\
{%- if ns.first %}{% set ns.system = message['content'] %}{% set ns.first = false %}\
{%- else %}{% set ns.system = ns.system + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}\
{{ bos_token }}{{ ns.system }}\
{%- for message in messages %}\
{%- if message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}{%- endif %}\
{%- if message['role'] == 'assistant' %}{% set content = message['content'] %}\
{%- if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{%- endif %}\
{{ '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}{%- endif %}\
{%- endfor %}\
{%- if add_generation_prompt %}{{ '<｜Assistant｜>' }}{%- endif %}"""


def quantise_q4_0(x):
    x = x.reshape(-1, 32).astype(np.float32)
    d = x[np.arange(len(x)), np.abs(x).argmax(1)] / np.float32(-8)
    inverse = np.where(d != 0, np.float32(1) / np.where(d != 0, d, np.float32(1)), np.float32(0))
    q = np.minimum(15, (x * inverse[:, None] + np.float32(8.5)).astype(np.int8)).astype(np.uint8)
    return np.concatenate([d.astype("<f2")[:, None].view(np.uint8), q[:, :16] | q[:, 16:] << 4], axis=1).tobytes()


def quantise_q8_0(x):
    x = x.reshape(-1, 32).astype(np.float32)
    d = np.abs(x).max(1) / np.float32(127)
    inverse = np.where(d != 0, np.float32(1) / np.where(d != 0, d, np.float32(1)), np.float32(0))
    v = x * inverse[:, None]
    q = (np.sign(v) * np.floor(np.abs(v) + np.float32(0.5))).astype(np.int8)
    return np.concatenate([d.astype("<f2")[:, None].view(np.uint8), q.view(np.uint8)], axis=1).tobytes()


def pack(x, kind):
    return quantise_q4_0(x) if kind == Q4_0 else quantise_q8_0(x) if kind == Q8_0 else x.astype("<f4").tobytes()


def string(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    if kind == STRING:
        return string(v)
    if kind == ARRAY:
        inner, items = v
        return struct.pack("<IQ", inner, len(items)) + b"".join(value(inner, i) for i in items)
    return struct.pack({U32: "<I", I32: "<i", F32_KEY: "<f", BOOL: "<?"}[kind], v)


def tensors(model):
    """name, numpy array (outermost axis first), type in the int4 mix"""
    c, h = Config, Config.heads
    n = lambda p: p.detach().numpy()
    yield "token_embd.weight", n(model.embedding), Q8_0
    yield "output_norm.weight", n(model.out_norm), F32
    yield "output.weight", n(model.head), Q8_0
    for i, b in enumerate([*model.blocks, model.mtp]):
        p = "blk.%d." % i
        yield p + "attn_norm.weight", n(b.attn_norm), F32
        yield p + "attn_q_a.weight", n(b.q_a), Q4_0
        yield p + "attn_q_a_norm.weight", n(b.q_norm), F32
        yield p + "attn_q_b.weight", n(b.q_b), Q4_0
        yield p + "attn_kv_a_mqa.weight", n(b.kv_a), Q8_0
        yield p + "attn_kv_a_norm.weight", n(b.kv_norm), F32
        kv = n(b.kv_b).reshape(h, c.nope + c.value, c.latent)
        yield p + "attn_k_b.weight", np.ascontiguousarray(kv[:, :c.nope].transpose(0, 2, 1)), Q8_0
        yield p + "attn_v_b.weight", np.ascontiguousarray(kv[:, c.nope:]), Q8_0
        yield p + "attn_output.weight", n(b.out), Q4_0
        yield p + "ffn_norm.weight", n(b.ffn_norm), F32
        end = "" if b.dense else "_shexp"
        f = len(b.up) // 2
        yield p + "ffn_gate%s.weight" % end, n(b.up)[:f], Q4_0
        yield p + "ffn_up%s.weight" % end, n(b.up)[f:], Q4_0
        yield p + "ffn_down%s.weight" % end, n(b.down), Q4_0
        if not b.dense:
            f = c.expert_ffn
            yield p + "ffn_gate_inp.weight", n(b.router), F32
            yield p + "exp_probs_b.bias", n(b.bias), F32
            yield p + "ffn_gate_exps.weight", np.stack([n(e)[:f] for e in b.expert_up]), Q4_0
            yield p + "ffn_up_exps.weight", np.stack([n(e)[f:] for e in b.expert_up]), Q4_0
            yield p + "ffn_down_exps.weight", np.stack([n(e) for e in b.expert_down]), Q4_0
        if b is model.mtp:
            yield p + "nextn.eh_proj.weight", n(model.join), Q4_0
            yield p + "nextn.enorm.weight", n(model.e_norm), F32
            yield p + "nextn.hnorm.weight", n(model.h_norm), F32
            yield p + "nextn.shared_head_norm.weight", n(model.mtp_norm), F32


def metadata(tokenizer, int4):
    c = Config
    types = [3] * 5 + [4] * 2 + [1] * (len(tokenizer.texts) - len(SPECIAL))
    a = "deepseek2."
    return [
        ("general.architecture", STRING, "deepseek2"), ("general.type", STRING, "model"), ("general.name", STRING, "Pocket"),
        ("general.file_type", U32, 2 if int4 else 0), ("general.quantization_version", U32, 2), ("general.sampling.temp", F32_KEY, 0.0),
        (a + "block_count", U32, c.layers + 1), (a + "nextn_predict_layers", U32, 1), (a + "context_length", U32, CONTEXT),
        (a + "embedding_length", U32, c.width), (a + "feed_forward_length", U32, c.ffn), (a + "vocab_size", U32, len(types)),
        (a + "attention.head_count", U32, c.heads), (a + "attention.head_count_kv", U32, 1),
        (a + "attention.layer_norm_rms_epsilon", F32_KEY, c.eps), (a + "attention.q_lora_rank", U32, c.q_latent),
        (a + "attention.kv_lora_rank", U32, c.latent), (a + "attention.key_length", U32, c.latent + c.rope),
        (a + "attention.value_length", U32, c.latent), (a + "attention.key_length_mla", U32, c.nope + c.rope),
        (a + "attention.value_length_mla", U32, c.value), (a + "rope.dimension_count", U32, c.rope),
        (a + "rope.freq_base", F32_KEY, 10000.0), (a + "rope.scaling.type", STRING, "none"),
        (a + "leading_dense_block_count", U32, 1), (a + "expert_count", U32, c.experts), (a + "expert_used_count", U32, c.used),
        (a + "expert_shared_count", U32, 1), (a + "expert_feed_forward_length", U32, c.expert_ffn),
        (a + "expert_group_count", U32, c.groups), (a + "expert_group_used_count", U32, c.groups_used),
        (a + "expert_gating_func", U32, 2), (a + "expert_weights_norm", BOOL, True), (a + "expert_weights_scale", F32_KEY, c.scale),
        ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "deepseek-v3"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokenizer.texts)), ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, ["%s %s" % m for m in tokenizer.merges])),
        ("tokenizer.ggml.bos_token_id", U32, BOS), ("tokenizer.ggml.eos_token_id", U32, EOS), ("tokenizer.ggml.padding_token_id", U32, PAD),
        ("tokenizer.ggml.add_bos_token", BOOL, True), ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.chat_template", STRING, TEMPLATE)]


def write(path, model, tokenizer, int4):
    keys, infos, data = metadata(tokenizer, int4), b"", []
    offset = count = 0
    for name, array, kind in tensors(model):
        kind = kind if int4 else F32
        body = pack(array, kind)
        infos += string(name) + struct.pack("<I%dQIQ" % array.ndim, array.ndim, *array.shape[::-1], kind, offset)
        body += bytes(-len(body) % 32)
        offset, count = offset + len(body), count + 1
        data.append(body)
    head = b"GGUF" + struct.pack("<IQQ", 3, count, len(keys)) + b"".join(string(k) + struct.pack("<I", t) + value(t, v) for k, t, v in keys) + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + b"".join(data))
    print("%s: %d tensors, %d tokens, %.2f MB" % (path, count, len(tokenizer.texts), (len(head) + offset) / 1e6))


if __name__ == "__main__":
    model, tokenizer, _ = load(sys.argv[1])
    write(sys.argv[2], model, tokenizer, "--f32" not in sys.argv)
