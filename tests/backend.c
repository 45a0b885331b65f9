/* The seam: what the library asks of a backend, seen by the tracing one; ranges of layers with the hidden rows carried between them; suspending. */
#define DSMOE_IMPLEMENTATION
#include "dsmoe.h"
#include <stdio.h>

static int passed, failed, polls;
static void check(int good, const char *what) { if (good) passed++; else { failed++; printf("FAILED: %s\n", what); } }
static int never(void *user) { (void)user; return 0; }
static int each(void *user) { (void)user; polls++; return 1; }

static void traced(const char *path) {
    static dsm__be_trace t; dsm_model_desc md; dsm_session_desc sd; dsm_model *m = NULL; dsm_session *s = NULL; dsm_error e; int32_t tokens[40]; int at = 0, rows = 0, forwards = 0, layers; float last; const float *y;
    for (int i = 0; i < 40; i++) tokens[i] = i * 17 % 500;
    for (int pass = 0; pass < 2; pass++) {
        memset(&md, 0, sizeof md); memset(&sd, 0, sizeof sd); md.path = path; md.threads = 2; sd.context = 64; sd.chunk = 12;
        if (!pass) md.backend = dsm__be_trace_open_on(&t, NULL);
        check(dsm_model_open(&m, &md, &e) == DSM_OK && dsm_session_open(&s, m, &sd, &e) == DSM_OK, "opens");
        if (!s) { dsm_model_close(&m, NULL); return; }
        check(dsm_session_sync(s, tokens, 40, NULL, &e) == DSM_OK && dsm_session_step(s, 0, &e) == DSM_DONE, "runs");
        y = dsm_session_logits(s, DSM_OFF);
        if (!pass) last = y ? y[7] : 0; else check(y && !memcmp(&last, &y[7], sizeof last), "the same with and without a trace");
        layers = m->arch.n_layers;
        dsm_session_close(&s, &e); dsm_model_close(&m, &e); }
    check(t.n_calls <= 256, "few calls");
    check(!strcmp(t.calls[0].name, "load") && !strcmp(t.calls[t.n_calls - 1].name, "unload") && !strcmp(t.calls[t.n_calls - 2].name, "close"), "load first; close, unload last");
    for (int i = 0; i < t.n_calls && i < 256; i++) {
        const dsm__be_call *c = &t.calls[i];
        if (!strcmp(c->name, "forward")) { check(c->first == 0 && c->last == layers && c->position == at && c->n <= 12, "positions grow one after the other"); at += c->n; forwards++; }
        if (!strcmp(c->name, "logits")) { rows += c->n; check(at == 40 && c->first == 3, "only the last row's logits"); } }
    check(at == 40 && forwards == 4 && rows == 1, "four chunks, one row of logits");
}
static void ranges(const char *path) {
    dsm_model_desc md; dsm_session_desc sd; dsm_memory memory; dsm_model *m = NULL; dsm_error e; void *host[2] = { NULL, NULL }, *session[2] = { NULL, NULL }; float *hidden, *y[2]; int32_t tokens[20]; dsm_limit limit; size_t width, n_vocab, bytes; int layers; uint64_t mode;
    const dsm_backend *b = &dsm__be_cpu;
    for (int i = 0; i < 20; i++) tokens[i] = i * 29 % 700;
    memset(&md, 0, sizeof md); memset(&sd, 0, sizeof sd); memset(&memory, 0, sizeof memory); memset(&limit, 0, sizeof limit);
    md.path = path; md.threads = 2; sd.context = 32; sd.chunk = 20; limit.poll = never;
    check(dsm_model_open(&m, &md, &e) == DSM_OK, "opens");
    if (!m) return;
    mode = dsm__k_float_enter();
    check(b->plan(b->user, m, &sd, &memory, &e) == DSM_OK, "plans");
    bytes = (size_t)(memory.cache + memory.scratch + memory.tables); width = (size_t)m->arch.width; n_vocab = (size_t)m->arch.n_vocab; layers = m->arch.n_layers;
    hidden = (float *)malloc(20 * width * sizeof *hidden);
    for (int i = 0; i < 2; i++) {
        host[i] = dsm__os_alloc(bytes, 64); y[i] = (float *)malloc(n_vocab * sizeof **y);
        if (!host[i] || !y[i] || !hidden) return;
        memset(host[i], 0, bytes);
        check(b->open(b->user, m->weights, &sd, host[i], &session[i], &e) == DSM_OK, "opens a session"); }
    check(b->forward(b->user, session[0], 0, layers, tokens, 0, 20, NULL, &limit, &e) == DSM_OK && b->logits(b->user, session[0], 19, 1, y[0], &limit, &e) == DSM_OK, "all layers at once");
    for (int l = 0; l < layers; l++) { /* layer by layer, poll by poll */
        dsm_status s; limit.poll = each; limit.timed = l & 1;
        do s = b->forward(b->user, session[1], l, l + 1, tokens, 0, 20, hidden, &limit, &e); while (s == DSM_MORE);
        check(s == DSM_OK, "one layer");
        memset(((dsm__nn *)session[1])->x, 0, 20 * width * sizeof *hidden); /* what it knows comes from hidden alone */ }
    check(polls > layers * 5, "looks at the clock between stages");
    memcpy(((dsm__nn *)session[1])->x, hidden, 20 * width * sizeof *hidden); limit.poll = never;
    check(b->logits(b->user, session[1], 19, 1, y[1], &limit, &e) == DSM_OK && !memcmp(y[0], y[1], n_vocab * sizeof **y), "the same by ranges");
    dsm__k_float_leave(mode);
    for (int i = 0; i < 2; i++) { b->close(b->user, session[i]); dsm__os_free(host[i]); free(y[i]); }
    free(hidden); dsm_model_close(&m, NULL);
}
int main(void) {
    static const char *paths[] = { "tests/data/golden/moe16b-q4_0.gguf", "tests/data/golden/v2lite-q4_k_m.gguf" };
    for (int i = 0; i < 2; i++) { traced(paths[i]); ranges(paths[i]); }
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
