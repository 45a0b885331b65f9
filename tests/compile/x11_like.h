/* What X.h, Xlib.h and Xutil.h define as macros, as far as it could hit somebody. */
#define Bool int
#define Status int
#define True 1
#define False 0
#define None 0L
#define Always 2
#define Never 0
#define Success 0
#define Above 0
#define Below 1
#define Bottom 4
#define Complex 0
#define Convex 2
#define ControlMask (1 << 2)
#define CurrentTime 0L
#define CursorShape 0
#define DestroyNotify 17
#define EvenOddRule 0
#define Expose 12
#define FocusIn 9
#define KeyPress 2
#define KeyRelease 3
#define LockMask (1 << 1)
#define LSBFirst 0
#define MSBFirst 1
#define NoSymbol 0L
#define Nonconvex 1
#define Opposite 4
#define ParentRelative 1L
#define PointerWindow 0L
#define Unsorted 0
#define YSorted 1
#define XYBitmap 0
#define ZPixmap 2
#define AllocNone 0
#define BadAlloc 11
#define BadValue 2
#define Button1 1
#define Xor 6
#define GrayScale 1
#define StaticColor 2
#define AnyKey 0L
#define ConnectionNumber(d) ((d)->fd)
#define DefaultScreen(d) ((d)->screen)
#define RootWindow(d, s) ((d)->root)
#define XStringToKeysym(s) 0
typedef unsigned long XID;
typedef XID Window;
typedef XID Font;
typedef unsigned char KeyCode;
typedef struct Display Display;
