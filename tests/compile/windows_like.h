/* What windows.h and what it includes define as macros, as far as it could hit somebody. */
#ifndef __cplusplus /* the C++ library's own headers do not survive these two */
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
#endif
#define small char
#define hyper long long
#define near
#define far
#define NEAR
#define FAR
#define pascal
#define cdecl
#define interface struct
#define CONST const
#define VOID void
#define IN
#define OUT
#define OPTIONAL
#define CALLBACK
#define WINAPI
#define APIENTRY
#define TRUE 1
#define FALSE 0
#define ERROR 0
#define NO_ERROR 0L
#define ERROR_SUCCESS 0L
#define DELETE (0x00010000L)
#define INFINITE 0xFFFFFFFF
#define IGNORE 0
#define STRICT 1
#define ABSOLUTE 1
#define RELATIVE 2
#define TRANSPARENT 1
#define OPAQUE 2
#define ALTERNATE 1
#define WINDING 2
#define DIFFERENCE 11
#define DOMAIN 1
#define SING 2
#define OVERFLOW 3
#define UNDERFLOW 4
#define PLOSS 6
#define TLOSS 5
#define THIS void
#define PURE = 0
#define MAX_PATH 260
#define PAGE_READONLY 2
#define FILE_MAP_READ 4
#define GENERIC_READ 0x80000000L
#define LOWORD(l) ((unsigned short)((l) & 0xffff))
#define HIWORD(l) ((unsigned short)((l) >> 16 & 0xffff))
#define GetMessage GetMessageW
#define CreateFile CreateFileW
#define LoadImage LoadImageW
#define SendMessage SendMessageW
#define DrawText DrawTextW
#define Yield()
#define RGB(r, g, b) ((r) | (g) << 8 | (b) << 16)
#define rad1 0x430
#define rad2 0x431
#define grp1 0x430
#define frm1 0x434
#define chx1 0x410
#define psh1 0x400
#define stc1 0x440
#define lst1 0x460
#define cmb1 0x470
#define edt1 0x480
#define ctl1 0x4a0
#define WAIT_TIMEOUT 258L
#define MEM_COMMIT 0x1000
#define MEM_RELEASE 0x8000
#define STATUS_PENDING 0x103
#define EXCEPTION_DEBUG_EVENT 1
#define TEXT(s) L##s
#define BOOL int
#define BYTE unsigned char
#define WORD unsigned short
#define DWORD unsigned long
#define INT int
#define UINT unsigned
#define CHAR char
#define SHORT short
#define LONG long
#define FLOAT float
