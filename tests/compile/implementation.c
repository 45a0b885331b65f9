/* The implementation, as a user's program has it, and the header once more, with and without the switch. */
#define DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
#include "../../dsmoe.h"
#undef DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
