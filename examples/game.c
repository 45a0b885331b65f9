/* game: four characters that share one system prompt and speak while the frames go on.

       cc -O3 examples/game.c -o game -lm -lpthread && ./game [MODEL.gguf]

   Every frame has 16.6 ms, of which the characters get 2. The system prompt is computed once, in a session of its own, and every character's session takes
   it over with dsm_session_fork. All memory is known beforehand and comes from one block; after the level is loaded nothing allocates. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHARACTERS = 4, CONTEXT = 512, FRAME_US = 16666, BUDGET_US = 2000 };
typedef struct character { const char *name; dsm_session *session; char text[2048]; size_t n; int speaking; dsm_message messages[2]; } character;

static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u; }
static int failed(const dsm_error *error) { fprintf(stderr, "game: %s\n", error->text); return 1; }

int main(int argc, char **argv) {
    static const char rules[] = "You live in a small village by the sea. Answer in one sentence.";
    static const char *const lines[CHARACTERS] = { "What is 12 + 30?", "Who are you?", "Switch on the light in the kitchen.", "Which is largest: 7, 31 or 12?" };
    static character cast[CHARACTERS] = { { "Ada", NULL, "", 0, 0, { { DSM_SYSTEM, NULL, 0 }, { DSM_USER, NULL, 0 } } } };
    dsm_model_desc file = {0}; dsm_session_desc room = {0}; dsm_memory memory; dsm_error error; dsm_model *model = NULL; dsm_session *shared = NULL;
    dsm_turn_desc turn = {0}; char *block; int frame, speaking = 0, next = 0; uint64_t longest = 0, slice; size_t prefix;
    static const char *const names[CHARACTERS] = { "Ada", "Bo", "Cleo", "Dov" };
    if (argc > 1 && !strcmp(argv[1], "--help")) { printf("usage: game [MODEL]\n"); return 0; }
    file.path = argc > 1 ? argv[1] : "examples/pocket.gguf";
    room.context = CONTEXT; room.chunk = 64;
    if (dsm_model_open(&model, &file, &error) < 0 || dsm_plan(model, &room, &memory, &error) < 0) return failed(&error);

    /* one block for all sessions; each lies at a multiple of 64 */
    slice = (memory.session_bytes + 63) / 64 * 64;
    block = (char *)malloc((size_t)slice * (CHARACTERS + 1) + 64);
    if (!block) { fprintf(stderr, "game: out of memory\n"); return 1; }
    room.arena = block + (64 - (uintptr_t)block % 64) % 64; room.arena_size = (size_t)slice;
    if (dsm_session_open(&shared, model, &room, &error) < 0) return failed(&error);
    for (int i = 0; i < CHARACTERS; i++) {
        room.arena = (char *)room.arena + slice;
        if (dsm_session_open(&cast[i].session, model, &room, &error) < 0) return failed(&error);
        cast[i].name = names[i];
        cast[i].messages[0].role = DSM_SYSTEM; cast[i].messages[0].text = rules;
        cast[i].messages[1].role = DSM_USER; cast[i].messages[1].text = lines[i];
    }

    /* the level loads: what all prompts begin with is computed once and shared */
    {   static int32_t first[CONTEXT], second[CONTEXT]; size_t n = 0, m = 0;
        if (dsm_chat_format(model, cast[0].messages, 2, DSM_THINK_FREE, first, CONTEXT, &n, &error) < 0 || dsm_chat_format(model, cast[1].messages, 2, DSM_THINK_FREE, second, CONTEXT, &m, &error) < 0) return failed(&error);
        for (prefix = 0; prefix < n && prefix < m && first[prefix] == second[prefix]; prefix++) {}
        if (dsm_session_sync(shared, first, prefix, NULL, &error) < 0 || dsm_session_step(shared, 0, &error) < 0) return failed(&error);
        for (int i = 0; i < CHARACTERS; i++) if (dsm_session_fork(cast[i].session, shared, prefix, &error) < 0) return failed(&error);
        printf("%llu tokens shared, %.1f MB a character\n", (unsigned long long)prefix, (double)slice / 1e6); }

    turn.n_messages = 2; turn.max_tokens = 120;
    for (frame = 0; frame < 100000; frame++) {
        uint64_t start = now(), used = 0;
        if (frame % 20 == 0 && frame / 20 < CHARACTERS) { /* somebody walks up to a character */
            character *who = &cast[frame / 20];
            turn.messages = who->messages; turn.sampling.temperature = DSM_GREEDY;
            if (dsm_turn_begin(who->session, &turn, &error) < 0) return failed(&error);
            who->speaking = 1; speaking++;
        }
        if (!speaking && frame / 20 >= CHARACTERS) break;
        /* whoever has waited longest works first; 2 ms in all */
        for (int i = 0; i < CHARACTERS && used < BUDGET_US; i++, next = (next + 1) % CHARACTERS) {
            character *who = &cast[next]; dsm_piece piece; dsm_status status;
            if (!who->speaking) continue;
            status = dsm_turn_next(who->session, BUDGET_US - used, &piece, &error);
            if (status < 0) return failed(&error);
            if (piece.kind == DSM_PIECE_TEXT && who->n + piece.size < sizeof who->text) { memcpy(who->text + who->n, piece.text, piece.size); who->n += piece.size; }
            if (status == DSM_DONE) {
                if (dsm_turn_end(who->session, &error) < 0) return failed(&error);
                who->speaking = 0; speaking--; printf("frame %4d  %-5s %.*s\n", frame, who->name, (int)who->n, who->text);
            }
            used = now() - start;
        }
        if (used > longest) longest = used;
        /* here the game draws; the demonstration only waits */
        if (used < FRAME_US) { struct timespec t; t.tv_sec = 0; t.tv_nsec = (long)(FRAME_US - used) * 1000; nanosleep(&t, NULL); }
    }
    printf("%d frames, at most %.2f ms of one for the characters\n", frame, (double)longest / 1000);
    for (int i = 0; i < CHARACTERS; i++) dsm_session_close(&cast[i].session, NULL);
    dsm_session_close(&shared, NULL); dsm_model_close(&model, NULL); free(block);
    return 0;
}
