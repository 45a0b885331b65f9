/* inspect.c - what is in a model file, for a person: its numbers, formats, vocabulary, keys, tensors, and the memory that it takes to run it.
   Reads the header only, so it answers at once for a file of any size.

     cc -std=c11 -O2 -I. tools/inspect.c -o inspect -lm -lpthread */
#define DSMOE_IMPLEMENTATION
#include "dsmoe.h"
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "inspect [options] MODEL.gguf     what is in a model file, and the memory it takes\n"
    "  --tensors        every tensor: format, shape, bytes\n"
    "  --long           keys with their whole text\n"
    "  --context N      the memory for this context too\n"
    "  --help           this\n"
    "Of a model in several files, give the first one.\n"
    "Exit status: 0 the model would run; 1 it would not, or can't be opened (the reason is printed); 2 wrong usage\n";

static const char *size_text(uint64_t bytes, char *to, size_t cap) { /* "4.37 GB", decimal as disks count */
    static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB", "EB" }; double v = (double)bytes; int u = 0;
    while (v >= 999.5 && u < 6) { v /= 1000; u++; }
    if (u) snprintf(to, cap, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, units[u]); else snprintf(to, cap, "%.0f bytes", v);
    return to;
}
static const char *count_text(uint64_t n, char *to, size_t cap) { /* "15.7 billion" */
    if (n >= 1000000000u) snprintf(to, cap, "%.3g billion", (double)n / 1e9);
    else if (n >= 1000000u) snprintf(to, cap, "%.3g million", (double)n / 1e6);
    else snprintf(to, cap, "%llu", (unsigned long long)n);
    return to;
}
static void print_text(const char *s, size_t n, size_t most) { /* one line, control characters made visible, cut at a whole character */
    size_t cut = n > most ? most : n;
    while (cut < n && cut && ((unsigned char)s[cut] & 0xC0) == 0x80) cut--;
    for (size_t i = 0; i < cut; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\n') fputs("\\n", stdout);
        else if (c == '\t') fputs("\\t", stdout);
        else if (c < 32 || c == 127) printf("\\x%02x", c);
        else putchar(c); }
    if (cut < n) printf(" ... (%llu bytes)", (unsigned long long)n);
}
static const char *type_name(int type) {
    static const char *const names[] = { "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "text", "array", "u64", "i64", "f64" };
    return type >= 0 && type < 13 ? names[type] : "?";
}
static const char *template_name(dsm_template t) {
    switch (t) {
    case DSM_TEMPLATE_LLM: return "DeepSeek LLM (User: / Assistant:)"; case DSM_TEMPLATE_CODER: return "DeepSeek Coder (### Instruction:)"; case DSM_TEMPLATE_V3:
        return "DeepSeek V3";
    case DSM_TEMPLATE_R1: return "DeepSeek R1"; case DSM_TEMPLATE_V31: return "DeepSeek V3.1"; case DSM_TEMPLATE_CHATML: return "ChatML"; case DSM_TEMPLATE_LLAMA3:
        return "Llama 3"; case DSM_TEMPLATE_RAW: break; }
    return "none known";
}

typedef struct share { const char *format; uint64_t bytes; int tensors; } share;
static void formats(const dsm_model *model, uint64_t total) {
    share shares[64]; int n = 0; dsm_tensor t; char size[32];
    for (size_t i = 0; dsm_model_tensor(model, i, &t) == DSM_OK; i++) {
        int j = 0;
        while (j < n && strcmp(shares[j].format, t.format)) j++;
        if (j == 64) continue;
        if (j == n) { shares[n].format = t.format; shares[n].bytes = 0; shares[n++].tensors = 0; }
        shares[j].bytes += t.bytes; shares[j].tensors++; }
    if (!n) return;
    printf("\nFormats\n");
    for (; n; n--) { /* the most bytes first */
        int best = 0;
        for (int j = 1; j < n; j++) if (shares[j].bytes > shares[best].bytes) best = j;
        printf("  %-10s %10s  %5.1f %%  in %d tensors\n", shares[best].format, size_text(shares[best].bytes, size, sizeof size),
            total ? 100. * (double)shares[best].bytes / (double)total : 0., shares[best].tensors);
        shares[best] = shares[n - 1]; }
}
static void special(const dsm_model *model, const char *name, dsm_special which) {
    int32_t id = dsm_token_special(model, which); char text[128]; size_t n = 0; dsm_status status;
    if (id < 0) return;
    status = dsm_detokenize(model, &id, 1, 1, text, sizeof text, &n, NULL);
    printf(", %s %d", name, (int)id);
    if (status == DSM_OK && n) { putchar(' '); print_text(text, n, 40); }
}
static void keys(const dsm_model *model, int whole) {
    dsm_key k;
    printf("\nKeys\n");
    for (size_t i = 0; dsm_model_key(model, i, &k) == DSM_OK; i++) {
        putchar(' '); putchar(' '); print_text(k.name, k.name_size, 80);
        printf("%*s %-5s ", k.name_size < 46 ? 46 - (int)k.name_size : 0, "", type_name(k.type));
        if (k.type == 8) print_text(k.text, k.text_size, whole ? SIZE_MAX : 70);
        else if (k.type == 9) printf("%llu of %s", (unsigned long long)k.count, type_name(k.element));
        else if (k.type == 7) fputs(k.number != 0 ? "true" : "false", stdout);
        else printf(k.type == 6 || k.type == 12 ? "%.7g" : "%.0f", k.number);
        putchar('\n'); }
}
static void tensors(const dsm_model *model) {
    dsm_tensor t; char size[32];
    printf("\nTensors\n");
    for (size_t i = 0; dsm_model_tensor(model, i, &t) == DSM_OK; i++) {
        char shape[100]; int n = 0;
        for (int d = 0; d < t.n_dims; d++) n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%llu", d ? " x " : "", (unsigned long long)t.shape[d]);
        putchar(' '); putchar(' '); print_text(t.name, t.name_size, 64);
        printf("%*s %-8s %-24s %s\n", t.name_size < 36 ? 36 - (int)t.name_size : 0, "", t.format, shape, size_text(t.bytes, size, sizeof size)); }
}
static void memory_line(const dsm_model *model, int context) {
    dsm_session_desc d; dsm_memory f16, q8; char a[32], b[32], c[32], e[32];
    memset(&d, 0, sizeof d); d.context = context;
    if (dsm_plan(model, &d, &f16, NULL)) return;
    d.kv = DSM_KV_Q8_0;
    if (dsm_plan(model, &d, &q8, NULL)) memset(&q8, 0, sizeof q8);
    printf("  %9d  %12s  %12s  %12s  %12s\n", context, size_text(f16.cache, a, sizeof a), q8.cache ? size_text(q8.cache, b, sizeof b) : "-",
        size_text(f16.scratch + f16.tables, c, sizeof c), size_text(f16.session_bytes, e, sizeof e));
}
static void memory(const dsm_model *model, const dsm_model_info *info, int wanted) {
    static const int contexts[] = { 1024, 4096, 16384, 65536, 131072 }; dsm_session_desc d; dsm_memory m; char a[32], b[32];
    memset(&d, 0, sizeof d);
    if (dsm_plan(model, &d, &m, NULL)) return;
    printf("\nMemory\n  %s of weights, mapped: they may leave memory and come back\n  %s beside them", size_text(m.weights, a, sizeof a),
        size_text(m.model_bytes, b, sizeof b));
    printf("; %llu bytes of cache (f16) for one more token\n", (unsigned long long)m.per_token);
    printf("    context     cache f16    cache q8_0      the rest   in all (f16)\n");
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++) if (contexts[i] <= info->trained_context || !i) memory_line(model, contexts[i]);
    if (wanted > 0) memory_line(model, wanted);
}
int main(int argc, char **argv) {
    const char *path = NULL; int all_tensors = 0, whole = 0, context = 0, status = 0; dsm_model_desc desc; dsm_model *model = NULL; dsm_model_info info;
    dsm_error error; char a[32], b[32];
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) { fputs(usage, stdout); return 0; }
        else if (!strcmp(argv[i], "--tensors")) all_tensors = 1;
        else if (!strcmp(argv[i], "--long")) whole = 1;
        else if (!strcmp(argv[i], "--context") && i + 1 < argc) {
            char *end; long n = strtol(argv[++i], &end, 10);
            if (*end || n < 1 || n > 1 << 24) { fprintf(stderr, "inspect: --context wants a number from 1 to 16777216, not '%s'\n", argv[i]); return 2; }
            context = (int)n; }
        else if (argv[i][0] == '-' || path) { fprintf(stderr, "inspect: %s '%s'\n%s", path && argv[i][0] != '-' ? "a second model" : "unknown option", argv[i],
            usage); return 2; }
        else path = argv[i]; }
    if (!path) { fputs(usage, stderr); return 2; }
    memset(&desc, 0, sizeof desc); desc.path = path; desc.header_only = 1;
    if (dsm_model_open(&model, &desc, &error)) { fprintf(stderr, "inspect: %s\n", error.text); return 1; }
    if (dsm_model_describe(model, &info, &error)) { fprintf(stderr, "inspect: %s\n", error.text); dsm_model_close(&model, NULL); return 1; }
    print_text(*info.name ? info.name : path, strlen(*info.name ? info.name : path), 120);
    printf(": %s, %s\n", *info.architecture ? info.architecture : "no architecture", size_text(info.file_bytes, a, sizeof a));
    if (info.vocabulary_only) printf("A vocabulary without weights: tokenising works\n");
    else {
        dsm_session_desc session; dsm_memory m; memset(&session, 0, sizeof session);
        if (dsm_plan(model, &session, &m, &error)) {
            printf("This version does not run it: %s\n", error.text); fflush(stdout);
            fprintf(stderr, "inspect: this version does not run it: %s\n", error.text); status = 1; } }
    if (info.parameters) {
        printf("\nModel\n  parameters  %s", count_text(info.parameters, a, sizeof a));
        if (info.active != info.parameters) printf(", %s for a token", count_text(info.active, b, sizeof b));
        printf("\n  layers      %d", info.n_layers);
        if (info.n_mtp_layers) printf(", and %d that predicts further tokens", info.n_mtp_layers);
        printf("\n  width       %d\n  heads       %d", info.n_heads ? info.width : 0, info.n_heads);
        if (info.latent) printf(", latent attention (MLA): %d + %d rotated", info.latent, info.n_rot);
        else printf(", %d for keys and values, %d dimensions rotated", info.n_kv_heads, info.n_rot);
        if (info.n_experts) printf("\n  experts     %d, %d used for a token, %d shared", info.n_experts, info.n_experts_used, info.n_shared);
        printf("\n  context     %d tokens in training\n", info.trained_context);
    }
    printf("  vocabulary  %d tokens", info.n_vocab);
    special(model, "begin", DSM_BOS); special(model, "end", DSM_EOS);
    printf("\n  template    %s%s\n", template_name(info.chat), info.has_think ? ", with reasoning" : "");
    formats(model, info.weight_bytes);
    if (!status && !info.vocabulary_only) memory(model, &info, context);
    keys(model, whole);
    if (all_tensors) tensors(model);
    dsm_model_close(&model, NULL);
    return status;
}
