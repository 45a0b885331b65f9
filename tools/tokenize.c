/* Ids of a text, or the text of ids, as a model file's vocabulary has them.
   cc -std=c11 -I. tools/tokenize.c -o tokenize -lm -lpthread */
#ifndef DSMOE_IMPLEMENTATION
#define DSMOE_IMPLEMENTATION
#endif
#include "../dsmoe.h"
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: tokenize MODEL [-f FILE | -p TEXT] [--special] [--bos]\n"
    "       tokenize MODEL --decode FILE [--special]\n"
    "Prints the token ids of a text, separated by spaces, on one line; or the bytes of token ids. FILE - is standard input, which is also the default.\n"
    "  --special   text of special tokens becomes those tokens; with --decode: they are printed\n"
    "  --bos       a beginning-of-text token first\n"
    "MODEL is a GGUF file, weights or not. Exit codes: 0, 1 (an error, said on standard error), 2 (usage).\n";

static int fail(const char *what, const char *why) { fprintf(stderr, "tokenize: %s%s%s\n", what, why ? ": " : "", why ? why : ""); return 1; }

static char *read_all(const char *path, size_t *size) { /* malloc'ed; NULL: failed */
    FILE *f = !path || !strcmp(path, "-") ? stdin : fopen(path, "rb");
    size_t cap = 1 << 16, n = 0, got; char *p = f ? (char *)malloc(cap) : NULL, *more;
    while (p && (got = fread(p + n, 1, cap - n, f)) > 0) {
        n += got;
        if (n == cap) { cap *= 2; more = (char *)realloc(p, cap); if (!more) free(p); p = more; }
    }
    if (p && ferror(f)) { free(p); p = NULL; }
    if (f && f != stdin) fclose(f);
    *size = n; return p;
}
static void say(void *user, dsm_level level, const char *text) { (void)user; if (level <= DSM_LOG_WARNING) fprintf(stderr, "tokenize: %s\n", text); }

static int encode(const dsm_model *model, const char *text, size_t n, int flags) {
    size_t cap = n / 2 + 64, count = 0; int32_t *ids = NULL; dsm_error error; dsm_status status; int rc = 0;
    for (;;) {
        ids = (int32_t *)malloc(cap * sizeof *ids);
        if (!ids) return fail("out of memory", NULL);
        status = dsm_tokenize(model, text, n, flags, ids, cap, &count, &error);
        if (status != DSM_MORE) break;
        free(ids); cap = count;
    }
    if (status < 0) rc = fail(error.text, NULL);
    else {
        for (size_t i = 0; i < count; i++) printf(i ? " %d" : "%d", (int)ids[i]);
        putchar('\n');
        if (fflush(stdout) || ferror(stdout)) rc = fail("the output can't be written", NULL);
    }
    free(ids); return rc;
}
static int decode(const dsm_model *model, char *text, int special) { /* text: zero-terminated */
    char *p = text, *end, out[1024], *bytes; dsm_error error; size_t n = 0, cap = strlen(text) / 2 + 1, size = 0; int rc = 0;
    int32_t *ids = (int32_t *)malloc(cap * sizeof *ids);
    if (!ids) return fail("out of memory", NULL);
    for (;;) {
        while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t' || *p == ',') p++;
        if (!*p) break;
        { long long v = strtoll(p, &end, 10);
          if (end == p || v < 0 || v > INT32_MAX || n == cap) { p[strcspn(p, " \r\n\t,")] = 0; free(ids); return fail("not a token id", p); }
          ids[n++] = (int32_t)v; p = end; }
    }
    bytes = out;
    if (dsm_detokenize(model, ids, n, special, out, sizeof out, &size, &error) == DSM_MORE) {
        bytes = (char *)malloc(size);
        if (!bytes) { free(ids); return fail("out of memory", NULL); }
        if (dsm_detokenize(model, ids, n, special, bytes, size, &size, &error) < 0) rc = fail(error.text, NULL);
    }
    if (!rc && (fwrite(bytes, 1, size, stdout) != size || fflush(stdout))) rc = fail("the output can't be written", NULL);
    if (bytes != out) free(bytes);
    free(ids); return rc;
}
int main(int argc, char **argv) {
    const char *path = NULL, *file = NULL, *prompt = NULL; int flags = 0, decoding = 0, rc; size_t n = 0; char *text = NULL, *more;
    dsm_model_desc desc; dsm_model *model; dsm_error error;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) { fputs(usage, stdout); return 0; }
        else if (!strcmp(a, "--special")) flags |= DSM_TOKENIZE_SPECIAL;
        else if (!strcmp(a, "--bos")) flags |= DSM_TOKENIZE_BOS;
        else if (!strcmp(a, "-f") && next) { file = next; i++; }
        else if (!strcmp(a, "-p") && next) { prompt = next; i++; }
        else if (!strcmp(a, "--decode") && next) { file = next; decoding = 1; i++; }
        else if (a[0] == '-' || path) { fputs(usage, stderr); return 2; }
        else path = a;
    }
    if (!path || (decoding && (prompt || (flags & DSM_TOKENIZE_BOS)))) { fputs(usage, stderr); return 2; }
    memset(&desc, 0, sizeof desc); desc.path = path; desc.header_only = 1; desc.threads = 1; desc.log.log = say;
    if (dsm_model_open(&model, &desc, &error)) return fail(error.text, NULL);
    if (!prompt) {
        text = read_all(file, &n);
        more = text ? (char *)realloc(text, n + 1) : NULL;
        if (!more) { free(text); dsm_model_close(&model, NULL); return fail(file ? file : "standard input", "can't be read"); }
        text = more; text[n] = 0;
    }
    rc = decoding ? decode(model, text, flags) : encode(model, prompt ? prompt : text, prompt ? strlen(prompt) : n, flags);
    free(text); dsm_model_close(&model, NULL);
    return rc;
}
