/* gguf.h - small GGUF models made in memory, for the tests of the rooms file and arch. Everything about them can be changed before they are written:
   keys and tensors by name, versions, offsets. Random weights from a fixed seed. Needs dsmoe.h, stdio.h and stdlib.h first. */
#ifndef TEST_GGUF_H
#define TEST_GGUF_H

enum { G_U8 = 0, G_I8, G_U16, G_I16, G_U32, G_I32, G_F32, G_BOOL, G_STR, G_ARR, G_U64, G_I64, G_F64 };
enum { G_TYPE_F32 = 0, G_TYPE_F16 = 1, G_TYPE_Q4_0 = 2, G_TYPE_Q8_0 = 8, G_TYPE_Q4_K = 12, G_TYPE_BF16 = 30 };

typedef struct g_buffer { uint8_t *at; size_t n, cap; } g_buffer;
static void g_put(g_buffer *b, const void *p, size_t n) {
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2 + 256; b->at = (uint8_t *)realloc(b->at, b->cap);
        if (!b->at) exit(2);
    }
    if (n) memcpy(b->at + b->n, p, n);
    b->n += n;
}
static void g_put32(g_buffer *b, uint32_t v) { g_put(b, &v, 4); }
static void g_put64(g_buffer *b, uint64_t v) { g_put(b, &v, 8); }
static void g_put_str(g_buffer *b, const char *s) { g_put64(b, strlen(s)); g_put(b, s, strlen(s)); }

typedef struct g_key { char name[100]; uint32_t type; g_buffer value; } g_key;
/* offset: UINT64_MAX: as it comes. fill: not 0: every F32 weight */
typedef struct g_tensor { char name[100]; int n_dims; uint64_t ne[5]; uint32_t type; uint64_t offset; float fill; } g_tensor;
typedef struct g_model {
    g_key keys[96]; int n_keys;
    g_tensor tensors[200]; int n_tensors;
    uint32_t version, align; /* align: as the writer takes it; the key general.alignment is a key like any other */
    uint64_t seed;
    g_buffer out; size_t fields[3000]; int wide[3000], n_fields; /* where lengths, counts, types and offsets stand in `out`; 4 or 8 bytes */
    size_t header;
} g_model;

static g_key *g_find_key(g_model *g, const char *name) { for (int i = 0; i < g->n_keys; i++) if (!strcmp(g->keys[i].name, name)) return g->keys + i; return NULL; }
static g_tensor *g_find(g_model *g, const char *name) { for (int i = 0; i < g->n_tensors; i++) if (!strcmp(g->tensors[i].name, name)) return g->tensors + i;
    return NULL; }
static g_key *g_key_raw(g_model *g, const char *name, uint32_t type) { /* new, or the old one emptied */
    g_key *k = g_find_key(g, name);
    if (!k) { k = g->keys + g->n_keys++; memset(k, 0, sizeof *k); strcpy(k->name, name); }
    k->type = type; k->value.n = 0; return k;
}
static void g_put_number(g_buffer *b, uint32_t type, double v) {
    switch (type) {
    case G_U8: case G_BOOL: { uint8_t x = (uint8_t)v; g_put(b, &x, 1); } break;
    case G_I8: { int8_t x = (int8_t)v; g_put(b, &x, 1); } break;
    case G_U16: { uint16_t x = (uint16_t)v; g_put(b, &x, 2); } break;
    case G_I16: { int16_t x = (int16_t)v; g_put(b, &x, 2); } break;
    case G_U32: g_put32(b, (uint32_t)v); break;
    case G_I32: { int32_t x = (int32_t)v; g_put(b, &x, 4); } break;
    case G_F32: { float x = (float)v; g_put(b, &x, 4); } break;
    case G_U64: g_put64(b, (uint64_t)v); break;
    case G_I64: { int64_t x = (int64_t)v; g_put(b, &x, 8); } break;
    default: g_put(b, &v, 8);
    }
}
static void g_number(g_model *g, const char *name, uint32_t type, double v) { g_put_number(&g_key_raw(g, name, type)->value, type, v); }
static void g_u32(g_model *g, const char *name, double v) { g_number(g, name, G_U32, v); }
static void g_f32(g_model *g, const char *name, double v) { g_number(g, name, G_F32, v); }
static void g_text(g_model *g, const char *name, const char *v) { g_put_str(&g_key_raw(g, name, G_STR)->value, v); }
static void g_array(g_model *g, const char *name, uint32_t type, int n, double v, double last) { /* n times v, but the last one */
    g_key *k = g_key_raw(g, name, G_ARR);
    g_put32(&k->value, type); g_put64(&k->value, (uint64_t)n);
    for (int i = 0; i < n; i++) g_put_number(&k->value, type, i + 1 < n ? v : last);
}
static void g_drop_key(g_model *g, const char *name) {
    g_key *k = g_find_key(g, name);
    if (k) { free(k->value.at); memmove(k, k + 1, (size_t)(g->keys + --g->n_keys - k) * sizeof *k); }
}
static g_tensor *g_add(g_model *g, const char *name, int n_dims, uint64_t a, uint64_t b, uint64_t c, uint32_t type) {
    g_tensor *t = g_find(g, name);
    if (!t) t = g->tensors + g->n_tensors++;
    memset(t, 0, sizeof *t); strcpy(t->name, name);
    t->n_dims = n_dims; t->ne[0] = a; t->ne[1] = b; t->ne[2] = c; t->ne[3] = t->ne[4] = 1; t->type = type; t->offset = UINT64_MAX; return t;
}
static DSM__UNUSED void g_drop(g_model *g, const char *name)
    { g_tensor *t = g_find(g, name); if (t) memmove(t, t + 1, (size_t)(g->tensors + --g->n_tensors - t) * sizeof *t); }
static void g_layer(g_model *g, int layer, const char *name, uint64_t a, uint64_t b, uint64_t c, uint32_t type) {
    char full[100];
    snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    g_add(g, full, c ? 3 : b ? 2 : 1, a, b ? b : 1, c ? c : 1, type);
}
static void g_free(g_model *g) { for (int i = 0; i < g->n_keys; i++) free(g->keys[i].value.at); free(g->out.at); memset(g, 0, sizeof *g); }
static uint64_t g_bytes(const g_tensor *t) {
    uint64_t n = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; int unit = 1, bytes = 4;
    dsm__fmt_ggml_block(t->type, &unit, &bytes);
    return n / (uint64_t)unit * (uint64_t)bytes;
}
static void g_field(g_model *g, int wide) { if (g->n_fields < 3000) { g->fields[g->n_fields] = g->out.n; g->wide[g->n_fields++] = wide; } }
/* Writes it into g->out. first, last: only these tensors (a shard). */
static void g_write_part(g_model *g, int first, int last) {
    g_buffer *b = &g->out; uint64_t offset = 0, align = g->align ? g->align : 32; size_t data; static const uint8_t zero[8] = { 0 };
    b->n = 0; g->n_fields = 0;
    g_put(b, "GGUF", 4); g_field(g, 4); g_put32(b, g->version ? g->version : 3);
    g_field(g, 8); g_put64(b, (uint64_t)(last - first)); g_field(g, 8); g_put64(b, (uint64_t)g->n_keys);
    for (int i = 0; i < g->n_keys; i++) {
        const g_key *k = g->keys + i;
        g_field(g, 8); g_put_str(b, k->name); g_field(g, 4); g_put32(b, k->type);
        if (k->type == G_STR) g_field(g, 8);
        if (k->type == G_ARR) { g_field(g, 4); b->n += 4; g_field(g, 8); b->n -= 4; }
        g_put(b, k->value.at, k->value.n);
    }
    for (int i = first; i < last; i++) {
        g_tensor *t = g->tensors + i;
        g_field(g, 8); g_put_str(b, t->name); g_field(g, 4); g_put32(b, (uint32_t)t->n_dims);
        for (int d = 0; d < t->n_dims; d++) { g_field(g, 8); g_put64(b, t->ne[d]); }
        g_field(g, 4); g_put32(b, t->type); g_field(g, 8); g_put64(b, t->offset == UINT64_MAX ? offset : t->offset);
        offset += (g_bytes(t) + align - 1) / align * align;
    }
    g->header = b->n;
    while (b->n % align) g_put(b, zero, 1);
    data = b->n;
    for (int i = first; i < last; i++) {
        const g_tensor *t = g->tensors + i; uint64_t n = g_bytes(t);
        for (uint64_t j = 0; j < n; j += 4) {
            uint64_t r = dsm__num_random(g->seed + 1, j + ((uint64_t)i << 32)); float f = t->fill != 0 ? t->fill : (float)((double)(r >> 40) / 16777216 - .5);
            uint8_t q[4]; size_t left = n - j < 4 ? (size_t)(n - j) : 4;
            memcpy(q, &r, 4);
            if (t->type == G_TYPE_F32) memcpy(q, &f, 4);
            else { q[1] &= 0xbf; q[3] &= 0xbf; } /* no NaN in halves */
            g_put(b, q, left);
        }
        while ((b->n - data) % align) g_put(b, zero, 1);
    }
}
static void g_write(g_model *g) { g_write_part(g, 0, g->n_tensors); }

/* A small model of an architecture: 2 layers (the second with experts where it has any), width 32, 4 heads. mla: 'A' fused, 'B' both, 'C' split; 0: no MLA. */
static void g_make(g_model *g, const char *arch, int mla, int mtp) {
    char key[128]; const int moe = !strncmp(arch, "deepseek", 8), layers = 2 + mtp;
    uint64_t d = 32, heads = 4, kv = 2, hd = 8, ff = 64, vocab = 40, latent = 32, rot = 4, nope = 8, vd = 8, q_rank = 24, e = 8, fe = 32;
    memset(g, 0, sizeof *g);
#define G_U(name, v) (snprintf(key, sizeof key, "%s.%s", arch, name), g_u32(g, key, (double)(v)))
#define G_F(name, v) (snprintf(key, sizeof key, "%s.%s", arch, name), g_f32(g, key, v))
    g_text(g, "general.architecture", arch); g_text(g, "general.name", "a small one");
    G_U("context_length", 64); G_U("embedding_length", d); G_U("block_count", layers); G_U("feed_forward_length", ff);
    G_U("attention.head_count", heads); G_F("attention.layer_norm_rms_epsilon", 1e-5); G_F("rope.freq_base", 10000);
    if (mtp) G_U("nextn_predict_layers", mtp);
    if (moe) {
        G_U("expert_count", e); G_U("expert_used_count", 2); G_U("expert_shared_count", 1); G_U("expert_feed_forward_length", fe);
        G_U("leading_dense_block_count", 1); G_F("expert_weights_scale", 1);
    }
    if (mla) {
        G_U("attention.head_count_kv", mla == 'C' ? 1 : heads); G_U("attention.kv_lora_rank", latent); G_U("attention.q_lora_rank", q_rank);
        G_U("rope.dimension_count", rot);
        G_U("attention.key_length", mla == 'C' ? latent + rot : nope + rot); G_U("attention.value_length", mla == 'C' ? latent : vd);
        if (mla == 'C') { G_U("attention.key_length_mla", nope + rot); G_U("attention.value_length_mla", vd); }
        G_U("expert_gating_func", 2); G_U("expert_group_count", 4); G_U("expert_group_used_count", 2);
        snprintf(key, sizeof key, "%s.expert_weights_norm", arch); g_number(g, key, G_BOOL, 1);
    } else { G_U("attention.head_count_kv", kv); G_U("rope.dimension_count", hd); }
#undef G_U
#undef G_F
    g_add(g, "token_embd.weight", 2, d, vocab, 1, 0); g_add(g, "output_norm.weight", 1, d, 1, 1, 0); g_add(g, "output.weight", 2, d, vocab, 1, 0);
    for (int i = 0; i < layers; i++) {
        g_layer(g, i, "attn_norm.weight", d, 0, 0, 0); g_layer(g, i, "ffn_norm.weight", d, 0, 0, 0);
        if (mla) {
            g_layer(g, i, "attn_q_a.weight", d, q_rank, 0, 0); g_layer(g, i, "attn_q_a_norm.weight", q_rank, 0, 0, 0);
            g_layer(g, i, "attn_q_b.weight", q_rank, heads * (nope + rot), 0, 0);
            g_layer(g, i, "attn_kv_a_mqa.weight", d, latent + rot, 0, 0); g_layer(g, i, "attn_kv_a_norm.weight", latent, 0, 0, 0);
            if (mla != 'C') g_layer(g, i, "attn_kv_b.weight", latent, heads * (nope + vd), 0, 0);
            if (mla == 'C') { g_layer(g, i, "attn_k_b.weight", nope, latent, heads, 0); g_layer(g, i, "attn_v_b.weight", latent, vd, heads, 0); }
            if (mla == 'B') { g_layer(g, i, "attn_k_b.weight", nope, latent * heads, 0, 0); g_layer(g, i, "attn_v_b.weight", latent, vd * heads, 0, 0); }
            g_layer(g, i, "attn_output.weight", heads * vd, d, 0, 0);
        } else {
            uint64_t k = moe ? heads : kv;
            if (moe) { snprintf(key, sizeof key, "%s.attention.head_count_kv", arch); g_u32(g, key, (double)heads); }
            g_layer(g, i, "attn_q.weight", d, heads * hd, 0, 0); g_layer(g, i, "attn_k.weight", d, k * hd, 0, 0); g_layer(g, i, "attn_v.weight", d, k * hd, 0, 0);
            if (!strcmp(arch, "qwen2")) { g_layer(g, i, "attn_q.bias", heads * hd, 0, 0, 0); g_layer(g, i, "attn_k.bias", k * hd, 0, 0, 0);
                g_layer(g, i, "attn_v.bias", k * hd, 0, 0, 0); }
            if (!strcmp(arch, "qwen3")) { g_layer(g, i, "attn_q_norm.weight", hd, 0, 0, 0); g_layer(g, i, "attn_k_norm.weight", hd, 0, 0, 0); }
            g_layer(g, i, "attn_output.weight", heads * hd, d, 0, 0);
        }
        if (moe && i >= 1) {
            g_layer(g, i, "ffn_gate_inp.weight", d, e, 0, 0);
            if (mla) g_layer(g, i, "exp_probs_b.bias", e, 0, 0, 0);
            g_layer(g, i, "ffn_gate_exps.weight", d, fe, e, 0); g_layer(g, i, "ffn_up_exps.weight", d, fe, e, 0); g_layer(g, i, "ffn_down_exps.weight", fe, d, e, 0);
            g_layer(g, i, "ffn_gate_shexp.weight", d, fe, 0, 0); g_layer(g, i, "ffn_up_shexp.weight", d, fe, 0, 0);
            g_layer(g, i, "ffn_down_shexp.weight", fe, d, 0, 0);
        } else { g_layer(g, i, "ffn_gate.weight", d, ff, 0, 0); g_layer(g, i, "ffn_up.weight", d, ff, 0, 0); g_layer(g, i, "ffn_down.weight", ff, d, 0, 0); }
        if (i < 2) continue;
        g_layer(g, i, "nextn.eh_proj.weight", 2 * d, d, 0, 0); g_layer(g, i, "nextn.enorm.weight", d, 0, 0, 0); g_layer(g, i, "nextn.hnorm.weight", d, 0, 0, 0);
        g_layer(g, i, "nextn.shared_head_norm.weight", d, 0, 0, 0);
    }
}
#endif
