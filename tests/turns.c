/* turns: what may be said, and when (first part: without a model); whole turns on a small model (second part).
   cc -std=c11 -I. tests/turns.c -o build/turns-test -lm -lpthread */
#define DSMOE_IMPLEMENTATION
#include "dsmoe.h"
#include <stdio.h>

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

int main(void) {
    text_alone();
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
