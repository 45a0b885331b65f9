/* users: what users of other engines ran into, on small whole models: numbers beyond f16, logits that depend on what follows, many experts, groups whose scores are
   all negative, small stacks, a descriptor with an odd offset.
   cc -std=c11 -DDSMOE_SCALAR_ONLY=1 -I. tests/users.c -o build/users-test -lm -lpthread */
#define DSMOE_IMPLEMENTATION
#include "dsmoe.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "gguf.h"
#include "small.h"

static int passed, failed;
static const char *now = "";
static void check(int good, const char *what, int line) {
    if (good) passed++;
    else if (++failed <= 30) printf("tests/users.c:%d: %s (%s)\n", line, what, now);
}
#define CHECK(x) check((x) ? 1 : 0, #x, __LINE__)
enum { N = 40, ROWS = VOCAB + 3 };
static int32_t ids[N];
static dsm_error e;

static const struct { const char *arch; int mla; } kinds[] = { { "llama", 0 }, { "qwen2", 0 }, { "qwen3", 0 }, { "deepseek", 0 }, { "deepseek2", 'A' }, { "deepseek2", 'C' } };
static void make(const char *arch, int mla) { g_free(&file); g_make(&file, arch, mla, 0); vocabulary(&file, 1); }
static void fill(const char *end, float value) { /* all tensors whose names end so */
    for (int i = 0; i < file.n_tensors; i++) {
        size_t n = strlen(file.tensors[i].name), z = strlen(end);
        if (n >= z && !strcmp(file.tensors[i].name + n - z, end)) file.tensors[i].fill = value; }
}
static dsm_model_desc in_memory(void) {
    dsm_model_desc d; memset(&d, 0, sizeof d); g_write(&file);
    d.data = file.out.at; d.size = file.out.n; d.threads = 1; return d;
}
/* The logits of the first n tokens, all rows; 0: an error, which is printed. */
static int run(const dsm_model_desc *d, dsm_kv kv, dsm_activations act, int n, float *to) {
    dsm_model *m = NULL; dsm_session *s = NULL; dsm_session_desc r; int good; const float *rows;
    memset(&r, 0, sizeof r); r.context = N; r.kv = kv; r.activations = act; r.exact = 1; r.all_logits = 1; r.chunk = 16;
    good = dsm_model_open(&m, d, &e) == DSM_OK && dsm_session_open(&s, m, &r, &e) == DSM_OK && dsm_session_sync(s, ids, (size_t)n, NULL, &e) == DSM_OK && dsm_session_step(s, 0, &e) == DSM_DONE;
    rows = good ? dsm_session_logits(s, 0) : NULL;
    if (rows) memcpy(to, rows, (size_t)n * ROWS * sizeof *to); else printf("%s: %s\n", now, e.text);
    dsm_session_close(&s, NULL); dsm_model_close(&m, NULL);
    return rows != NULL;
}
static int is_finite(const float *x, size_t n) { for (size_t i = 0; i < n; i++) if (!dsm__num_finite(x[i])) return 0; return 1; }

static void numbers(void) { /* finite whatever the cache; f32 and f16 caches agree where nothing is beyond f16; the first rows are the same bits whatever follows */
    static float all[N * ROWS], part[N * ROWS];
    for (size_t k = 0; k < DSM__COUNT(kinds); k++) for (int huge = 0; huge < 2; huge++) for (int kv = 0; kv < 3; kv++) for (int act = 0; act < 2; act++) {
        dsm_model_desc d;
        make(kinds[k].arch, kinds[k].mla); now = kinds[k].arch;
        if (huge) { fill("attn_norm.weight", 3e5f); fill("kv_a_norm.weight", 2e5f); fill("q_a_norm.weight", 2e5f); fill("k_norm.weight", 1e5f); fill("ffn_norm.weight", 1e4f); } /* keys, scores and hidden states beyond 65504 */
        d = in_memory();
        CHECK(run(&d, (dsm_kv)kv, (dsm_activations)act, N, all) && is_finite(all, N * ROWS));
        CHECK(run(&d, (dsm_kv)kv, (dsm_activations)act, 7, part) && !memcmp(all, part, 7 * ROWS * sizeof *all)); }
}
static void experts(void) {
    static float a[N * ROWS], b[N * ROWS]; dsm_model_desc d;
    now = "384 experts"; make("deepseek2", 'C');
    g_u32(&file, "deepseek2.expert_count", 384); g_u32(&file, "deepseek2.expert_group_count", 1); g_u32(&file, "deepseek2.expert_group_used_count", 1); g_u32(&file, "deepseek2.expert_used_count", 8);
    g_layer(&file, 1, "ffn_gate_inp.weight", 32, 384, 0, 0); g_layer(&file, 1, "exp_probs_b.bias", 384, 0, 0, 0);
    g_layer(&file, 1, "ffn_gate_exps.weight", 32, 32, 384, 0); g_layer(&file, 1, "ffn_up_exps.weight", 32, 32, 384, 0); g_layer(&file, 1, "ffn_down_exps.weight", 32, 32, 384, 0);
    d = in_memory(); CHECK(run(&d, DSM_KV_F16, DSM_ACTIVATIONS_INT8, N, a) && is_finite(a, N * ROWS));
    /* a bias that is the same for all experts changes no choice and no weight, though it makes all choice scores negative: a dropped group must not count as 0 */
    now = "negative choice scores"; make("deepseek2", 'C'); fill("exp_probs_b.bias", 4.f); d = in_memory(); CHECK(run(&d, DSM_KV_F32, DSM_ACTIVATIONS_F32, N, a));
    make("deepseek2", 'C'); fill("exp_probs_b.bias", -4.f); d = in_memory(); CHECK(run(&d, DSM_KV_F32, DSM_ACTIVATIONS_F32, N, b) && !memcmp(a, b, sizeof a));
    now = "groups";
    make("deepseek2", 'C'); fill("exp_probs_b.bias", 4.f); g_u32(&file, "deepseek2.expert_group_count", 1); g_u32(&file, "deepseek2.expert_group_used_count", 1); d = in_memory();
    CHECK(run(&d, DSM_KV_F32, DSM_ACTIVATIONS_F32, N, b) && memcmp(a, b, sizeof a)); /* they do matter here */
}
static void odd_offset(void) {
    static float a[N * ROWS], b[N * ROWS]; dsm_model_desc d; FILE *f = tmpfile();
    now = "a descriptor with an odd offset";
    if (!f) { printf("skipped: no temporary file\n"); return; }
    make("deepseek2", 'C'); d = in_memory(); CHECK(run(&d, DSM_KV_F16, DSM_ACTIVATIONS_INT8, N, a));
    CHECK(fwrite("0123456789abc", 1, 13, f) == 13 && fwrite(file.out.at, 1, file.out.n, f) == file.out.n && fwrite("more", 1, 4, f) == 4 && !fflush(f));
    memset(&d, 0, sizeof d); d.use_fd = 1; d.fd = fileno(f); d.offset = 13; d.size = file.out.n; d.threads = 1;
    for (int copy = 0; copy < 2; copy++) { d.copy = copy; memset(b, 0, sizeof b); CHECK(run(&d, DSM_KV_F16, DSM_ACTIVATIONS_INT8, N, b) && !memcmp(a, b, sizeof a)); }
    fclose(f);
}
/* A whole life on a thread with 256 KiB of stack. */
typedef struct blob { uint8_t at[1 << 20]; size_t n; } blob;
static blob saved;
static int keep(void *user, const void *from, size_t n) { blob *b = (blob *)user; if (n > sizeof b->at - b->n) return 1; memcpy(b->at + b->n, from, n); b->n += n; return 0; }
static int give(void *user, uint64_t offset, void *to, size_t n) { const blob *b = (const blob *)user; if (offset > b->n || n > b->n - offset) return 1; memcpy(to, b->at + offset, n); return 0; }
static void *life(void *arg) {
    static char text[5000]; static int32_t many[5000]; dsm_model *m = NULL; dsm_session *s = NULL; dsm_session_desc r; dsm_turn_desc t; dsm_message c; dsm_piece p; dsm_writer w; dsm_reader back; size_t n; dsm_status status; int good = 1;
    const dsm_model_desc *d = (const dsm_model_desc *)arg; char *bytes = text; size_t size;
    memset(&r, 0, sizeof r); memset(&t, 0, sizeof t); memset(&c, 0, sizeof c); memset(text, 'a', sizeof text); saved.n = 0;
    r.context = 96; r.kv = DSM_KV_Q8_0; c.role = DSM_USER; c.text = "Hi there"; t.messages = &c; t.n_messages = 1; t.max_tokens = 6; t.n_top = 20;
    t.sampling.temperature = 1; t.sampling.top_k = 20; t.sampling.top_p = .9f; t.sampling.min_p = .01f; t.sampling.repetition_penalty = 1.2f;
    good &= dsm_model_open(&m, d, &e) == DSM_OK && dsm_session_open(&s, m, &r, &e) == DSM_OK;
    good &= dsm_tokenize(m, text, sizeof text, 0, many, 5000, &n, &e) == DSM_OK && dsm_detokenize(m, many, n, 1, bytes, sizeof text, &size, &e) == DSM_OK && size == sizeof text;
    for (int i = 0; good && i < 2; i++) {
        good &= dsm_turn_begin(s, &t, &e) == DSM_OK;
        while ((status = dsm_turn_next(s, i ? 50 : 0, &p, &e)) == DSM_MORE) {}
        good &= status == DSM_DONE && dsm_turn_end(s, &e) == DSM_OK; }
    w.user = &saved; w.write = keep; back.user = &saved; back.read_at = give;
    good = good && dsm_session_save(s, &w, &e) == DSM_OK; back.size = saved.n;
    good = good && dsm_session_load(s, &back, &e) == DSM_OK;
    dsm_session_close(&s, NULL); dsm_model_close(&m, NULL);
    if (!good) printf("%s: %s\n", now, e.text);
    return good ? arg : NULL;
}
static void small_stack(void) {
    for (size_t k = 0; k < DSM__COUNT(kinds); k++) for (int threads = 1; threads < 4; threads += 2) {
        pthread_attr_t a; pthread_t thread; void *back = NULL; dsm_model_desc d;
        now = kinds[k].arch; make(kinds[k].arch, kinds[k].mla); d = in_memory(); d.threads = threads;
        CHECK(!pthread_attr_init(&a) && !pthread_attr_setstacksize(&a, 256 * 1024) && !pthread_create(&thread, &a, life, &d) && !pthread_join(thread, &back) && back != NULL);
        pthread_attr_destroy(&a); }
}
int main(void) {
    for (int i = 0; i < N; i++) ids[i] = i ? (int32_t)(dsm__num_random(3, (uint64_t)i) % 250) : BOS;
    numbers(); experts(); odd_offset(); small_stack();
    g_free(&file);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
