/* Names that some header or some program defines as macros. Lower-case ones come from old windows.h, from BSD and from people; upper-case
   one-letter names from complex.h, from matrix code and from board support packages. */
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define swap(a, b) do { int t = a; a = b; b = t; } while (0)
#define small char
#define near
#define far
#define huge
#define interface struct
#define major(x) ((x) >> 8)
#define minor(x) ((x) & 255)
#define countof(a) (sizeof(a) / sizeof *(a))
#define B 1
#define C 2
#define D 3
#define E 4
#define F 5
#define G 6
#define H 7
#define I 8
#define J 9
#define K 10
#define L 11
#define M 12
#define N 13
#define O 14
#define P 15
#define Q 16
#define R 17
#define S 18
#define T 19
#define U 20
#define V 21
#define W 22
#define X(a) Y
#define Y 24
#define Z 25
#define OK 0
#define ERR -1
#define ERROR -1
#define BLOCK 256
#define ROWS 3
#define BITS 8
#define STATIC static
#define INLINE inline
#define UNUSED(x) (void)(x)
#define ALIGN(x) (((x) + 15) & ~15)
#define PAGE_SIZE 4096
#define FAIL return -1
#define CHECK(x) if (!(x)) return -1
#define CAT(a, b) a##b
#define STR(a) #a
#define TRUE 1
#define FALSE 0
#define DEBUG 1
#define NDEBUG 1
#define VERSION "9"
#define unix_time 1
#define linux_time 1
#define DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
/* They are still what they were. */
typedef char dsm_still_there[min(L, R) == 11 && C == 2 && I == 8 && ROWS == 3 && BITS == 8 && sizeof(small) == 1 ? 1 : -1];
