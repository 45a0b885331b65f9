/* After tgmath.h, which makes macros of exp, fabs, fma and the rest, and after inttypes and fenv. */
#include <fenv.h>
#include <inttypes.h>
#include <iso646.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdnoreturn.h>
#include <tgmath.h>
#define DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
