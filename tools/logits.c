/* logits: the logits of every position of a sequence of tokens, for comparing engines.
   cc -std=c11 -O2 -I. tools/logits.c -o build/logits -lm -lpthread */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "logits MODEL --tokens IDS --out FILE [options]\n"
    "Writes the model's own logits of every position: tokens x vocabulary little-endian f32.\n"
    "  --tokens IDS    1,2,3 or @FILE with ids between commas or white space; nothing is added (no BOS)\n"
    "  --out FILE      where the logits go\n"
    "  --kv TYPE       of the cache: f16 (default), f32, q8_0\n"
    "  --act TYPE      activations that meet quantised weights: q8 (default), f32\n"
    "  -t N            threads; default: one for each fast core\n"
    "  --isa NAME      instruction set; 'list' without a model prints those that are usable here\n"
    "  --chunk N       feeds N tokens at a time; default: all at once\n"
    "  --help          this text\n"
    "Exit code: 0 done, 1 failed, 2 wrong usage.\n";

static int wrong(const char *what, const char *which) { fprintf(stderr, "logits: %s%s%s\nlogits --help says more\n", what, which ? ": " : "", which ? which : ""); return 2; }
static int failed(const dsm_error *error) { fprintf(stderr, "logits: %s\n", error->text); return 1; }

static char *slurp(const char *path) {
    FILE *f = fopen(path, "rb"); char *text = NULL; size_t n = 0, got = 0;
    if (!f) return NULL;
    do { char *more = (char *)realloc(text, n + 65537); if (!more) { free(text); fclose(f); return NULL; } text = more; got = fread(text + n, 1, 65536, f); n += got; } while (got);
    text[n] = 0; fclose(f);
    return text;
}
static int number(const char *text, long least, long *to) { char *end; long v = strtol(text, &end, 10); if (end == text || *end || v < least || v > 1000000000) return 0; *to = v; return 1; }

int main(int argc, char **argv) {
    const char *path = NULL, *ids = NULL, *out = NULL, *isa = NULL; long threads = 0, chunk = 0; dsm_kv kv = DSM_KV_F16; dsm_activations act = DSM_ACTIVATIONS_INT8;
    int32_t *tokens = NULL; size_t n = 0, room = 0; dsm_model *model = NULL; dsm_session *session = NULL; dsm_error error; char *text, *at; FILE *file;
    dsm_model_desc md; dsm_session_desc sd; dsm_model_info info; int rc = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) { fputs(usage, stdout); return 0; }
        if (a[0] != '-') { if (path) return wrong("more than one model", a); path = a; continue; }
        if (!v) return wrong("a value is missing after", a);
        i++;
        if (!strcmp(a, "--tokens")) ids = v;
        else if (!strcmp(a, "--out")) out = v;
        else if (!strcmp(a, "--isa")) isa = v;
        else if (!strcmp(a, "--kv")) { if (!strcmp(v, "f16")) kv = DSM_KV_F16; else if (!strcmp(v, "f32")) kv = DSM_KV_F32; else if (!strcmp(v, "q8_0")) kv = DSM_KV_Q8_0; else return wrong("unknown cache type", v); }
        else if (!strcmp(a, "--act")) { if (!strcmp(v, "q8")) act = DSM_ACTIVATIONS_INT8; else if (!strcmp(v, "f32")) act = DSM_ACTIVATIONS_F32; else return wrong("unknown activation type", v); }
        else if (!strcmp(a, "-t")) { if (!number(v, 1, &threads)) return wrong("not a number of threads", v); }
        else if (!strcmp(a, "--chunk")) { if (!number(v, 1, &chunk)) return wrong("not a number of tokens", v); }
        else return wrong("unknown option", a);
    }
    if (isa && !strcmp(isa, "list")) { for (int i = 0; dsm_isa_name(i); i++) puts(dsm_isa_name(i)); return 0; }
    if (!path || !ids || !out) return wrong("a model, --tokens and --out are needed", NULL);
    text = ids[0] == '@' ? slurp(ids + 1) : NULL;
    if (ids[0] == '@' && !text) { fprintf(stderr, "logits: %s: can't be read\n", ids + 1); return 1; }
    at = text;
    for (const char *p = text ? text : ids; *p;) {
        char *end; long v;
        if (*p == ',' || *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') { p++; continue; }
        v = strtol(p, &end, 10);
        if (end == p || v < 0 || v > 1000000000) { rc = wrong("not a list of token ids", ids); free(text); free(tokens); return rc; }
        if (n == room) {
            int32_t *more = (int32_t *)realloc(tokens, (room = room * 2 + 256) * sizeof *tokens);
            if (!more) { fputs("logits: out of memory\n", stderr); free(text); free(tokens); return 1; }
            tokens = more; }
        tokens[n++] = (int32_t)v; p = end;
    }
    free(at);
    if (!n) { free(tokens); return wrong("no token ids", ids); }
    memset(&md, 0, sizeof md); md.path = path; md.threads = (int)threads; md.isa = isa;
    memset(&sd, 0, sizeof sd); sd.context = (int)n; sd.kv = kv; sd.activations = act; sd.exact = 1; sd.all_logits = 1;
    if (dsm_model_open(&model, &md, &error) != DSM_OK) { free(tokens); return failed(&error); }
    if (dsm_model_describe(model, &info, &error) != DSM_OK || dsm_session_open(&session, model, &sd, &error) != DSM_OK) { rc = failed(&error); dsm_model_close(&model, NULL); free(tokens); return rc; }
    file = fopen(out, "wb");
    if (!file) { fprintf(stderr, "logits: %s: can't be written\n", out); rc = 1; }
    for (size_t done = 0; !rc && done < n;) {
        size_t upto = chunk && n - done > (size_t)chunk ? done + (size_t)chunk : n;
        if (dsm_session_sync(session, tokens, upto, NULL, &error) < 0 || dsm_session_step(session, 0, &error) < 0) { rc = failed(&error); break; }
        for (; done < upto && !rc; done++) {
            const float *row = dsm_session_logits(session, (int64_t)done);
            if (!row) { fprintf(stderr, "logits: position %lu has no logits\n", (unsigned long)done); rc = 1; }
            else if (fwrite(row, sizeof *row, (size_t)info.n_vocab, file) != (size_t)info.n_vocab) { fprintf(stderr, "logits: %s: can't be written\n", out); rc = 1; } }
    }
    if (file && fclose(file) && !rc) { fprintf(stderr, "logits: %s: can't be written\n", out); rc = 1; }
    dsm_session_close(&session, NULL); dsm_model_close(&model, NULL); free(tokens);
    return rc;
}
