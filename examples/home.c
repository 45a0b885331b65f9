/* home: a daemon that turns spoken commands into JSON, one line in, one line out.

       cc -O3 examples/home.c -o home -lm -lpthread
       echo "Switch off the light in the kitchen" | ./home [-m MODEL.gguf] [-M MEGABYTES]

   For a board with little memory: the context is what fits into -M megabytes, the cache is q8_0, and what the prompts have in common stays in it between two
   lines. What is not one JSON object becomes {"error":...}, so whoever reads the lines can rely on them. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what) { fprintf(stderr, "home: %s\n", what); return 1; }
/* One JSON object, of strings, numbers, words, objects and arrays, and nothing behind it? Strict enough to be passed on. */
static const char *value(const char *p, int depth) {
    while (*p == ' ') p++;
    if (*p == '"') { for (p++; *p && *p != '"'; p++) { if ((unsigned char)*p < 32) return NULL; if (*p == '\\' && !*++p) return NULL; } return *p ? p + 1 : NULL; }
    if ((*p == '{' || *p == '[') && depth < 16) {
        const char end = *p == '{' ? '}' : ']';
        for (p++;;) {
            while (*p == ' ') p++;
            if (*p == end) return p + 1;
            if (end == '}') { if (*p != '"' || !(p = value(p, 16))) return NULL; while (*p == ' ') p++; if (*p++ != ':') return NULL; }
            if (!(p = value(p, depth + 1))) return NULL;
            while (*p == ' ') p++;
            if (*p == ',') p++; else if (*p != end) return NULL;
        }
    }
    {   size_t n = strspn(p, "+-.0123456789eE"); if (!n && (!strncmp(p, "true", 4) || !strncmp(p, "null", 4))) n = 4; if (!n && !strncmp(p, "false", 5)) n = 5; return n ? p + n : NULL; }
}
static int is_object(const char *p) { const char *end; while (*p == ' ') p++; end = *p == '{' ? value(p, 0) : NULL; while (end && *end == ' ') end++; return end && !*end; }

int main(int argc, char **argv) {
    static char line[4096], out[4096]; static const char *const stop[] = { "\n" };
    dsm_model_desc file = {0}; dsm_session_desc room = {0}; dsm_message message = { DSM_USER, line, 0 }; dsm_turn_desc turn = {0};
    dsm_model *model = NULL; dsm_session *session = NULL; dsm_error error; unsigned long long megabytes = 0;
    file.path = "examples/pocket.gguf";
    for (int i = 1; i < argc; i += 2) {
        if (!strcmp(argv[i], "-m") && i + 1 < argc) file.path = argv[i + 1];
        else if (!strcmp(argv[i], "-M") && i + 1 < argc) megabytes = strtoull(argv[i + 1], NULL, 10);
        else { fprintf(stderr, "usage: home [-m MODEL] [-M MEGABYTES of memory for the session]\n"); return strcmp(argv[i], "--help") ? 2 : 0; }
    }
    if (dsm_model_open(&model, &file, &error) < 0) return failed(error.text);
    room.kv = DSM_KV_Q8_0; room.context = 512; room.chunk = 32;
    if (megabytes) {
        if (dsm_plan_context(model, &room, megabytes << 20, &room.context, &error) < 0) return failed(error.text);
        if (room.context < 64) return failed("that is too little memory for this model");
        if (room.context > 4096) room.context = 4096;
    }
    if (dsm_session_open(&session, model, &room, &error) < 0) return failed(error.text);
    turn.messages = &message; turn.n_messages = 1; turn.sampling.temperature = DSM_GREEDY; turn.think = DSM_THINK_OFF;
    turn.max_tokens = 128; turn.stop = stop; turn.n_stop = 1;
    while (fgets(line, sizeof line, stdin)) {
        dsm_piece piece; dsm_status status; size_t n = 0; int whole = strchr(line, '\n') != NULL;
        line[strcspn(line, "\r\n")] = 0;
        if (!line[0]) continue;
        error.text[0] = 0; out[0] = 0;
        if (!whole && !feof(stdin)) { int c; while ((c = getchar()) != EOF && c != '\n') {} puts("{\"error\":\"the line is too long\"}"); fflush(stdout); continue; }
        status = dsm_turn_begin(session, &turn, &error);
        while (status >= 0 && (status = dsm_turn_next(session, 0, &piece, &error)) == DSM_MORE)
            if (piece.kind == DSM_PIECE_TEXT && n + piece.size < sizeof out) { memcpy(out + n, piece.text, piece.size); n += piece.size; out[n] = 0; }
        dsm_turn_end(session, NULL);
        if (status < 0) { fprintf(stderr, "home: %s\n", error.text); puts("{\"error\":\"the model failed\"}"); }
        else puts(is_object(out) ? out : "{\"error\":\"not understood\"}");
        if (fflush(stdout)) break;
    }
    dsm_session_close(&session, NULL); dsm_model_close(&model, NULL);
    return 0;
}
