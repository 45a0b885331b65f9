/* Everything static: the library lives inside one unit, and what that does not call is no warning. */
#define DSMOE_API static
#define DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
#include "../../dsmoe.h"

int main(void) { return dsm_version()[0] == 0; }
