#include "x11_like.h"
#define DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
