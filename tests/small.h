/* small.h - a small model with a vocabulary and a conversation's special tokens, and an allocator that counts and can fail; for the tests of sessions and turns.
   Needs dsmoe.h, stdio.h, stdlib.h and gguf.h first. */
#ifndef TEST_SMALL_H
#define TEST_SMALL_H
enum { BOS = 256, EOS, USER_ID, ASSISTANT, THINK, END_THINK, PAD, HEL, LO, VOCAB };
static int64_t live, calls; static int quota = -1;
static void *count_alloc(void *user, size_t n, size_t align) { void *p; (void)user; calls++; if (!quota) return NULL; if (quota > 0) quota--; p = dsm__os_alloc(n, align); if (p) live += (int64_t)n; return p; }
static void count_free(void *user, void *p, size_t n) { (void)user; live -= (int64_t)n; dsm__os_free(p); }
static const char *const words[] = { "<\xEF\xBD\x9C" "begin\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>", "<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>", "<\xEF\xBD\x9CUser\xEF\xBD\x9C>",
    "<\xEF\xBD\x9C" "Assistant\xEF\xBD\x9C>", "<think>", "</think>", "[PAD1]", "Hel", "lo" };
/* kind 0: R1's template, 1: V3's, 2: V3's without the think tokens */
static void vocabulary(g_model *g, int kind) {
    static const char r1[] = "{{'<\xEF\xBD\x9CUser\xEF\xBD\x9C>'}}{{'<\xEF\xBD\x9C" "Assistant\xEF\xBD\x9C>'}}{{'<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>'}}{{'</think>'}}{{'<\xEF\xBD\x9C" "Assistant\xEF\xBD\x9C><think>\\n'}}";
    static const char v3[] = "{{'<\xEF\xBD\x9CUser\xEF\xBD\x9C>'}}{{'<\xEF\xBD\x9C" "Assistant\xEF\xBD\x9C>'}}{{'<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>'}}{{'</think>'}}";
    g_key *k = g_key_raw(g, "tokenizer.ggml.tokens", G_ARR); int odd = 256;
    g_put32(&k->value, G_STR); g_put64(&k->value, VOCAB);
    for (int i = 0; i < 256; i++) {
        unsigned c = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174 ? (unsigned)i : (unsigned)odd++; char text[4]; int n = 0;
        if (c < 128) text[n++] = (char)c; else { text[n++] = (char)(0xC0 | c >> 6); text[n++] = (char)(0x80 | (c & 63)); }
        text[n] = 0; g_put_str(&k->value, text);
    }
    for (int i = 256; i < VOCAB; i++) g_put_str(&k->value, kind == 2 && (i == THINK || i == END_THINK) ? i == THINK ? "xx1" : "xx2" : words[i - 256]);
    k = g_key_raw(g, "tokenizer.ggml.token_type", G_ARR); g_put32(&k->value, G_I32); g_put64(&k->value, VOCAB);
    for (int i = 0; i < VOCAB; i++) g_put32(&k->value, i < 256 || i >= HEL ? 1 : i == BOS || i == EOS ? 3 : i == PAD ? 5 : kind == 2 && (i == THINK || i == END_THINK) ? 1 : 4);
    k = g_key_raw(g, "tokenizer.ggml.merges", G_ARR); g_put32(&k->value, G_STR); g_put64(&k->value, 0);
    g_text(g, "tokenizer.ggml.model", "gpt2"); g_text(g, "tokenizer.ggml.pre", "deepseek-v3"); g_u32(g, "tokenizer.ggml.bos_token_id", BOS); g_u32(g, "tokenizer.ggml.eos_token_id", EOS);
    g_text(g, "tokenizer.chat_template", kind ? v3 : r1);
    g_add(g, "token_embd.weight", 2, 32, VOCAB, 1, 0); g_add(g, "output.weight", 2, 32, VOCAB + 3, 1, 0); /* more rows than tokens */
    g_add(g, "token_embd.weight", 2, 32, VOCAB + 3, 1, 0);
}

static g_model file;
/* Writes the model into `file`, and says how to open it. */
static dsm_model_desc model_desc(const char *arch, int mla, int kind) {
    dsm_model_desc d;
    memset(&d, 0, sizeof d);
    g_free(&file); g_make(&file, arch, mla, 0); vocabulary(&file, kind); g_write(&file);
    d.data = file.out.at; d.size = file.out.n; d.threads = 2; d.allocator.alloc = count_alloc; d.allocator.free = count_free;
    return d;
}
#endif
