/* turns: what may be said, and when (first part: without a model); whole turns on a small model (second part).
   cc -std=c11 -I. tests/turns.c -o build/turns-test -lm -lpthread */
#define DSMOE_IMPLEMENTATION
#include "dsmoe.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "gguf.h"
#include "small.h"

static int passed, failed, skipped;
static void check(int good, const char *what, int line) {
    if (good) passed++;
    else if (++failed <= 20) printf("tests/turns.c:%d: %s\n", line, what);
}
#define CHECK(x) check((x) ? 1 : 0, #x, __LINE__)

/* ---- The text alone. A script is a row of tokens: "{" opens the reasoning, "}" closes it, "$" ends the answer, anything else is text; what comes out
   is written as <...> for reasoning, [...] for text and a letter for the end. ---- */
enum { OPEN = 1, CLOSE = 2, END = 3, USER = 4, OTHER = 5 };
static char said[4096], buffer[2048];
static void take(dsm__turn *t) {
    dsm_piece p;
    memset(&p, 0, sizeof p);
    while (t->mode != DSM__TURN_OVER && dsm__turn_take(t, &p)) {
        size_t n = strlen(said);
        if (p.kind == DSM_PIECE_END) { said[n++] = "?eslcx"[p.reason]; said[n] = 0; return; }
        said[n++] = p.kind == DSM_PIECE_THINK ? '<' : '['; memcpy(said + n, p.text, p.size); n += p.size; said[n++] = p.kind == DSM_PIECE_THINK ? '>' : ']'; said[n] = 0;
    }
}
static dsm__turn begin(dsm__turn_mode mode, const char *const *stop, int n_stop, int letters) {
    dsm__turn t;
    memset(&t, 0, sizeof t);
    t.mode = mode; t.trim = mode != DSM__TURN_START; t.think = letters ? -1 : OPEN; t.end_think = letters ? -1 : CLOSE; t.user = USER; t.letters = letters;
    t.bytes = buffer; t.cap = sizeof buffer; t.keep = SIZE_MAX; t.desc.stop = stop; t.desc.n_stop = n_stop; said[0] = 0;
    return t;
}
/* tokens are separated by | */
static const char *run(dsm__turn t, const char *script, dsm_reason last) {
    size_t position = 0;
    while (t.mode != DSM__TURN_OVER) {
        size_t n = strcspn(script, "|"), room; char *to = dsm__turn_room(&t, &room); int32_t id = OTHER;
        if (n == 1 && *script == '{') id = OPEN; else if (n == 1 && *script == '}') id = CLOSE; else if (n == 1 && *script == '$') id = END; else if (n == 1 && *script == '@') id = USER;
        if (id == OTHER) memcpy(to, script, n);
        dsm__turn_feed(&t, id, id == END, id == OTHER ? n : 0, position++);
        take(&t);
        script += n;
        if (!*script) break;
        script++;
    }
    if (t.mode != DSM__TURN_OVER) { t.reason = last; dsm__turn_happens(&t, DSM__TURN_END); take(&t); }
    return said;
}
#define SAYS(turn, script, want) do { const char *got_ = run(turn, script, DSM_REASON_LENGTH); if (strcmp(got_, want)) printf("tests/turns.c:%d: %s\n  gives %s\n  wants %s\n", __LINE__, script, got_, want); check(!strcmp(got_, want), "see above", __LINE__); } while (0)

static void text_alone(void) {
    static const char *const stop1[] = { "STOP", "\n\nUser:" }, *const stop2[] = { "ab", "abc", "xyz" };
    const dsm__turn_mode S = DSM__TURN_START, T = DSM__TURN_THINK, X = DSM__TURN_TEXT;
    /* plain answers */
    SAYS(begin(S, NULL, 0, 0), "Hello| world|$", "[Hello][ world]e");
    SAYS(begin(S, NULL, 0, 0), "Hello| world", "[Hello][ world]l");
    SAYS(begin(S, NULL, 0, 0), "$", "e");
    SAYS(begin(S, NULL, 0, 0), "\n|\n|Hello\n\n|$", "[\n\nHello\n\n]e");
    SAYS(begin(S, NULL, 0, 0), "\n|$", "[\n]e");
    SAYS(begin(S, NULL, 0, 0), "Hello|@|more", "[Hello]e");
    /* reasoning by ids */
    SAYS(begin(S, NULL, 0, 0), "{|\n|I think\n|\n|so|\n|}|\n\n|Yes|$", "<I think><\n\nso>[Yes]e");
    SAYS(begin(S, NULL, 0, 0), "\n|{|a|}|b", "<a>[b]l");
    SAYS(begin(T, NULL, 0, 0), "\n|a|\n|}|\n\n|b\n|c|$", "<a>[b\n][c]e");
    SAYS(begin(T, NULL, 0, 0), "a|b", "<a><b>l");
    SAYS(begin(T, NULL, 0, 0), "a|\n|$", "<a>e");
    SAYS(begin(T, NULL, 0, 0), "\n|\n|}|\n\n|b", "[b]l");
    SAYS(begin(T, NULL, 0, 0), "}|b|}|c", "[b][c]l");
    SAYS(begin(X, NULL, 0, 0), "\n\n|b", "[b]l");
    SAYS(begin(X, NULL, 0, 0), "b|{|c|}|\n|d", "[b]<c>[d]l");
    SAYS(begin(T, NULL, 0, 0), "say |</think>| no|}|<think>|x", "<say ><</think>>< no>[<think>][x]l"); /* the letters end nothing */
    SAYS(begin(S, NULL, 0, 0), "<think>|x|</think>", "[<think>][x][</think>]l");
    /* reasoning by letters, where there are no such tokens */
    SAYS(begin(S, NULL, 0, 1), "<th|ink>\n|a|</|think|>\n\n|b|$", "<a>[b]e");
    SAYS(begin(S, NULL, 0, 1), "<think>a</think>b", "<a>[b]l");
    SAYS(begin(S, NULL, 0, 1), "<|table>|x", "[<table>][x]l");
    SAYS(begin(S, NULL, 0, 1), "a <think> b|$", "[a <think> b]e");
    SAYS(begin(T, NULL, 0, 1), "a <|b|</thin|g>|\n|</think>|c", "<a ><<b><</thing>>[c]l");
    SAYS(begin(S, NULL, 0, 1), "<thi|$", "[<thi]e");
    SAYS(begin(S, NULL, 0, 1), "</think>b", "[</think>b]l");
    /* characters over several tokens; a half one at the end vanishes, bytes that are no characters pass */
    SAYS(begin(S, NULL, 0, 0), "\xE4|\xBD|\xA0|!|$", "[\xE4\xBD\xA0][!]e");
    SAYS(begin(S, NULL, 0, 0), "a\xF0\x9F|\x98|\x80\xE4|$", "[a][\xF0\x9F\x98\x80]e");
    SAYS(begin(S, NULL, 0, 0), "a\xFF|b\x80|c", "[a\xFF][b\x80][c]l");
    SAYS(begin(S, NULL, 0, 0), "\xE4|A", "[\xE4" "A]l");
    SAYS(begin(T, NULL, 0, 0), "a\xE4|}|b", "<a>[b]l");
    /* stop strings */
    SAYS(begin(S, stop1, 2, 0), "Hello STOP there", "[Hello ]s");
    SAYS(begin(S, stop1, 2, 0), "Hello S|T|OP|x", "[Hello ]s");
    SAYS(begin(S, stop1, 2, 0), "Hello S|T|AY|$", "[Hello ][STAY]e");
    SAYS(begin(S, stop1, 2, 0), "Hello S|T|$", "[Hello ][ST]e");
    SAYS(begin(S, stop1, 2, 0), "a\n|\nUser|:", "[a]s");
    SAYS(begin(S, stop1, 2, 0), "a\n|\n|\nUser:", "[a][\n]s");
    SAYS(begin(S, stop1, 2, 0), "SSTOP", "[S]s");
    SAYS(begin(T, stop1, 2, 0), "STOP|}|a|STOP", "<STOP>[a]s"); /* they end the answer, not the reasoning */
    SAYS(begin(S, stop2, 3, 0), "xy|abc", "[xy]s");
    SAYS(begin(S, stop2, 3, 0), "xya|bc", "[xy]s");
    SAYS(begin(S, stop2, 3, 0), "xy|z", "s");
    SAYS(begin(S, stop2, 3, 0), "xyab", "[xy]s");
    /* after "Assistant:" one space is the template's, not the answer's */
    {   dsm__turn t = begin(S, NULL, 0, 0); t.strip = 1; SAYS(t, " |Hello| x|$", "[Hello][ x]e"); t = begin(S, NULL, 0, 0); t.strip = 1; SAYS(t, "  Hello|$", "[ Hello]e"); t = begin(S, NULL, 0, 0); t.strip = 1; SAYS(t, " |$", "e"); t = begin(S, NULL, 0, 0); t.strip = 1; SAYS(t, "H i|$", "[H i]e"); }
    /* many newlines do not wait for ever */
    {   char script[1200]; size_t n = 0; dsm__turn t = begin(T, NULL, 0, 0), u = begin(S, NULL, 0, 0);
        script[n++] = 'a'; for (int i = 0; i < 500; i++) { script[n++] = '|'; script[n++] = '\n'; } script[n] = 0;
        CHECK(strlen(run(t, script, DSM_REASON_LENGTH)) > 450);
        CHECK(strlen(run(u, script + 2, DSM_REASON_LENGTH)) > 500); }
    /* every cut of a text into tokens says the same */
    {   static const char whole[] = "\n\nH\xC3\xA4llo \xE4\xBD\xA0\n\n\nUser: STO STOP"; const size_t n = sizeof whole - 1;
        for (unsigned cut = 0; cut < 600; cut++) {
            dsm__turn t = begin(S, stop1, 2, 0); char script[128], got[128]; size_t k = 0, g = 0;
            for (size_t i = 0; i < n; i++) { if (i && (dsm__num_random(7, (uint64_t)cut * 100 + i) & 1)) script[k++] = '|'; script[k++] = whole[i]; }
            script[k] = 0; run(t, script, DSM_REASON_LENGTH);
            for (const char *p = said; *p; p++) if (*p != '[' && *p != ']') got[g++] = *p;
            got[g] = 0;
            CHECK(!strcmp(got, "\n\nH\xC3\xA4llo \xE4\xBD\xA0\ns")); } }
    /* the budget of the reasoning */
    {   dsm__turn t = begin(T, NULL, 0, 0); size_t room;
        t.desc.think_budget = 3; t.trim = 1;
        for (int i = 0; i < 3; i++) { CHECK(!t.forced); memcpy(dsm__turn_room(&t, &room), "x", 1); dsm__turn_feed(&t, OTHER, 0, 1, 0); take(&t); }
        CHECK(t.forced == 1 && t.at_closing == 0 && t.n_thought == 3);
        t = begin(T, NULL, 0, 0); t.desc.think_budget = 1; dsm__turn_room(&t, &room); dsm__turn_feed(&t, CLOSE, 0, 0, 0); CHECK(!t.forced); }
    {   dsm__turn t = begin(S, NULL, 0, 0); size_t room; dsm__turn_room(&t, &room); dsm__turn_feed(&t, OPEN, 0, 0, 17); take(&t); CHECK(t.keep == 17 && t.mode == DSM__TURN_THINK); }
}

/* ---- Whole turns on a model of random weights. What it says is decided by a mask: the script. ---- */
static dsm_model *open_model(const char *arch, int mla, int kind, int header_only) {
    dsm_model_desc d = model_desc(arch, mla, kind); dsm_model *m = NULL; dsm_error e;
    d.header_only = header_only;
    if (dsm_model_open(&m, &d, &e) < 0) { printf("the test's own model does not open: %s\n", e.text); failed++; exit(1); }
    return m;
}
static dsm_session *open_session(dsm_model *m, int context, int exact) {
    dsm_session_desc d; dsm_session *s = NULL; dsm_error e;
    memset(&d, 0, sizeof d);
    d.context = context; d.exact = exact; d.chunk = 16;
    if (dsm_session_open(&s, m, &d, &e) < 0) { printf("the test's own session does not open: %s\n", e.text); failed++; exit(1); }
    return s;
}
typedef struct script { const char *text; int64_t from; } script; /* tokens: a byte is itself; { } think tags, $ the end, @ <User>, ^ Hel, ~ lo */
static int32_t of_script(char c) { switch (c) { case '{': return THINK; case '}': return END_THINK; case '$': return EOS; case '@': return USER_ID; case '^': return HEL; case '~': return LO; default: return (uint8_t)c; } }
static void follow(void *user, float *logits, int n, uint64_t position) {
    script *s = (script *)user; int32_t id; size_t at;
    if (s->from < 0) s->from = (int64_t)position;
    at = (size_t)((int64_t)position - s->from);
    id = at < strlen(s->text) ? of_script(s->text[at]) : EOS;
    for (int i = 0; i < n; i++) if (i != id) logits[i] = -INFINITY; else if (!(logits[i] > -1e30f)) logits[i] = 0;
}
static uint64_t bits; /* of everything that was chosen and its log-probabilities */
static dsm_reason why;
/* One turn; `said` holds <reasoning>, [text], the end; budget in microseconds. */
static dsm_status turn_on(dsm_session *s, const dsm_turn_desc *desc, uint64_t budget, dsm_error *e) {
    dsm_piece p; dsm_status status = dsm_turn_begin(s, desc, e); char kind = 0;
    said[0] = 0; bits = 1; why = DSM_REASON_NONE;
    while (status >= 0) {
        size_t n = strlen(said);
        status = dsm_turn_next(s, budget, &p, e);
        if (status < 0) break;
        if (p.n_top) { bits = dsm__hash(&p.id, sizeof p.id, bits); bits = dsm__hash(&p.logprob, sizeof p.logprob, bits); bits = dsm__hash(p.top, (size_t)p.n_top * sizeof *p.top, bits); }
        if (p.size || p.kind == DSM_PIECE_END) {
            char k = p.kind == DSM_PIECE_THINK ? '<' : p.kind == DSM_PIECE_TEXT ? '[' : 0;
            if (kind && k != kind) said[n++] = kind == '<' ? '>' : ']';
            if (k && k != kind) said[n++] = k;
            kind = k;
            if (k && n + p.size < sizeof said - 8) { memcpy(said + n, p.text, p.size); n += p.size; }
            if (!k) { said[n++] = "?eslcx"[p.reason]; why = p.reason; }
            said[n] = 0; }
        if (status == DSM_DONE) break;
    }
    return status;
}
static const char *tells(dsm_session *s, const dsm_message *messages, size_t n, const char *text, int think_budget, int max_tokens, const char *const *stop, int n_stop) {
    script sc; dsm_turn_desc d; dsm_error e;
    sc.text = text; sc.from = -1;
    memset(&d, 0, sizeof d);
    d.messages = messages; d.n_messages = n; d.sampling.mask = follow; d.sampling.mask_user = &sc; d.sampling.temperature = DSM_GREEDY;
    d.think_budget = think_budget; d.max_tokens = max_tokens; d.stop = stop; d.n_stop = n_stop;
    if (turn_on(s, &d, 0, &e) < 0) { printf("turn: %s\n", e.text); return "error"; }
    return said;
}
#define TELLS(call, want) do { const char *got_ = call; if (strcmp(got_, want)) printf("tests/turns.c:%d:\n  gives %s\n  wants %s\n", __LINE__, got_, want); check(!strcmp(got_, want), "see above", __LINE__); } while (0)

static void scripted(void) {
    static const char *const stop[] = { "STOP", "lo" }; dsm_model *m; dsm_session *s; dsm_message c[5]; dsm_error e; size_t n; uint64_t done, wanted; const int32_t *ids;
    memset(c, 0, sizeof c);
    c[0].role = DSM_USER; c[0].text = "Hi"; c[1].role = DSM_ASSISTANT; c[1].text = "Hello"; c[2].role = DSM_USER; c[2].text = "Bye";
    m = open_model("deepseek2", 'C', 0, 0); s = open_session(m, 64, 1);
    /* R1 starts inside reasoning; the turn's end takes it back */
    TELLS(tells(s, c, 1, "ab\n}\n\n^~$", 0, 0, NULL, 0), "<ab>[Hello]e");
    n = dsm_session_length(s); ids = dsm_session_tokens(s);
    CHECK(n == 1 + 1 + 2 + 1 + 1 + 1 + 4 + 2 + 2 && ids[n - 1] == LO && ids[0] == BOS); /* BOS User H i Assistant <think> \n; a b \n </think>; \n \n; Hel lo */
    CHECK(dsm_turn_end(s, &e) == DSM_OK && dsm_session_length(s) == 5 && dsm_session_tokens(s)[4] == ASSISTANT);
    CHECK(dsm_turn_end(s, &e) == DSM_OK && dsm_session_length(s) == 5); /* twice is fine */
    {   dsm_turn_desc d; memset(&d, 0, sizeof d); d.messages = c; d.n_messages = 3;
        CHECK(dsm_turn_begin(s, &d, &e) == DSM_OK && dsm_session_progress(s, &done, &wanted) == DSM_OK && done == 5 && wanted == 5 + 5 + 1 + 1 + 3 + 1 + 2); /* what stood before is still warm */
        dsm_turn_end(s, &e); }
    TELLS(tells(s, c, 3, "}^~$", 0, 0, NULL, 0), "[Hello]e");
    TELLS(tells(s, c, 1, "</think>x$", 0, 0, NULL, 0), "<</think>x>e"); /* letters end nothing; an end in reasoning says no text */
    TELLS(tells(s, c, 1, "abc", 0, 3, NULL, 0), "<abc>l");
    TELLS(tells(s, c, 1, "}abcdef", 0, 4, NULL, 0), "[abc]l");
    TELLS(tells(s, c, 1, "}a@b", 0, 0, NULL, 0), "[a]e");
    /* the budget of reasoning: closed by force, then the answer; the script sees the forced tokens go by */
    TELLS(tells(s, c, 1, "abcd...^~$", 3, 0, NULL, 0), "<abc>[Hello]e");
    ids = dsm_session_tokens(s); n = 7; CHECK(ids[n] == 'a' && ids[n + 2] == 'c' && ids[n + 3] == '\n' && ids[n + 4] == END_THINK && ids[n + 5] == '\n' && ids[n + 6] == '\n' && ids[n + 7] == HEL);
    TELLS(tells(s, c, 1, "ab}x$", 3, 0, NULL, 0), "<ab>[x]e");
    TELLS(tells(s, c, 1, "ab....x{....y$", 2, 0, NULL, 0), "<ab>[xy]e"); /* reopened: closed at once */
    /* stop strings over tokens */
    TELLS(tells(s, c, 1, "}xSTOPy$", 0, 0, stop, 1), "[x]s");
    TELLS(tells(s, c, 1, "}xSTAY$", 0, 0, stop, 2), "[xSTAY]e");
    TELLS(tells(s, c, 1, "}^~x$", 0, 0, stop, 2), "[Hel]s");
    /* characters over tokens */
    TELLS(tells(s, c, 1, "}\xE4\xBD\xA0$", 0, 0, NULL, 0), "[\xE4\xBD\xA0]e");
    TELLS(tells(s, c, 1, "}a\xE4\xBD$", 0, 0, NULL, 0), "[a]e");
    /* a full context is a reason; an answer that fits exactly has ended by itself */
    {   char text[80]; memset(text, 'a', sizeof text); text[0] = '}'; text[78] = 0;
        tells(s, c, 1, text, 0, 0, NULL, 0); CHECK(why == DSM_REASON_CONTEXT && dsm_session_length(s) == 64 && strlen(said) == 56 + 3); /* 7 of prompt, </think>, 56 letters */
        text[57] = '$'; tells(s, c, 1, text, 0, 0, NULL, 0); CHECK(why == DSM_REASON_END_TOKEN && dsm_session_length(s) == 64); }
    /* a prompt that does not fit: both numbers, nothing changed */
    {   char text[100]; dsm_turn_desc d; dsm_piece over; dsm_status status; size_t before = dsm_session_length(s);
        memset(text, 'b', sizeof text); memset(&d, 0, sizeof d); c[4].role = DSM_USER; c[4].text = text; c[4].size = 100; d.messages = c + 4; d.n_messages = 1;
        status = dsm_turn_begin(s, &d, &e);
        CHECK(status == DSM_E_CONTEXT && strstr(e.text, "105") && strstr(e.text, "64") && dsm_session_length(s) == before);
        CHECK(dsm_turn_next(s, 0, &over, &e) == DSM_DONE); /* the old turn is still there, and over */
        dsm_turn_end(s, &e); }
    /* one cancelled: by a call in between, and with budgets */
    {   dsm_turn_desc d; dsm_piece p; script sc; dsm_status status;
        memset(&d, 0, sizeof d); sc.text = "}abcdef"; sc.from = -1; d.messages = c; d.n_messages = 1; d.sampling.mask = follow; d.sampling.mask_user = &sc; d.sampling.temperature = DSM_GREEDY;
        dsm_session_cancel(s); /* before a turn begins: it was for something else */
        CHECK(dsm_turn_begin(s, &d, &e) == DSM_OK);
        do status = dsm_turn_next(s, 1, &p, &e); while (status == DSM_MORE && p.kind != DSM_PIECE_TEXT);
        CHECK(status == DSM_MORE && p.kind == DSM_PIECE_TEXT && p.size == 1 && p.text[0] == 'a');
        dsm_session_cancel(s);
        status = dsm_turn_next(s, 0, &p, &e); CHECK(status == DSM_DONE && p.kind == DSM_PIECE_END && p.reason == DSM_REASON_CANCELLED);
        status = dsm_turn_next(s, 0, &p, &e); CHECK(status == DSM_DONE && p.reason == DSM_REASON_CANCELLED); /* and again */
        CHECK(dsm_turn_end(s, &e) == DSM_OK && dsm_turn_next(s, 0, &p, &e) == DSM_E_ARGUMENT); }
    /* a budget changes nothing but the number of calls */
    TELLS(tells(s, c, 3, "ab\n}\n\n^~$", 0, 0, NULL, 0), "<ab>[Hello]e");
    {   dsm_turn_desc d; script sc; memset(&d, 0, sizeof d); sc.text = "ab\n}\n\n^~$"; sc.from = -1; d.messages = c; d.n_messages = 3; d.sampling.mask = follow; d.sampling.mask_user = &sc; d.sampling.temperature = DSM_GREEDY;
        CHECK(turn_on(s, &d, 1, &e) == DSM_DONE && !strcmp(said, "<ab>[Hello]e")); }
    /* a turn whose session is used by other calls says so */
    {   dsm_turn_desc d; dsm_piece p; memset(&d, 0, sizeof d); d.messages = c; d.n_messages = 1;
        CHECK(dsm_turn_begin(s, &d, &e) == DSM_OK && dsm_session_rewind(s, 3, &e) == DSM_OK && dsm_turn_next(s, 0, &p, &e) == DSM_E_ARGUMENT && strstr(e.text, "timeline"));
        CHECK(dsm_turn_end(s, &e) == DSM_OK && dsm_session_length(s) == 3); }
    dsm_session_close(&s, NULL); dsm_model_close(&m, NULL);

    /* V3: the model opens the reasoning itself, or does not; thinking on and off */
    m = open_model("deepseek2", 'A', 1, 0); s = open_session(m, 64, 1);
    TELLS(tells(s, c, 1, "{\nab\n}\n\n^~$", 0, 0, NULL, 0), "<ab>[Hello]e");
    CHECK(dsm_turn_end(s, &e) == DSM_OK && dsm_session_length(s) == 5);
    TELLS(tells(s, c, 1, "^~$", 0, 0, NULL, 0), "[Hello]e");
    CHECK(dsm_turn_end(s, &e) == DSM_OK && dsm_session_length(s) == 7); /* no reasoning: everything stays */
    TELLS(tells(s, c, 1, "\n\n{a}b$", 0, 0, NULL, 0), "<a>[b]e");
    TELLS(tells(s, c, 1, "\n\nb{a}c$", 0, 0, NULL, 0), "[\n\nb]<a>[c]e");
    {   dsm_turn_desc d; script sc; memset(&d, 0, sizeof d); sc.text = "ab}c$"; sc.from = -1; d.messages = c; d.n_messages = 1; d.sampling.mask = follow; d.sampling.mask_user = &sc; d.sampling.temperature = DSM_GREEDY;
        d.think = DSM_THINK_ON; CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && !strcmp(said, "<ab>[c]e"));
        d.think = DSM_THINK_OFF; sc.text = "\nc$"; sc.from = -1; CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && !strcmp(said, "[c]e")); }
    /* ids that no token uses: rows beyond the vocabulary, and padding, even where they are the likeliest */
    {   dsm_bias b[4]; dsm_turn_desc d; dsm_sampling sampling; int32_t id;
        for (int i = 0; i < 3; i++) { b[i].id = VOCAB + i; b[i].add = 1e6f; }
        b[3].id = PAD; b[3].add = 2e6f;
        memset(&d, 0, sizeof d); d.messages = c; d.n_messages = 1; d.sampling.bias = b; d.sampling.n_bias = 4; d.sampling.temperature = DSM_GREEDY; d.max_tokens = 20;
        CHECK(turn_on(s, &d, 0, &e) == DSM_DONE);
        for (size_t i = 5; i < dsm_session_length(s); i++) CHECK(dsm_session_tokens(s)[i] < VOCAB && dsm_session_tokens(s)[i] != PAD);
        dsm_turn_end(s, &e);
        sampling = d.sampling; sampling.temperature = 1; sampling.top_p = (float)DSM_OFF;
        for (int i = 0; i < 20; i++) { dsm_status status; do status = dsm_session_next(s, &sampling, 1, &id, &e); while (status == DSM_MORE); if (status == DSM_E_ARGUMENT) { dsm_session_step(s, 0, NULL); continue; } CHECK(status == DSM_DONE && id >= 0 && id < VOCAB && id != PAD); } }
    /* everything forbidden, or broken numbers: an error, not token 0 */
    {   float *logits; int32_t id;
        CHECK(dsm_session_rewind(s, 3, &e) == DSM_OK && dsm_session_next(s, NULL, 0, &id, &e) == DSM_E_ARGUMENT && strstr(e.text, "logits") && dsm_session_step(s, 0, &e) == DSM_DONE);
        logits = dsm_session_logits(s, DSM_OFF); CHECK(logits != NULL);
        for (int i = 0; logits && i < VOCAB + 3; i++) logits[i] = -INFINITY;
        CHECK(dsm_session_next(s, NULL, 0, &id, &e) == DSM_E_NUMBER && id == -1 && dsm_session_length(s) == 3);
        for (int i = 0; logits && i < VOCAB + 3; i++) logits[i] = NAN;
        CHECK(dsm_session_next(s, NULL, 0, &id, &e) == DSM_E_NUMBER);
        if (logits) logits[77] = 0;
        CHECK(dsm_session_next(s, NULL, 0, &id, &e) == DSM_DONE && id == 77 && dsm_session_length(s) == 4); }
    /* next: chooses once, however many calls it takes; full is an error that changes nothing */
    {   static const int32_t start[] = { BOS, 'a', 'b' }; int32_t one[8], id; size_t n1, n2;
        CHECK(dsm_session_sync(s, start, 3, NULL, &e) == DSM_OK && dsm_session_step(s, 0, &e) == DSM_DONE);
        for (int i = 0; i < 8; i++) CHECK(dsm_session_next(s, NULL, 0, one + i, &e) == DSM_DONE);
        n1 = dsm_session_length(s);
        CHECK(dsm_session_rewind(s, 3, &e) == DSM_OK && dsm_session_step(s, 0, &e) == DSM_DONE);
        for (int i = 0; i < 8; i++) { dsm_status status; int rounds = 0; do { status = dsm_session_next(s, NULL, 1, &id, &e); rounds++; CHECK(id == one[i]); } while (status == DSM_MORE && rounds < 10000); CHECK(status == DSM_DONE); }
        n2 = dsm_session_length(s); CHECK(n1 == n2);
        while (dsm_session_length(s) < 64) if (dsm_session_next(s, NULL, 0, &id, &e) < 0) break;
        CHECK(dsm_session_length(s) == 64 && dsm_session_next(s, NULL, 0, &id, &e) == DSM_E_CONTEXT && dsm_session_length(s) == 64 && strstr(e.text, "64")); }
    /* prompts as ids: inside reasoning where they end so */
    {   static const int32_t p1[] = { BOS, USER_ID, 'x', ASSISTANT, THINK, 'y' }, p2[] = { BOS, USER_ID, 'x', ASSISTANT, THINK, 'y', END_THINK }, p3[] = { BOS, THINK, END_THINK, EOS, USER_ID, 'x' }; dsm_turn_desc d; script sc;
        memset(&d, 0, sizeof d); d.sampling.mask = follow; d.sampling.mask_user = &sc; d.sampling.temperature = DSM_GREEDY;
        d.prompt = p1; d.n_prompt = 6; sc.text = "ab}c$"; sc.from = -1; CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && !strcmp(said, "<ab>[c]e") && dsm_turn_end(s, &e) == DSM_OK && dsm_session_length(s) == 4);
        d.prompt = p2; d.n_prompt = 7; sc.text = "\n\nc$"; sc.from = -1; CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && !strcmp(said, "[c]e"));
        d.prompt = p3; d.n_prompt = 6; sc.text = "\nc$"; sc.from = -1; CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && !strcmp(said, "[\nc]e") && dsm_turn_end(s, &e) == DSM_OK && dsm_session_length(s) == 8); }
    dsm_session_close(&s, NULL); dsm_model_close(&m, NULL);

    /* a vocabulary without the tokens: then the letters count */
    m = open_model("llama", 0, 2, 0); s = open_session(m, 64, 1);
    TELLS(tells(s, c, 1, "<think>\nab\n</think>\n\n^~$", 0, 0, NULL, 0), "<ab>[Hello]e");
    TELLS(tells(s, c, 1, "a <think> b$", 0, 0, NULL, 0), "[a <think> b]e");
    TELLS(tells(s, c, 1, "<think>abc...........^~$", 3, 0, NULL, 0), "<abc>[Hello]e");
    dsm_session_close(&s, NULL); dsm_model_close(&m, NULL);
    CHECK(live == 0);
}

/* A conversation on a warm cache and on cold ones: the same bits under .exact. */
static void warm_and_cold(void) {
    static const struct { const char *arch; int mla; } kinds[] = { { "llama", 0 }, { "qwen3", 0 }, { "deepseek", 0 }, { "deepseek2", 'A' }, { "deepseek2", 'C' } };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        dsm_model *m = open_model(kinds[k].arch, kinds[k].mla, k % 2 ? 0 : 1, 0); dsm_session *warm = open_session(m, 256, 1), *cold; dsm_message c[7]; dsm_error e; char answers[3][600]; int64_t before = 0;
        memset(c, 0, sizeof c);
        for (int turn = 0; turn < 3; turn++) {
            dsm_turn_desc d; uint64_t got; char first[sizeof said]; dsm_bias b[2]; size_t n = 0;
            memset(&d, 0, sizeof d);
            c[2 * turn].role = DSM_USER; c[2 * turn].text = turn == 0 ? "What is it?" : turn == 1 ? "And then?" : "Why?";
            d.messages = c; d.n_messages = (size_t)(2 * turn + 1); d.max_tokens = 24; d.n_top = 20; d.sampling.seed = 11; d.sampling.temperature = 1.2f; d.sampling.top_p = (float)DSM_OFF; d.sampling.repetition_penalty = 1.1f; d.think_budget = 5;
            b[0].id = END_THINK; b[0].add = 1; b[1].id = EOS; b[1].add = -9; d.sampling.bias = b; d.sampling.n_bias = 2;
            if (turn) before = calls;
            CHECK(turn_on(warm, &d, turn == 1 ? 50 : 0, &e) == DSM_DONE); got = bits; strcpy(first, said);
            CHECK(dsm_turn_end(warm, &e) == DSM_OK);
            if (turn) CHECK(calls == before); /* nothing allocates after open */
            cold = open_session(m, 256, 1);
            CHECK(turn_on(cold, &d, 0, &e) == DSM_DONE && bits == got && !strcmp(first, said));
            dsm_session_close(&cold, NULL);
            for (const char *p = first, *t = strchr(first, '['); t && *p; p++) if (p > t && *p != ']' && n < 500) answers[turn][n++] = *p;
            if (n) n--; /* the reason's letter */
            answers[turn][n] = 0;
            c[2 * turn + 1].role = DSM_ASSISTANT; c[2 * turn + 1].text = n ? answers[turn] : "x"; c[2 * turn + 1].size = n;
        }
        dsm_session_close(&warm, NULL); dsm_model_close(&m, NULL); CHECK(live == 0);
    }
    /* the same prompt once more, after a turn that left the logits of its last token changed by bias and penalty: cancelled at its first token, or ended there */
    {   static const int32_t start[] = { BOS, 'a', 'b', 'a', 'c' }, other[] = { BOS, 'a', 'b', 'x', 'y' }; dsm_model *m = open_model("deepseek2", 'A', 1, 0); dsm_session *s = open_session(m, 64, 1), *cold = open_session(m, 64, 1);
        dsm_turn_desc d; dsm_piece p; dsm_bias b[2]; dsm_error e; dsm_status status; uint64_t want; int32_t id;
        memset(&d, 0, sizeof d); d.prompt = start; d.n_prompt = 5; d.max_tokens = 8; d.n_top = 20; d.sampling.seed = 3; d.sampling.temperature = 1.5f; d.sampling.top_p = (float)DSM_OFF; d.sampling.repetition_penalty = 1.7f;
        b[0].id = 'q'; b[0].add = 2; b[1].id = 'a'; b[1].add = 1; d.sampling.bias = b; d.sampling.n_bias = 2;
        CHECK(turn_on(cold, &d, 0, &e) == DSM_DONE); want = bits;
        CHECK(dsm_turn_begin(s, &d, &e) == DSM_OK);
        do status = dsm_turn_next(s, 1, &p, &e); while (status == DSM_MORE && dsm_session_length(s) == 5);
        CHECK(status == DSM_MORE && dsm_session_length(s) == 6 && dsm_turn_end(s, &e) == DSM_OK); /* chosen, not computed */
        CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && bits == want);
        dsm_turn_end(s, &e); b[1].id = EOS; b[1].add = 1000;
        CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && why == DSM_REASON_END_TOKEN && dsm_session_length(s) == 5 && dsm_turn_end(s, &e) == DSM_OK);
        b[1].id = 'a'; b[1].add = 1;
        CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && bits == want);
        /* logits that a sync has made old are gone at once; and what dsm_session_next had begun is no longer begun after a sync */
        dsm_turn_end(s, &e);
        CHECK(dsm_session_sync(s, start, 5, NULL, &e) == DSM_OK && dsm_session_step(s, 0, &e) == DSM_DONE && dsm_session_logits(s, 4) != NULL);
        CHECK(dsm_session_sync(s, other, 5, NULL, &e) == DSM_OK && dsm_session_logits(s, 4) == NULL && dsm_session_step(s, 0, &e) == DSM_DONE && dsm_session_logits(s, 4) != NULL);
        CHECK(dsm_session_next(s, NULL, 1, &id, &e) == DSM_MORE);
        d.prompt = dsm_session_tokens(s); d.n_prompt = dsm_session_length(s); d.max_tokens = 2; CHECK(turn_on(s, &d, 0, &e) == DSM_DONE && dsm_turn_end(s, &e) == DSM_OK && dsm_session_step(s, 0, &e) == DSM_DONE);
        {   size_t n = dsm_session_length(s); CHECK(dsm_session_next(s, NULL, 0, &id, &e) == DSM_DONE && dsm_session_length(s) == n + 1 && dsm_session_tokens(s)[n] == id); }
        dsm_session_close(&s, NULL); dsm_session_close(&cold, NULL); dsm_model_close(&m, NULL); CHECK(live == 0); }
}

/* What dsm_plan says is what is taken, to the byte; a header-only model is enough. */
static void plans(void) {
    static const struct { const char *arch; int mla; } kinds[] = { { "llama", 0 }, { "qwen2", 0 }, { "qwen3", 0 }, { "deepseek", 0 }, { "deepseek2", 'A' }, { "deepseek2", 'C' } }; static const int contexts[] = { 1, 100, 4096 };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        dsm_model *header = open_model(kinds[k].arch, kinds[k].mla, 0, 1), *m; dsm_memory plan[3][4], now; dsm_session_desc d[4]; dsm_error e; int64_t bytes; dsm_session *s; int most;
        memset(d, 0, sizeof d); d[1].kv = DSM_KV_F32; d[1].activations = DSM_ACTIVATIONS_F32; d[2].kv = DSM_KV_Q8_0; d[2].chunk = 7; d[2].exact = 1; d[3].all_logits = 1;
        for (int i = 0; i < 3; i++) for (int j = 0; j < 4; j++) { d[j].context = contexts[i]; CHECK(dsm_plan(header, d + j, &plan[i][j], &e) == DSM_OK); }
        CHECK(dsm_plan_context(header, d, plan[1][0].session_bytes, &most, &e) == DSM_OK && most >= 100);
        CHECK(dsm_plan_context(header, d, 10, &most, &e) == DSM_OK && most == 0);
        dsm_model_close(&header, NULL); CHECK(live == 0);
        m = open_model(kinds[k].arch, kinds[k].mla, 0, 0); bytes = live;
        for (int i = 0; i < 3; i++) for (int j = 0; j < 4; j++) {
            d[j].context = contexts[i];
            CHECK(dsm_plan(m, d + j, &now, &e) == DSM_OK && !memcmp(&now, &plan[i][j], sizeof now) && (int64_t)now.model_bytes == bytes);
            if ((int64_t)now.model_bytes != bytes && !i && !j) printf("model: planned %lld, taken %lld\n", (long long)now.model_bytes, (long long)bytes);
            if (memcmp(&now, &plan[i][j], sizeof now) && !i && !j) printf("header-only: model %lld session %lld stacks %lld, opened: %lld %lld %lld\n", (long long)plan[i][j].model_bytes, (long long)plan[i][j].session_bytes, (long long)plan[i][j].thread_stacks, (long long)now.model_bytes, (long long)now.session_bytes, (long long)now.thread_stacks);
            s = NULL; CHECK(dsm_session_open(&s, m, d + j, &e) == DSM_OK && live - bytes == (int64_t)now.session_bytes);
            dsm_session_close(&s, NULL); CHECK(live == bytes);
            {   dsm_session_desc a = d[j]; size_t n = (size_t)now.session_bytes; char *raw = (char *)malloc(n + 64), *at = raw + (64 - (uintptr_t)raw % 64) % 64; /* in the caller's memory */
                a.arena = at; a.arena_size = n; CHECK(dsm_session_open(&s, m, &a, &e) == DSM_OK && live == bytes); dsm_session_close(&s, NULL);
                a.arena_size = n - 1; CHECK(dsm_session_open(&s, m, &a, &e) == DSM_E_MEMORY && s == NULL);
                a.arena = at + 1; a.arena_size = n; CHECK(dsm_session_open(&s, m, &a, &e) == DSM_E_ARGUMENT); free(raw); } }
        dsm_model_close(&m, NULL); CHECK(live == 0);
    }
}

int main(void) {
    text_alone();
    scripted();
    warm_and_cold();
    plans();
    g_free(&file);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
