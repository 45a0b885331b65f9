#include "windows_like.h"
#define DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
