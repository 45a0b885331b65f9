/* The API first, by way of somebody's header; the implementation later in the same unit. */
#include "../../dsmoe.h"
typedef struct npc { dsm_session *session; dsm_error error; } npc;
int dsm_late_test(npc *p);
#define DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
int dsm_late_test(npc *p) { return p->session ? (int)p->error.status : DSM_VERSION_NUMBER; }
