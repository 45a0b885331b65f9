/* Whole small models against the float64 oracle (tests/data/golden, made by tools/golden.py).
   F32 activations and cache: every checked logit within 1e-4 of the deviation of the logits. Int8 activations: the KL divergence of the last row from the oracle's
   is at most 1.2 times what the oracle's own emulation of them costs; smaller caches add to it what they round. Models that are not in the repository come from
   $DSMOE_SHARED/golden. */
#include "dsmoe.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed, skipped;
static const char *names[] = { "llama-bf16", "llama-f16", "llama-freqs-f32", "llama-linear-f32", "llama-q4_0", "llama-q4_k", "llama-q4_k_m", "llama-q6_k", "llama-q8_0", "moe16b-f32",
    "moe16b-q4_0", "qwen2-f32", "qwen2-q4_k_m", "qwen2-tied-f32", "qwen3-f32", "v2lite-fused-f32", "v2lite-q4_k_m", "v2lite-split-f32", "v3-fused-f32", "v3-mtp-f32", "v3-q8_0", "v3-split-f32" };
enum { MOST = 64, TOP = 10 };

static char *slurp(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb"); char *p = NULL; long n;
    if (!f) return NULL;
    if (!fseek(f, 0, SEEK_END) && (n = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET) && (p = (char *)malloc((size_t)n + 1)) != NULL) {
        if (fread(p, 1, (size_t)n, f) == (size_t)n) { p[n] = 0; *size = (size_t)n; } else { free(p); p = NULL; } }
    fclose(f);
    return p;
}
static void check(int good, const char *what, const char *name, double value, double limit) {
    if (good) passed++;
    else { failed++; printf("FAILED %s: %s: %.3g, the limit is %.3g\n", name, what, value, limit); }
}
static double divergence(const float *a, const float *b, int n) { /* KL(a || b) of softmaxes */
    double ma = -1e300, mb = -1e300, sa = 0, sb = 0, kl = 0;
    for (int i = 0; i < n; i++) { if ((double)a[i] > ma) ma = (double)a[i]; if ((double)b[i] > mb) mb = (double)b[i]; }
    for (int i = 0; i < n; i++) { sa += exp((double)a[i] - ma); sb += exp((double)b[i] - mb); }
    for (int i = 0; i < n; i++) { double la = (double)a[i] - ma - log(sa), lb = (double)b[i] - mb - log(sb); kl += exp(la) * (la - lb); }
    return kl;
}
/* The sequences of one model through one session: worst difference in deviations, worst KL of a last row over what rounding costs. */
static int run(const char *name, const char *path, const char *text, const float *rows, dsm_kv kv, dsm_activations act, double *worst, double *kl_worst) {
    dsm_model_desc md; dsm_session_desc sd; dsm_model *model = NULL; dsm_session *session = NULL; dsm_error error; char *at; long n_vocab, row = 0; const char *p = text; int ok = 1;
    memset(&md, 0, sizeof md); md.path = path; md.threads = 2;
    memset(&sd, 0, sizeof sd); sd.context = MOST; sd.kv = kv; sd.activations = act; sd.exact = 1; sd.all_logits = 1;
    *worst = *kl_worst = 0;
    if (dsm_model_open(&model, &md, &error) != DSM_OK || dsm_session_open(&session, model, &sd, &error) != DSM_OK) { printf("FAILED %s: %s\n", name, error.text); dsm_model_close(&model, NULL); return 0; }
    n_vocab = strtol(p + 5, &at, 10); p = at;
    while (ok && (p = strstr(p, "sequence ")) != NULL) {
        int32_t tokens[MOST]; long n = strtol(p + 9, &at, 10); double std = strtod(at, &at), cost = strtod(at, &at), d; const float *last;
        if (n < 1 || n > MOST) { printf("FAILED %s: the reference is damaged\n", name); ok = 0; break; }
        for (long i = 0; i < n; i++) tokens[i] = (int32_t)strtol(at, &at, 10);
        if (dsm_session_sync(session, tokens, (size_t)n, NULL, &error) < 0 || dsm_session_step(session, 0, &error) != DSM_DONE) { printf("FAILED %s: %s\n", name, error.text); ok = 0; break; }
        for (long i = 0; i < n; i++) {
            const float *y = dsm_session_logits(session, i);
            for (int k = 0; k < TOP; k++) {
                long id = strtol(at, &at, 10); double v = strtod(at, &at);
                if (!y) continue; /* kept from the sequence before */
                d = fabs((double)y[id] - v) / std; if (!(d <= *worst)) *worst = d; } }
        last = dsm_session_logits(session, DSM_OFF);
        if (!last) { printf("FAILED %s: no logits\n", name); ok = 0; break; }
        for (long v = 0; v < n_vocab; v++) { d = fabs((double)last[v] - (double)rows[row * n_vocab + v]) / std; if (!(d <= *worst)) *worst = d; }
        d = divergence(rows + row * n_vocab, last, (int)n_vocab) / (cost > 0 ? cost : 1);
        if (!(d <= *kl_worst)) *kl_worst = d;
        row++; p = at; }
    dsm_session_close(&session, NULL); dsm_model_close(&model, NULL);
    return ok && row == 3;
}
int main(void) {
    const char *shared = getenv("DSMOE_SHARED");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *name = names[i], *end = strrchr(name, '-'); int quantised = !strstr(end, "f32") && !strstr(end, "f16"); char path[400], file[400]; char *text, *rows; size_t n, n_rows; double worst, kl, kl16, kl8; FILE *f;
        snprintf(file, sizeof file, "tests/data/golden/%s.gguf", name);
        if ((f = fopen(file, "rb")) == NULL && shared) { snprintf(file, sizeof file, "%s/golden/%s.gguf", shared, name); f = fopen(file, "rb"); }
        if (!f) { printf("skipped: %s: not in tests/data/golden, and there is no DSMOE_SHARED that has it\n", name); skipped++; continue; }
        fclose(f);
        snprintf(path, sizeof path, "tests/data/golden/%s.txt", name); text = slurp(path, &n);
        snprintf(path, sizeof path, "tests/data/golden/%s.f32", name); rows = slurp(path, &n_rows);
        if (!text || !rows) { printf("FAILED %s: its reference can't be read\n", name); failed++; free(text); free(rows); continue; }
        if (run(name, file, text, (const float *)(const void *)rows, DSM_KV_F32, DSM_ACTIVATIONS_F32, &worst, &kl)) check(worst <= 1e-4, "F32 activations: difference / deviation", name, worst, 1e-4); else failed++;
        printf("%-18s %.1e of the deviation", name, worst);
        if (run(name, file, text, (const float *)(const void *)rows, DSM_KV_F32, DSM_ACTIVATIONS_INT8, &worst, &kl)) {
            if (!quantised) check(worst <= 1e-4, "nothing rounds: difference / deviation", name, worst, 1e-4);
            else { check(kl <= 1.2, "int8 activations: KL / KL of the emulation", name, kl, 1.2); printf("; KL / emulation's: %.3f", kl); } }
        else failed++;
        if (run(name, file, text, (const float *)(const void *)rows, DSM_KV_F16, DSM_ACTIVATIONS_INT8, &worst, &kl16)) check(kl16 <= (quantised ? 2 : 1e-6), "f16 cache: KL", name, kl16, quantised ? 2 : 1e-6); else failed++;
        if (run(name, file, text, (const float *)(const void *)rows, DSM_KV_Q8_0, DSM_ACTIVATIONS_INT8, &worst, &kl8)) check(kl8 <= (quantised ? 4 : 1e-3), "q8_0 cache: KL", name, kl8, quantised ? 4 : 1e-3); else failed++;
        printf(", f16 cache %.2g, q8_0 cache %.2g\n", kl16, kl8);
        free(text); free(rows); }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
