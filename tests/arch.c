/* arch.c - test of the room arch: every family binds; every tensor missing, mis-shaped or of a wrong type is named; keys in every spelling and by default give
   the same numbers and tables; YaRN, linear and Llama 3.1 tables against published numbers; what must be refused is refused by name. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>
#include "gguf.h"

static int passed, failed, skipped;
static void check(int good, const char *what) { if (good) passed++; else { failed++; printf("FAILED %s\n", what); } }

/* Live bytes of everything the rooms allocate. */
static int64_t live;
static void *count_alloc(void *user, size_t n, size_t align) { void *p = dsm__os_alloc(n, align); (void)user; if (p) live += (int64_t)n; return p; }
static void count_free(void *user, void *p, size_t n) { (void)user; live -= (int64_t)n; dsm__os_free(p); }

typedef struct opened { dsm__file f; dsm__arch m; dsm_error error; dsm_status status; void *copy; } opened;
static void open_bytes(opened *o, const void *data, size_t n, int header_only) {
    dsm_model_desc d; dsm_log log; dsm_allocator a;
    memset(o, 0, sizeof *o); memset(&d, 0, sizeof d); memset(&log, 0, sizeof log); memset(&a, 0, sizeof a);
    a.alloc = count_alloc; a.free = count_free;
    o->copy = malloc(n ? n : 1); memcpy(o->copy, data, n);
    d.data = o->copy; d.size = n; d.header_only = header_only;
    o->status = dsm__file_open(&o->f, &d, &a, &o->error);
    if (!o->status) o->status = dsm__arch_open(&o->m, &o->f, &a, &log, 0, &o->error);
}
static void drop(opened *o) { dsm__arch_close(&o->m); dsm__file_close(&o->f); free(o->copy); }
static void shut(opened *o) { drop(o); if (live) { printf("%ld bytes leaked\n", (long)live); failed++; live = 0; } }
static void open_model(opened *o, g_model *g) { g_write(g); open_bytes(o, g->out.at, g->out.n, 0); }

/* The model must fail with this status and this in the message; header_only must open and say the same. */
static void refused(g_model *g, dsm_status status, const char *text, const char *what) {
    opened o; char line[700];
    open_model(&o, g);
    snprintf(line, sizeof line, "%s: status %d, \"%s\"; expected %d with \"%s\"", what, (int)o.status, o.error.text, (int)status, text);
    check(o.status == status && strstr(o.error.text, text), line);
    shut(&o);
    open_bytes(&o, g->out.at, g->out.n, 1);
    snprintf(line, sizeof line, "%s, header only: status %d, \"%s\"", what, (int)o.status, o.m.refused.text);
    if (o.status) check(o.status == status, line); /* the container itself is at fault */
    else check(o.m.refused.status == status && strstr(o.m.refused.text, text), line);
    shut(&o);
}
static void runs(g_model *g, const char *what) {
    opened o; char line[700];
    open_model(&o, g);
    snprintf(line, sizeof line, "%s: status %d, \"%s\"", what, (int)o.status, o.error.text);
    check(!o.status, line); shut(&o);
}
/* All numbers and the rope table, for comparing bits. */
static uint64_t numbers(const dsm__arch *m) {
    int n[32]; float f[5]; uint64_t h;
    n[0] = m->family; n[1] = m->n_layers; n[2] = m->n_mtp; n[3] = m->width; n[4] = m->n_heads; n[5] = m->n_kv_heads; n[6] = m->head_k; n[7] = m->head_v;
    n[8] = m->n_rot; n[9] = m->neox;
    n[10] = m->n_vocab; n[11] = m->context; n[12] = m->mla; n[13] = m->latent; n[14] = m->q_rank; n[15] = m->nope; n[16] = m->n_experts; n[17] = m->n_used;
    n[18] = m->n_shared; n[19] = m->expert_width;
    n[20] = m->n_dense; n[21] = m->ffn_width; n[22] = m->sigmoid; n[23] = m->normalize; n[24] = m->n_groups; n[25] = m->n_groups_used; n[26] = m->group_top2;
    f[0] = m->eps; f[1] = m->attn_scale; f[2] = m->expert_scale; f[3] = m->rope_amplitude;
    h = dsm__hash(n, 27 * sizeof *n, 1); h = dsm__hash(f, 4 * sizeof *f, h);
    return dsm__hash(m->rope_theta, (size_t)m->n_rot / 2 * sizeof *m->rope_theta, h);
}
static uint64_t numbers_of(g_model *g, const char *what) {
    opened o; uint64_t h; char line[500];
    open_model(&o, g); h = o.status ? 0 : numbers(&o.m);
    if (o.status) { snprintf(line, sizeof line, "%s: %s", what, o.error.text); check(0, line); }
    shut(&o); return h;
}
static int near(double a, double b, double relative) { return fabs(a - b) <= relative * fabs(b); }

static const struct { const char *arch; int mla, mtp;
    } kinds[] = { { "llama", 0, 0 }, { "qwen2", 0, 0 }, { "qwen3", 0, 0 }, { "deepseek", 0, 0 }, { "deepseek2", 'A', 0 }, { "deepseek2", 'B', 0 },
    { "deepseek2", 'C', 0 }, { "deepseek2", 'C', 1 } };
static g_model g;

static void families(void) {
    for (size_t i = 0; i < DSM__COUNT(kinds); i++) {
        opened o, h; uint64_t sum = 0; char line[700];
        g_make(&g, kinds[i].arch, kinds[i].mla, kinds[i].mtp); open_model(&o, &g);
        snprintf(line, sizeof line, "%s %c: %s", kinds[i].arch, kinds[i].mla ? kinds[i].mla : '-', o.error.text);
        check(!o.status, line);
        if (!o.status) {
            const dsm__arch *m = &o.m; const dsm__layer *y = m->layers + 1; int twice = kinds[i].mla == 'B';
            check(m->n_layers == 2 && m->n_mtp == kinds[i].mtp && m->width == 32 && m->n_heads == 4 && m->n_vocab == 40 && m->fingerprint != 0, line);
            check(y->attn_norm && y->ffn_norm && y->o.present && y->o.n_cols == 32 && m->output_norm, line);
            check((y->q_bias != NULL) == (m->family == DSM__ARCH_QWEN2) && (y->q_norm != NULL) == (m->family == DSM__ARCH_QWEN3), line);
            check(y->moe == (m->n_experts > 0) && !m->layers[0].moe && m->layers[0].gate.present, line);
            if (m->mla) {
                check(m->nope == 8 && m->n_rot == 4 && m->head_k == 12 && m->head_v == 8 && y->split == (kinds[i].mla != 'A') && y->v_b.present
                    && y->v_b.n_cols == 32 && y->v_b.n_rows == 32, line);
                check(y->v_b_head_stride == (y->split ? 8u * 128u : 16u * 128u)
                    && (y->split ? y->k_b.n_rows == 128 && y->k_b_head_stride == 32u * 32u : y->v_b.data == y->kv_b.data + 8 * 128), line);
                check(m->sigmoid && m->normalize && m->n_groups == 4 && m->n_groups_used == 2 && m->group_top2 && y->router_bias, line); }
            for (size_t t = 0; t < o.f.n_tensors; t++) {
                dsm__str s = o.f.tensors[t].name;
                if (!(twice && dsm__str_has(s, "attn_kv_b")) && !dsm__str_has(s, "blk.2.")) sum += o.f.tensors[t].n_rows * o.f.tensors[t].ne[0]; }
            check(m->parameters == sum && (m->n_experts ? m->active == sum - 3u * 6u * 32u * 32u : m->active == sum), "parameters");
            open_bytes(&h, g.out.at, g.out.n, 1);
            check(!h.status && !h.m.refused.status && numbers(&h.m) == numbers(m) && h.m.bytes == m->bytes && h.f.bytes == o.f.bytes && !h.m.fingerprint,
                "header only: the same numbers and bytes");
            check(!h.m.layers[1].o.data && h.m.layers[1].o.present && h.m.layers[1].o.n_rows == 32 && h.m.layers[1].attn_norm, "header only: no data");
            check((int64_t)(m->bytes + o.f.bytes + h.m.bytes + h.f.bytes) == live, "bytes are counted");
            drop(&h);
        }
        shut(&o); g_free(&g);
    }
}
/* Every tensor: missing, with one more or one less in each dimension, or of the wrong type. */
static void tensors(void) {
    for (size_t i = 0; i < DSM__COUNT(kinds); i++) {
        int n; g_make(&g, kinds[i].arch, kinds[i].mla, kinds[i].mtp); n = g.n_tensors;
        for (int t = 0; t < n; t++) {
            g_tensor old = g.tensors[t]; char what[160]; const char *name = old.name, *part = strrchr(name, '.');
            int optional = !strcmp(name, "output.weight") || strstr(name, "exp_probs_b") || strstr(name, "shared_head_norm");
            snprintf(what, sizeof what, "%s without %s", kinds[i].arch, name);
            memmove(g.tensors + t, g.tensors + t + 1, (size_t)(g.n_tensors - t - 1) * sizeof old); g.n_tensors--;
            if (optional && !(kinds[i].mtp && strstr(name, "exp_probs_b"))) runs(&g, what);
            else if (kinds[i].mla == 'B' && strstr(name, "attn_kv_b")) runs(&g, what);
            else refused(&g, DSM_E_FORMAT, strstr(name, "exp_probs_b") ? "exp_probs_b" : name, what);
            memmove(g.tensors + t + 1, g.tensors + t, (size_t)(g.n_tensors - t) * sizeof old); g.n_tensors++; g.tensors[t] = old;
            for (int d = 0; d < old.n_dims; d++) for (int by = -1; by < 2; by += 2) {
                g.tensors[t].ne[d] += (uint64_t)(int64_t)by; snprintf(what, sizeof what, "%s: %s dimension %d by %d", kinds[i].arch, name, d, by);
                refused(&g, DSM_E_FORMAT, !strncmp(name, "token_embd", 10) && d ? "output.weight" : name, what); g.tensors[t] = old; }
            if (old.n_dims == 2 && old.ne[0] != old.ne[1]) {
                g.tensors[t].ne[0] = old.ne[1]; g.tensors[t].ne[1] = old.ne[0]; snprintf(what, sizeof what, "%s: %s transposed", kinds[i].arch, name);
                refused(&g, DSM_E_FORMAT, strncmp(name, "token_embd", 10) ? name : "token_embd", what); g.tensors[t] = old; }
            g.tensors[t].type = 17; g.tensors[t].ne[0] = 256; snprintf(what, sizeof what, "%s: %s as IQ2_XS", kinds[i].arch, name);
            { opened o; char line[700]; open_model(&o, &g); snprintf(line, sizeof line, "%s: %s", what, o.error.text);
                check(o.status == DSM_E_UNSUPPORTED && strstr(o.error.text, name) && strstr(o.error.text, "IQ2_XS"), line); shut(&o); }
            g.tensors[t] = old;
            if (old.n_dims == 1 && part) { g.tensors[t].type = G_TYPE_Q8_0; snprintf(what, sizeof what, "%s: %s as Q8_0", kinds[i].arch, name);
                if (old.ne[0] % 32 == 0) refused(&g, DSM_E_UNSUPPORTED, name, what);
                g.tensors[t] = old; }
        }
        g_free(&g);
    }
    g_make(&g, "llama", 0, 0); g_layer(&g, 1, "attn_output.bias", 32, 0, 0, 0); refused(&g, DSM_E_UNSUPPORTED, "blk.1.attn_output.bias", "a bias that is not run");
    g_free(&g);
    g_make(&g, "llama", 0, 0); g_layer(&g, 1, "attn_rot_embd", 4, 0, 0, 0); runs(&g, "rot_embd is ignored"); g_free(&g);
    g_make(&g, "deepseek2", 'C', 0); g_find(&g, "blk.1.ffn_gate_inp.weight")->type = G_TYPE_Q8_0;
    refused(&g, DSM_E_UNSUPPORTED, "blk.1.ffn_gate_inp.weight", "a quantised router"); g_free(&g);
    g_make(&g, "deepseek2", 'A', 0); g_layer(&g, 0, "attn_k_b.weight", 8, 128, 0, 0); refused(&g, DSM_E_FORMAT, "blk.0.attn_v_b.weight", "half of a pair");
    g_free(&g);
    g_make(&g, "deepseek2", 'A', 0); /* fused gates and ups; a direct q */
    g_drop(&g, "blk.1.ffn_gate_exps.weight"); g_drop(&g, "blk.1.ffn_up_exps.weight"); g_layer(&g, 1, "ffn_gate_up_exps.weight", 32, 64, 8, 0);
    for (int i = 0; i < 2; i++) { char n[64]; const char *parts[] = { "attn_q_a.weight", "attn_q_a_norm.weight", "attn_q_b.weight" };
        for (int j = 0; j < 3; j++) { snprintf(n, sizeof n, "blk.%d.%s", i, parts[j]); g_drop(&g, n); } g_layer(&g, i, "attn_q.weight", 32, 48, 0, 0); }
    g_drop_key(&g, "deepseek2.attention.q_lora_rank"); runs(&g, "fused experts, direct q"); g_free(&g);
}
/* Norms in other float types and at odd addresses become aligned F32. */
static void vectors(void) {
    opened o; uint64_t plain;
    g_make(&g, "qwen2", 0, 0); open_model(&o, &g); plain = o.m.bytes; shut(&o);
    g_find(&g, "blk.0.attn_norm.weight")->type = G_TYPE_F16; g_find(&g, "blk.1.attn_q.bias")->type = G_TYPE_BF16; open_model(&o, &g);
    check(!o.status && o.m.bytes == plain + 2 * 128 && (int64_t)(o.m.bytes + o.f.bytes) == live, "converted vectors are counted");
    if (!o.status) {
        const dsm__tensor_ref *a = dsm__file_tensor(&o.f, "blk.0.attn_norm.weight"), *b = dsm__file_tensor(&o.f, "blk.1.attn_q.bias"); int same = 1;
        for (int i = 0; i < 32; i++) same &= o.m.layers[0].attn_norm[i] == dsm__num_half(dsm__load16(a->data + 2 * i))
            && o.m.layers[1].q_bias[i] == dsm__num_bf16(dsm__load16(b->data + 2 * i));
        check(same, "F16 and BF16 vectors are converted"); }
    shut(&o); g_free(&g);
    g_make(&g, "qwen2", 0, 0); g.align = 1; g_number(&g, "general.alignment", G_U32, 1); g_text(&g, "pad", "x"); g_write(&g);
    for (int i = 0; i < 4; i++) { /* data at every odd start */
        char pad[8] = "abc"; pad[i] = 0; g_text(&g, "pad", pad); open_model(&o, &g);
        check(!o.status && (int64_t)(o.m.bytes + o.f.bytes) == live && ((uintptr_t)o.m.layers[1].attn_norm & 3) == 0
            && !memcmp(o.m.layers[1].attn_norm, dsm__file_tensor(&o.f, "blk.1.attn_norm.weight")->data, 128), "unaligned vectors");
        if (!o.status) { opened h; open_bytes(&h, g.out.at, g.out.n, 1); check(!h.status && h.m.bytes == o.m.bytes, "unaligned, header only"); drop(&h); }
        shut(&o); }
    g_free(&g);
}
/* Every number in every type that holds it, and as an array for every layer. */
static void spellings(void) {
    static const uint32_t types[] = { G_U8, G_I8, G_U16, G_I16, G_U32, G_I32, G_F32, G_U64, G_I64, G_F64 };
    const char *archs[] = { "qwen2", "deepseek", "deepseek2" };
    for (int a = 0; a < 3; a++) {
        uint64_t want; int n;
        g_make(&g, archs[a], a == 2 ? 'C' : 0, 0); want = numbers_of(&g, archs[a]); n = g.n_keys;
        for (int i = 0; i < n; i++) {
            char name[100], what[160]; double v; uint32_t old = g.keys[i].type;
            strcpy(name, g.keys[i].name);
            if (old == G_STR) continue;
            /* not read in that layout */
            if (a == 2 && (strstr(name, "head_count_kv") || strstr(name, "key_length") || strstr(name, "value_length")) && !strstr(name, "_mla")) continue;
            v = old == G_F32 ? (double)dsm__num_bits(dsm__load32(g.keys[i].value.at)) : old == G_BOOL ? g.keys[i].value.at[0] : dsm__load32(g.keys[i].value.at);
            for (size_t t = 0; t < DSM__COUNT(types); t++) {
                uint32_t type = types[t]; int whole = v >= 1 || v == 0;
                if ((!whole && type != G_F32 && type != G_F64) || (v > 127 && type == G_I8) || (v > 255 && type == G_U8)) continue;
                g_number(&g, name, type, v); snprintf(what, sizeof what, "%s as type %d", name, (int)type); check(numbers_of(&g, what) == want, what);
                g_array(&g, name, type, 2, v, v); snprintf(what, sizeof what, "%s as an array of type %d", name, (int)type);
                check(numbers_of(&g, what) == want, what);
            }
            g_array(&g, name, G_F32, 2, v, v + 1); refused(&g, DSM_E_UNSUPPORTED, name, "unequal array");
            g_array(&g, name, G_U32, 0, v, v); refused(&g, DSM_E_FORMAT, name, "empty array");
            if (strcmp(strchr(name, '.'), ".block_count") && old == G_U32)
                { g_array(&g, name, G_U32, 1, v, v); refused(&g, DSM_E_FORMAT, name, "array of one for two layers"); }
            g_text(&g, name, "x"); refused(&g, DSM_E_FORMAT, name, "text for a number");
            if (old == G_U32) { g_number(&g, name, G_I32, -1); refused(&g, DSM_E_FORMAT, name, "minus one"); g_number(&g, name, G_F32, v + .5);
                refused(&g, DSM_E_FORMAT, name, "a half"); }
            if (old == G_F32) { g_number(&g, name, G_F32, NAN); refused(&g, DSM_E_FORMAT, name, "NaN"); g_number(&g, name, G_F64, INFINITY);
                refused(&g, DSM_E_FORMAT, name, "infinity"); g_number(&g, name, G_F64, 1e300); refused(&g, DSM_E_FORMAT, name, "1e300"); }
            g_number(&g, name, old, v);
        }
        g_free(&g);
    }
}
/* Keys left out give the same bits as their defaults spelt out. */
static void defaults(void) {
    static const struct { const char *arch; int mla; const char *key; uint32_t type; double v; } list[] = {
        { "llama", 0, "rope.freq_base", G_F32, 10000 }, { "llama", 0, "rope.dimension_count", G_U32, 8 }, { "llama", 0, "attention.key_length", G_U32, 8 },
            { "llama", 0, "attention.value_length", G_U32, 8 },
        { "llama", 0, "rope.scaling.factor", G_F32, 1 }, { "llama", 0, "rope.scaling.factor", G_F32, 0 }, { "llama", 0, "rope.scaling.attn_factor", G_F32, 1 },
            { "llama", 0, "vocab_size", G_U32, 40 },
        { "llama", 0, "rope.scaling.yarn_ext_factor", G_F32, 1 }, { "llama", 0, "rope.scaling.original_context_length", G_U32, 64 },
            { "llama", 0, "rope.scaling.finetuned", G_BOOL, 1 }, { "llama", 0, "expert_count", G_U32, 0 },
        { "llama", 0, "logit_scale", G_F32, 1 }, { "llama", 0, "attention.sliding_window", G_U32, 64 }, { "llama", 0, "attention.causal", G_BOOL, 1 },
            { "llama", 0, "nextn_predict_layers", G_U32, 0 }, { "deepseek", 0, "attention.head_count_kv", G_U32, 4 },
        { "deepseek", 0, "expert_weights_scale", G_F32, 1 }, { "deepseek", 0, "expert_weights_scale", G_F32, 0 },
            { "deepseek", 0, "expert_weights_norm", G_BOOL, 0 }, { "deepseek", 0, "expert_gating_func", G_U32, 1 },
            { "deepseek", 0, "expert_gating_func", G_U32, 0 },
        { "deepseek", 0, "expert_shared_count", G_U32, 1 }, { "deepseek", 0, "expert_group_count", G_U32, 1 }, { "deepseek", 0, "expert_group_count", G_U32, 0 },
            { "deepseek2", 'A', "attention.head_count_kv", G_U32, 4 }, { "deepseek2", 'C', "attention.head_count_kv", G_U32, 1 } };
    for (size_t i = 0; i < DSM__COUNT(list); i++) {
        char key[128]; uint64_t a, b;
        snprintf(key, sizeof key, "%s.%s", list[i].arch, list[i].key); g_make(&g, list[i].arch, list[i].mla, 0);
        g_number(&g, key, list[i].type, list[i].v); a = numbers_of(&g, key); g_drop_key(&g, key); b = numbers_of(&g, key); check(a == b && a, key); g_free(&g); }
    g_make(&g, "qwen3", 0, 0); g_text(&g, "qwen3.rope.scaling.type", "yarn"); g_f32(&g, "qwen3.rope.scaling.factor", 4); /* YaRN's own keys */
    { uint64_t bare = numbers_of(&g, "yarn"), full; g_f32(&g, "qwen3.rope.scaling.yarn_ext_factor", 1); g_f32(&g, "qwen3.rope.scaling.yarn_attn_factor", 1);
        g_f32(&g, "qwen3.rope.scaling.yarn_beta_fast", 32);
      g_f32(&g, "qwen3.rope.scaling.yarn_beta_slow", 1); g_f32(&g, "qwen3.rope.scaling.yarn_log_multiplier", 0);
      g_u32(&g, "qwen3.rope.scaling.original_context_length", 64); full = numbers_of(&g, "yarn"); check(bare == full && bare, "YaRN's defaults");
      g_drop_key(&g, "qwen3.rope.scaling.factor"); g_f32(&g, "qwen3.rope.scale_linear", 4);
      check(numbers_of(&g, "scale_linear") == full, "the old spelling of the factor");
      g_text(&g, "qwen3.rope.scaling.type", "none"); bare = numbers_of(&g, "none"); g_drop_key(&g, "qwen3.rope.scale_linear");
      g_drop_key(&g, "qwen3.rope.scaling.type"); check(bare == numbers_of(&g, "none"), "type none ignores the factor"); }
    g_free(&g);
    g_make(&g, "llama", 0, 0); g_drop(&g, "output.weight");
    { opened o; open_model(&o, &g); check(!o.status && o.m.output.data == o.m.embed.data && o.m.parameters == o.m.active, "tied output"); shut(&o); } g_free(&g);
}
static void groups(void) { /* implied where the keys are missing */
    static const struct { int e, sigmoid, groups, used;
        } list[] = { { 256, 1, 8, 4 }, { 256, 0, 0, 0 }, { 160, 0, 8, 3 }, { 64, 0, 0, 0 }, { 384, 1, 0, 0 }, { 72, 1, 0, 0 } };
    for (size_t i = 0; i < DSM__COUNT(list); i++) {
        opened o; char line[300]; const char *names[] = { "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight" };
        g_make(&g, "deepseek2", 'C', 0); g_u32(&g, "deepseek2.expert_count", list[i].e); g_u32(&g, "deepseek2.expert_feed_forward_length", 4);
        g_u32(&g, "deepseek2.expert_gating_func", list[i].sigmoid ? 2 : 1);
        g_drop_key(&g, "deepseek2.expert_group_count"); g_drop_key(&g, "deepseek2.expert_group_used_count");
        for (int j = 0; j < 3; j++) g_layer(&g, 1, names[j], j == 2 ? 4 : 32, j == 2 ? 32 : 4, (uint64_t)list[i].e, 0);
        g_layer(&g, 1, "ffn_gate_inp.weight", 32, (uint64_t)list[i].e, 0, 0); g_layer(&g, 1, "exp_probs_b.bias", (uint64_t)list[i].e, 0, 0, 0);
        g_layer(&g, 1, "ffn_gate_shexp.weight", 32, 4, 0, 0); g_layer(&g, 1, "ffn_up_shexp.weight", 32, 4, 0, 0);
        g_layer(&g, 1, "ffn_down_shexp.weight", 4, 32, 0, 0);
        open_model(&o, &g); snprintf(line, sizeof line, "%d experts: %d groups, %d used; %s", list[i].e, o.m.n_groups, o.m.n_groups_used, o.error.text);
        check(!o.status && o.m.n_groups == list[i].groups && o.m.n_groups_used == list[i].used, line); shut(&o); g_free(&g);
    }
}
/* Rows 9 and 13 to 22, 30 of the list of threats, and what is refused by name. */
static void threats(void) {
    static const struct { const char *arch; int mla; const char *key; uint32_t type; double v; dsm_status status; const char *text; } list[] = {
        { "llama", 0, "block_count", G_U32, 0, DSM_E_FORMAT, "llama.block_count" }, { "llama", 0, "block_count", G_U32, 513, DSM_E_FORMAT, "llama.block_count" },
            { "llama", 0, "block_count", G_U32, 4294967295., DSM_E_FORMAT, "llama.block_count" },
        { "llama", 0, "block_count", G_U32, 3, DSM_E_FORMAT, "blk.2.attn_norm.weight" }, { "llama", 0, "block_count", G_U32, 1, DSM_E_UNSUPPORTED, "blk.1." },
        { "llama", 0, "attention.head_count", G_U32, 0, DSM_E_FORMAT, "head_count" },
            { "llama", 0, "attention.head_count_kv", G_U32, 0, DSM_E_FORMAT, "head_count_kv" },
            { "llama", 0, "attention.head_count_kv", G_U32, 3, DSM_E_FORMAT, "head_count_kv" },
        { "llama", 0, "attention.head_count_kv", G_U32, 8, DSM_E_FORMAT, "head_count_kv" },
            { "llama", 0, "attention.head_count", G_U32, 3, DSM_E_FORMAT, "head_count" },
            { "llama", 0, "attention.head_count", G_U32, 8, DSM_E_FORMAT, "rope.dimension_count" },
        { "llama", 0, "rope.dimension_count", G_U32, 7, DSM_E_FORMAT, "rope.dimension_count" },
            { "llama", 0, "rope.dimension_count", G_U32, 10, DSM_E_FORMAT, "rope.dimension_count" },
            { "deepseek2", 'A', "rope.dimension_count", G_U32, 0, DSM_E_FORMAT, "rope.dimension_count" },
        { "llama", 0, "embedding_length", G_U32, 64, DSM_E_FORMAT, "token_embd.weight" },
            { "llama", 0, "embedding_length", G_U32, 0, DSM_E_FORMAT, "embedding_length" },
            { "llama", 0, "embedding_length", G_U64, 1e15, DSM_E_FORMAT, "embedding_length" },
        { "llama", 0, "feed_forward_length", G_U32, 65, DSM_E_FORMAT, "blk.0.ffn_gate.weight" },
            { "deepseek2", 'A', "attention.q_lora_rank", G_U32, 25, DSM_E_FORMAT, "attn_q_a" },
            { "deepseek2", 'A', "attention.q_lora_rank", G_U32, 0, DSM_E_FORMAT, "q_lora_rank" },
        { "deepseek2", 'C', "attention.kv_lora_rank", G_U32, 16, DSM_E_FORMAT, "attn_kv_a" },
            { "deepseek2", 'C', "expert_count", G_U32, 0, DSM_E_FORMAT, "expert_count" },
            { "deepseek2", 'C', "expert_used_count", G_U32, 0, DSM_E_FORMAT, "expert_used_count" },
        { "deepseek2", 'C', "expert_used_count", G_U32, 9, DSM_E_FORMAT, "expert_used_count" },
            { "deepseek2", 'C', "leading_dense_block_count", G_U32, 3, DSM_E_FORMAT, "leading_dense" },
            { "deepseek2", 'C', "leading_dense_block_count", G_U32, 0, DSM_E_FORMAT, "blk.0.ffn_gate_inp" },
        { "deepseek2", 'C', "expert_shared_count", G_U32, 2, DSM_E_FORMAT, "shexp" },
            { "deepseek2", 'C', "expert_shared_count", G_U32, 0, DSM_E_UNSUPPORTED, "shexp" },
            { "deepseek2", 'C', "expert_shared_count", G_U32, 1e9, DSM_E_FORMAT, "expert_shared_count" },
        { "deepseek2", 'C', "expert_gating_func", G_U32, 3, DSM_E_UNSUPPORTED, "expert_gating_func" },
            { "deepseek2", 'C', "expert_gating_func", G_U32, 4, DSM_E_UNSUPPORTED, "expert_gating_func" },
            { "deepseek2", 'C', "expert_gating_func", G_U32, 5, DSM_E_FORMAT, "expert_gating_func" },
        { "deepseek2", 'A', "attention.key_length", G_U32, 4, DSM_E_FORMAT, "key_length" },
            { "deepseek2", 'A', "attention.key_length", G_U32, 3, DSM_E_FORMAT, "key_length" },
            { "deepseek2", 'C', "attention.key_length_mla", G_U32, 4, DSM_E_FORMAT, "key_length" },
        { "llama", 0, "context_length", G_U32, 0, DSM_E_FORMAT, "context_length" },
            { "llama", 0, "attention.layer_norm_rms_epsilon", G_F32, -1, DSM_E_FORMAT, "epsilon" },
            { "llama", 0, "rope.freq_base", G_F32, 0, DSM_E_FORMAT, "freq_base" }, { "llama", 0, "rope.freq_base", G_F32, 1, DSM_E_FORMAT, "freq_base" },
        { "llama", 0, "rope.freq_base", G_F32, -5, DSM_E_FORMAT, "freq_base" },
            { "llama", 0, "rope.scaling.factor", G_F32, -4, DSM_E_FORMAT, "rope.scaling.factor" },
            { "llama", 0, "rope.scaling.factor", G_F32, 1e-9, DSM_E_FORMAT, "angle" },
        { "deepseek2", 'C', "expert_group_count", G_U32, 3, DSM_E_FORMAT, "groups" }, { "deepseek2", 'C', "expert_group_count", G_U32, 8, DSM_E_FORMAT, "groups" },
            { "deepseek2", 'C', "expert_group_used_count", G_U32, 5, DSM_E_FORMAT, "expert_group_used_count" },
        { "deepseek2", 'C', "expert_group_used_count", G_U32, 0, DSM_E_FORMAT, "expert_group_used_count" },
            { "llama", 0, "vocab_size", G_U32, 41, DSM_E_FORMAT, "41 tokens" }, { "llama", 0, "expert_count", G_U32, 8, DSM_E_UNSUPPORTED, "llama.expert_count" },
        { "llama", 0, "nextn_predict_layers", G_U32, 1, DSM_E_UNSUPPORTED, "nextn" },
            { "deepseek2", 'C', "nextn_predict_layers", G_U32, 2, DSM_E_FORMAT, "nextn_predict_layers" },
            { "deepseek2", 'C', "nextn_predict_layers", G_U32, 1, DSM_E_FORMAT, "blk.1.nextn" },
        { "llama", 0, "logit_scale", G_F32, 2, DSM_E_UNSUPPORTED, "llama.logit_scale" },
            { "llama", 0, "attention.scale", G_F32, .5, DSM_E_UNSUPPORTED, "attention.scale" },
            { "llama", 0, "attention.sliding_window", G_U32, 63, DSM_E_UNSUPPORTED, "sliding_window" },
        { "llama", 0, "final_logit_softcapping", G_F32, 30, DSM_E_UNSUPPORTED, "softcapping" },
            { "llama", 0, "attn_logit_softcapping", G_F32, 30, DSM_E_UNSUPPORTED, "softcapping" },
            { "llama", 0, "residual_scale", G_F32, .5, DSM_E_UNSUPPORTED, "residual_scale" },
        { "llama", 0, "embedding_scale", G_F32, 12, DSM_E_UNSUPPORTED, "embedding_scale" },
            { "deepseek2", 'C', "attention.temperature_scale", G_F32, .1, DSM_E_UNSUPPORTED, "temperature_scale" },
            { "deepseek2", 'C', "swiglu_clamp_exp", G_F32, 7, DSM_E_UNSUPPORTED, "swiglu_clamp_exp" },
        { "llama", 0, "attention.max_alibi_bias", G_F32, 8, DSM_E_UNSUPPORTED, "alibi" },
            { "llama", 0, "use_parallel_residual", G_BOOL, 1, DSM_E_UNSUPPORTED, "use_parallel_residual" },
            { "llama", 0, "attention.causal", G_BOOL, 0, DSM_E_UNSUPPORTED, "attention.causal" },
        { "llama", 0, "logit_scale", G_F32, NAN, DSM_E_UNSUPPORTED, "logit_scale" } };
    static const char *const required[] = { "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
        "attention.layer_norm_rms_epsilon", "expert_count", "expert_used_count", "expert_feed_forward_length",
        "attention.kv_lora_rank", "rope.dimension_count", "attention.key_length", "attention.value_length", "expert_group_used_count" };
    static const char *const others[] = { "qwen3moe", "deepseek32", "deepseek4", "mixtral", "", "gpt2",
        "a-name-that-is-much-longer-than-any-architecture-name-should-ever-be-0123456789-0123456789-0123456789-0123456789" };
    for (size_t i = 0; i < DSM__COUNT(list); i++) {
        char key[128]; snprintf(key, sizeof key, "%s.%s", list[i].arch, list[i].key);
        g_make(&g, list[i].arch, list[i].mla, 0); g_number(&g, key, list[i].type, list[i].v); refused(&g, list[i].status, list[i].text, key); g_free(&g); }
    for (size_t i = 0; i < DSM__COUNT(required); i++)
        { char key[128]; snprintf(key, sizeof key, "deepseek2.%s", required[i]); g_make(&g, "deepseek2", 'A', 0); g_drop_key(&g, key);
        refused(&g, DSM_E_FORMAT, key, "a required key"); g_free(&g); }
    for (size_t i = 0; i < DSM__COUNT(others); i++)
        { g_make(&g, "llama", 0, 0); g_text(&g, "general.architecture", others[i]);
        refused(&g, DSM_E_UNSUPPORTED, strlen(others[i]) < 40 ? others[i] : "a-name", "another architecture");
        refused(&g, DSM_E_UNSUPPORTED, "deepseek2", "which run"); g_free(&g); }
    g_make(&g, "llama", 0, 0); g_text(&g, "llama.rope.scaling.type", "longrope"); refused(&g, DSM_E_UNSUPPORTED, "longrope", "longrope"); g_free(&g);
    g_make(&g, "llama", 0, 0); g_u32(&g, "llama.rope.scaling.type", 1); refused(&g, DSM_E_FORMAT, "rope.scaling.type", "a number as scaling type"); g_free(&g);
    g_make(&g, "llama", 0, 0); g_u32(&g, "general.architecture", 1); refused(&g, DSM_E_FORMAT, "general.architecture", "a number as architecture");
    g_drop_key(&g, "general.architecture"); refused(&g, DSM_E_FORMAT, "general.architecture", "no architecture"); g_free(&g);
    g_make(&g, "llama", 0, 0); g_number(&g, "llama.context_length", G_U32, 4294967295.); runs(&g, "a context of 2^32-1");
    g_f32(&g, "llama.attention.layer_norm_rms_epsilon", 0); runs(&g, "eps 0"); g_free(&g);
    for (int i = 0; i < 4; i++) { static const float bad[] = { NAN, INFINITY, 1e-30f, -1e-30f }; opened o; g_make(&g, "llama", 0, 0);
        g_add(&g, "rope_freqs.weight", 1, 4, 1, 1, 0)->fill = bad[i]; open_model(&o, &g);
        check(i == 1 ? !o.status : o.status == DSM_E_FORMAT && strstr(o.error.text, "rope_freqs"), "rope_freqs that are no divisors"); shut(&o); g_free(&g); }
    { opened o; dsm_log log; g_make(&g, "llama", 0, 0); open_model(&o, &g); dsm__arch_close(&o.m); memset(&log, 0, sizeof log);
      check(dsm__arch_open(&o.m, &o.f, &o.f.allocator, &log, 41, &o.error) == DSM_E_FORMAT && strstr(o.error.text, "41 tokens"), "more tokens than rows"); 
      check(!dsm__arch_open(&o.m, &o.f, &o.f.allocator, &log, 39, &o.error), "fewer tokens than rows"); shut(&o); g_free(&g); }
    g_make(&g, "llama", 0, 0); g.n_tensors = 0;
    { opened o; open_model(&o, &g); check(!o.status && o.m.vocabulary_only && o.m.context == 64 && dsm__str_is(o.m.name, "a small one"), "a vocabulary"); shut(&o);
        } g_free(&g);
}
/* Tables. */
static void set_mla(int rot, int nope) { /* rope and key sizes of the real models, the rest stays small */
    g_u32(&g, "deepseek2.rope.dimension_count", rot); g_u32(&g, "deepseek2.attention.key_length", rot + nope);
    for (int i = 0; i < 2; i++) { g_layer(&g, i, "attn_q_b.weight", 24, (uint64_t)(4 * (rot + nope)), 0, 0);
        g_layer(&g, i, "attn_kv_a_mqa.weight", 32, (uint64_t)(32 + rot), 0, 0); g_layer(&g, i, "attn_kv_b.weight", 32, (uint64_t)(4 * (nope + 8)), 0, 0); }
    g_text(&g, "deepseek2.rope.scaling.type", "yarn"); g_f32(&g, "deepseek2.rope.scaling.factor", 40);
    g_u32(&g, "deepseek2.rope.scaling.original_context_length", 4096);
}
static void set_head(const char *arch, int hd) {
    char key[128]; const char *a[] = { "attention.key_length", "attention.value_length", "rope.dimension_count" };
    for (int i = 0; i < 3; i++) { snprintf(key, sizeof key, "%s.%s", arch, a[i]); g_u32(&g, key, hd); }
    for (int i = 0; i < 2; i++) {
        g_layer(&g, i, "attn_q.weight", 32, (uint64_t)(4 * hd), 0, 0); g_layer(&g, i, "attn_k.weight", 32, (uint64_t)(2 * hd), 0, 0);
        g_layer(&g, i, "attn_v.weight", 32, (uint64_t)(2 * hd), 0, 0); g_layer(&g, i, "attn_output.weight", (uint64_t)(4 * hd), 32, 0, 0);
        if (!strcmp(arch, "qwen2")) { g_layer(&g, i, "attn_q.bias", (uint64_t)(4 * hd), 0, 0, 0); g_layer(&g, i, "attn_k.bias", (uint64_t)(2 * hd), 0, 0, 0);
            g_layer(&g, i, "attn_v.bias", (uint64_t)(2 * hd), 0, 0, 0); }
        if (!strcmp(arch, "qwen3")) { g_layer(&g, i, "attn_q_norm.weight", (uint64_t)hd, 0, 0, 0); g_layer(&g, i, "attn_k_norm.weight", (uint64_t)hd, 0, 0, 0); } }
}
static float divisors[64]; /* Llama 3.1: factor 8, 1, 4, 8192, base 500000 */
static void tables(void) {
    static const double yarn[32] = { 1, .749894209, .562341325, .421696503, .316227766, .237137371, .177827941, .133352143, .1, .0749894209, .0562341325,
        .0390069266, .0268793601, .0183781462, .0124479559, .00833450895, .0055,
        .00356199749, .0022493653, .00137051364, .000790569415, .000414990398, .000177827941, 3.33380358e-5, 2.5e-5, 1.87473552e-5, 1.40585331e-5, 1.05424126e-5,
            7.90569415e-6, 5.92843426e-6, 4.44569853e-6, 3.33380358e-6 };
    static const double llama31[6] = { 1.207484, 1.553415, 2.026313, 2.69453, 3.684253, 5.257327 };
    opened o; int good;
    g_make(&g, "deepseek2", 'A', 0); set_mla(64, 128); g_f32(&g, "deepseek2.rope.scaling.yarn_log_multiplier", .1); open_model(&o, &g); good = !o.status;
    for (int i = 0; good && i < 32; i++) good = near(o.m.rope_theta[i], yarn[i], 5e-9);
    check(good, "YaRN 40 of V3"); check(!o.status && o.m.rope_amplitude == 1 && near((double)o.m.attn_scale, .1352337789, 1e-7), "V3's softmax scale"); shut(&o);
    g_f32(&g, "deepseek2.rope.scaling.yarn_log_multiplier", .0707); open_model(&o, &g);
    check(!o.status && o.m.rope_amplitude == 1 && near((double)o.m.attn_scale, .1147213868, 1e-7), "V2-Lite's softmax scale"); shut(&o);
    g_drop_key(&g, "deepseek2.rope.scaling.yarn_log_multiplier"); open_model(&o, &g); /* no log multiplier: the reference does both */
    check(!o.status && near((double)o.m.rope_amplitude, 1.368887945, 1e-7) && near((double)o.m.attn_scale, .1352337789, 1e-7), "YaRN without a log multiplier");
    shut(&o);
    /* no mixing: every pair is slow */
    g_f32(&g, "deepseek2.rope.scaling.yarn_log_multiplier", .1); g_f32(&g, "deepseek2.rope.scaling.yarn_ext_factor", 0); open_model(&o, &g); good = !o.status;
    for (int i = 0; good && i < 32; i++) good = near(o.m.rope_theta[i], pow(10000, -i / 32.) / 40, 1e-12);
    check(good, "ext_factor 0"); shut(&o); g_free(&g);
    g_make(&g, "qwen3", 0, 0); set_head("qwen3", 128); g_f32(&g, "qwen3.rope.freq_base", 1e6); g_text(&g, "qwen3.rope.scaling.type", "yarn");
    g_f32(&g, "qwen3.rope.scaling.factor", 4); g_u32(&g, "qwen3.rope.scaling.original_context_length", 32768);
    open_model(&o, &g); good = !o.status;
    for (int i = 0; good && i < 64; i++) { double theta = pow(1e6, -i / 64.), r = i < 23 ? 0 : i > 40 ? 1 : (i - 23) / 17.;
        good = near(o.m.rope_theta[i], theta * (1 - r) + theta / 4 * r, 1e-12); }
    check(good, "YaRN 4 of R1-0528-Qwen3-8B");
    check(!o.status && near((double)o.m.rope_amplitude, 1.1386294361, 1e-7) && near((double)o.m.attn_scale, 1 / sqrt(128), 1e-7), "its amplitude"); shut(&o);
    g_number(&g, "qwen3.rope.scaling.attn_factor", G_F64, .8782488562869419); open_model(&o, &g);
    check(!o.status && near((double)o.m.rope_amplitude, 1, 1e-7), "its attn_factor"); shut(&o); g_free(&g);
    g_make(&g, "llama", 0, 0); set_head("llama", 128); g_f32(&g, "llama.rope.freq_base", 500000); g_write(&g);
    for (int i = 0; i < 64; i++) { double wave = 2 * 3.14159265358979323846 * pow(500000, i / 64.), s = (8192 / wave - 1) / 3;
        divisors[i] = (float)(1 / ((1 - (s < 0 ? 0 : s > 1 ? 1 : s)) / 8 + (s < 0 ? 0 : s > 1 ? 1 : s))); }
    good = divisors[28] == 1 && divisors[35] == 8;
    for (int i = 0; i < 6; i++) good &= near((double)divisors[29 + i], llama31[i], 1e-6);
    check(good, "Llama 3.1's divisors"); g_free(&g);
}
/* Rotated vectors: tests/data/rope_vectors.txt. */
static void rotated(const char *folder) {
    char path[600], kind[64]; int pos, n, tests = 0; FILE *f; static double x[256], y[256];
    snprintf(path, sizeof path, "%s/data/rope_vectors.txt", folder); f = fopen(path, "r");
    if (!f) { snprintf(path, sizeof path, "tests/data/rope_vectors.txt"); f = fopen(path, "r"); }
    if (!f) { printf("skipped: no %s\n", path); skipped++; return; }
    while (fgets(path, sizeof path, f)) if (path[0] != '#') break;
    do {
        opened o; double worst = 0; char line[700];
        if (sscanf(path, "%63s %d %d", kind, &pos, &n) != 3 || n > 256) break;
        for (int i = 0; i < n; i++) if (fscanf(f, "%lf", x + i) != 1) break;
        for (int i = 0; i < n; i++) if (fscanf(f, "%lf", y + i) != 1) break;
        if (!strncmp(kind, "deepseek", 8)) { g_make(&g, "deepseek2", 'A', 0); set_mla(64, 8); g_f32(&g, "deepseek2.rope.scaling.yarn_log_multiplier", .1); }
        else if (!strncmp(kind, "qwen2", 5)) { g_make(&g, "qwen2", 0, 0); set_head("qwen2", n); }
        else { g_make(&g, "llama", 0, 0); set_head("llama", n);
            if (!strncmp(kind, "coder", 5)) { g_f32(&g, "llama.rope.freq_base", 100000); g_f32(&g, "llama.rope.scaling.factor", 4);
                g_text(&g, "llama.rope.scaling.type", "linear"); }
            else { g_f32(&g, "llama.rope.freq_base", 500000); g_add(&g, "rope_freqs.weight", 1, (uint64_t)n / 2, 1, 1, 0); } }
        g_write(&g);
        if (g_find(&g, "rope_freqs.weight")) memcpy(g.out.at + g.out.n - 256, divisors, 256); /* the last tensor */
        open_bytes(&o, g.out.at, g.out.n, 0);
        if (!o.status) for (int i = 0; i < n / 2; i++) {
            int a = o.m.neox ? i : 2 * i, b = o.m.neox ? i + n / 2 : 2 * i + 1; double s, c;
            dsm__num_sincos64(o.m.rope_theta[i] * pos, &s, &c);
            worst = fmax(worst, fabs(x[a] * c - x[b] * s - y[a])); worst = fmax(worst, fabs(x[a] * s + x[b] * c - y[b])); }
        snprintf(line, sizeof line, "%s at %d: off by %g %s", kind, pos, worst, o.error.text); check(!o.status && worst < (pos > 10000 ? 4e-7 : 1e-7), line);
        tests++;
        shut(&o); g_free(&g);
        while (fgets(path, sizeof path, f)) if (path[0] != '\n') break;
    } while (!feof(f));
    fclose(f); check(tests == 12, "all rotated vectors");
}
int main(int argc, char **argv) {
    families(); tensors(); vectors(); spellings(); defaults(); groups(); threats(); tables(); rotated(argc > 1 ? argv[1] : "tests");
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
