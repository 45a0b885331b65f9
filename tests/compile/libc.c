/* Are there headers of libc and of the compiler for these flags? */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif
int dsm_libc_test;
