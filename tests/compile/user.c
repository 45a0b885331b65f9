/* A second translation unit: the API only, included twice. Its strings must come from the implementation. */
#include "../../dsmoe.h"
#include "../../dsmoe.h"
#include <stdio.h>
#include <string.h>

static int callback(void *user, uint64_t offset, void *to, size_t n) { (void)user; (void)offset; memset(to, 0, n); return 1; }

int main(void) {
    dsm_model_desc desc; dsm_session_desc session; dsm_turn_desc turn; dsm_error error; dsm_model *model = NULL;
    memset(&desc, 0, sizeof desc); memset(&session, 0, sizeof session); memset(&turn, 0, sizeof turn); memset(&error, 0, sizeof error);
    desc.reader.read_at = callback; desc.reader.size = 64;
    if (strcmp(dsm_version(), DSM_VERSION)) { printf("header %s, implementation %s\n", DSM_VERSION, dsm_version()); return 1; }
    if (strcmp(dsm_status_name(DSM_E_IO), "DSM_E_IO")) { printf("the name of DSM_E_IO is %s\n", dsm_status_name(DSM_E_IO)); return 1; }
    if (dsm_model_open(&model, &desc, &error) >= 0 || model || !error.text[0]) { printf("a reader that fails was opened\n"); return 1; }
    return 0;
}
