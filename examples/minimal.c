/* One question, one answer:  cc -O3 examples/minimal.c -o minimal -lm -lpthread && ./minimal MODEL.gguf "Add 17 and 25" */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>

int main(int argc, char **argv) {
    dsm_model_desc file = {0};
    dsm_session_desc room = {0};
    dsm_message message = {DSM_USER, argc > 2 ? argv[2] : "Hello", 0};
    dsm_turn_desc turn = {0};
    dsm_model *model = NULL;
    dsm_session *session = NULL;
    dsm_piece piece;
    dsm_error error;
    file.path = argc > 1 ? argv[1] : "examples/pocket.gguf";
    turn.messages = &message;
    turn.n_messages = 1;
    dsm_status status = dsm_model_open(&model, &file, &error);
    if (status >= 0) status = dsm_session_open(&session, model, &room, &error);
    if (status >= 0) status = dsm_turn_begin(session, &turn, &error);
    while (status >= 0 && (status = dsm_turn_next(session, 0, &piece, &error)) == DSM_MORE)
        if (piece.kind == DSM_PIECE_TEXT) fwrite(piece.text, 1, piece.size, stdout);
    if (status < 0) fprintf(stderr, "%s\n", error.text);
    else printf("\n");
    dsm_session_close(&session, NULL);
    dsm_model_close(&model, NULL);
    return status < 0;
}
