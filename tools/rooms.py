#!/usr/bin/env python3
"""Checks that dsmoe.h keeps to its plan of rooms.

    tools/rooms.py [dsmoe.h]               one line per room, then what is wrong
    tools/rooms.py --self-test [dsmoe.h]   plants every kind of violation in a copy and expects it to be found

The rooms stand in one order, every function carries the tag of its room, and some things may be done in one room only. One-pass C already proves
that calls go downwards as long as Part III declares no function before it defines it; that is checked here too.
"""
import os
import re
import sys

# room, what its functions (and tables) may be called, in the order of the header
ROOMS = [
    ("base", r"dsm__\w+"),
    ("os", r"dsm__os_\w+"),
    ("mem", r"dsm__mem_\w+"),
    ("err", r"dsm__err(_\w+)?|dsm__[tsiu]"),  # the four make an argument of a message
    ("num", r"dsm__num_\w+"),
    ("fmt", r"dsm__fmts?(_\w+)?"),
    ("cpu", r"dsm__cpu_\w+"),
    ("kern", r"dsm__k_\w+"),
    ("pool", r"dsm__pool_\w+"),
    ("file", r"dsm__file_\w+"),
    ("tok", r"dsm__tok_\w+"),
    ("arch", r"dsm__arch_\w+"),
    ("kv", r"dsm__kv_\w+"),
    ("nn", r"dsm__nn_\w+"),
    ("backend", r"dsm__be_\w+"),
    ("run", r"dsm__run_\w+"),
    ("pick", r"dsm__pick_\w+"),
    ("turn", r"dsm__turn_\w+"),
    ("desk", r"dsm_[a-z]\w*|dsm__desk_\w+"),
]
LINE_MAX = 200
PART1_MAX, PART2_MAX = 250, 800

STANDARD_HEADERS = {"limits.h", "math.h", "stdarg.h", "stddef.h", "stdint.h", "string.h", "float.h"}
INTRINSIC_HEADERS = {"immintrin.h", "arm_neon.h", "x86intrin.h", "emmintrin.h", "arm_acle.h", "wasm_simd128.h", "riscv_vector.h"}
CPU_HEADERS = {"cpuid.h"}
INTRINSICS = re.compile(r"\b(_mm\d*_\w+|__m(?:64|128|256|512)[id]?|_xgetbv|__mmask\d+|v\w+_(?:[suf]|bf|p)(?:8|16|32|64)(?:_\w+)?|(?:u?int|float|poly|bfloat)(?:8|16|32|64)x\d+(?:x\d)?_t)\b")
ALLOCATION = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|free|posix_memalign|aligned_alloc|alloca|strdup)\s*\(")
CALLBACKS = re.compile(r"(?:\.|->)\s*(alloc|free)\s*\)?\s*\(")
OS_CALLS = re.compile(r"\b(pthread_\w+\s*\(|(?<![\w.>])(?:open|close|read|pread|write|mmap|munmap|madvise|fstat|stat|sysconf|clock_gettime|nanosleep|getauxval|fopen|fread|lseek)\s*\()")
NEVER = re.compile(r"(?<![\w.>])(exit|_exit|abort|assert|printf|fprintf|sprintf|snprintf|vsnprintf|puts|fputs|getenv|system|setenv|perror)\s*\(")
MODEL_NAMES = {"llama", "qwen2", "qwen3", "deepseek", "deepseek2"}
KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "do", "else", "defined", "__attribute__", "__asm__", "__typeof__", "_Pragma", "_Static_assert"}


def blank(text):
    """The same text, as long and with the same lines, without comments and with the insides of strings blanked. Also the strings."""
    out, strings, i, n = [], [], 0, len(text)
    while i < n:
        two = text[i:i + 2]
        if two == "/*":
            j = text.find("*/", i + 2)
            j = n if j < 0 else j + 2
            out.append(re.sub(r"[^\n]", " ", text[i:j]))
            i = j
        elif two == "//":
            j = text.find("\n", i)
            j = n if j < 0 else j
            out.append(" " * (j - i))
            i = j
        elif text[i] in "\"'":
            q, j = text[i], i + 1
            while j < n and text[j] != q and text[j] != "\n":
                j += 2 if text[j] == "\\" else 1
            if q == '"':
                strings.append((i, text[i + 1:j]))
            out.append(q + " " * (min(j, n) - i - 1) + (q if j < n else ""))
            i = j + 1
        else:
            out.append(text[i])
            i += 1
    return "".join(out), strings


IF, ELSE, ENDIF = "\x01", "\x02", "\x03"


def without_preprocessor(code):
    """Directives become empty lines; conditionals leave a mark, since their branches may open or close the same brace twice."""
    lines, skip = code.split("\n"), False
    for i, line in enumerate(lines):
        if skip or line.lstrip().startswith("#"):
            m = None if skip else re.match(r"\s*#\s*(if|el|endif)", line)
            skip = line.endswith("\\")
            lines[i] = {"if": IF, "el": ELSE, "endif": ENDIF}[m.group(1)] if m else ""
    return "\n".join(lines)


def top_level(code):
    """(line, text, kind) of each thing at file level; kind is '{' for a body, ';' for a declaration."""
    depth, line, begin, things, text, saved = 0, 1, 1, [], [], []
    i, n = 0, len(code)
    while i < n:
        c = code[i]
        if c == "\n":
            line += 1
        if c == IF:
            saved.append((depth, list(text)))
        elif c == ELSE and saved:
            depth, text = saved[-1][0], list(saved[-1][1])
        elif c == ENDIF and saved:
            saved.pop()
        elif depth == 0:
            if c == "{":
                head = "".join(text).strip()
                if re.fullmatch(r'extern\s*"\s*C?\s*"', head):  # its braces do not count
                    text = []
                    i += 1
                    continue
                depth, kind_line = 1, begin
            elif c == ";":
                things.append((begin, " ".join("".join(text).split()), ";"))
                text = []
            elif c == "}":
                text = []
            else:
                if not "".join(text).strip() and not c.isspace():
                    begin, text = line, []
                text.append(c)
        else:
            if c == "{":
                depth += 1
            elif c == "}":
                depth -= 1
                if depth == 0:
                    head = " ".join("".join(text).split())
                    things.append((kind_line, head, "{"))
                    if head.endswith(")") or re.search(r"\)\s*(?:__attribute__\s*\(\(.*\)\)|DSM__\w+)?$", head):
                        text = []
                    else:
                        text = list(head + " {} ")  # struct, enum, array: goes on to its ;
                        begin = kind_line
        i += 1
    return things


def function_of(head, makers=()):
    """The name of the function that this head defines or declares, or None. makers: macros that make names; then it is NAME(x)."""
    head = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", " ", head)
    head = re.sub(r"_Pragma\s*\([^)]*\)", " ", head)
    if re.match(r"\s*(typedef\b|struct\s+\w+\s*\{|union\b|enum\b)", head) or "=" in head or "{}" in head:
        return None
    for m in re.finditer(r"(\w+)\s*\(", head):
        name = m.group(1)
        if name in makers:
            made = re.match(r"\s*([\w, ]*?)\s*\)\s*(\(?)", head[m.end():])
            if made and made.group(2):
                return "%s(%s)" % (name, made.group(1))
            continue  # a type or an attribute
        if name in KEYWORDS or re.match(r"DSM__(FN|ATTR|UNUSED|TARGET)\w*$", name):
            continue
        if head[:m.start()].strip() == "" or re.match(r"\s*\*", head[m.end():]):
            return None  # a macro that stands alone; type (*name)(...)
        return name
    return None


class Check:
    def __init__(self, path, text=None):
        self.path = path
        self.root = os.path.dirname(os.path.abspath(path))
        self.text = text if text is not None else open(path, encoding="utf-8").read()
        self.problems, self.lines, self.checks = [], self.text.split("\n"), 0
        self.sizes = []

    def bad(self, line, what):
        self.problems.append((line, what))

    def line_at(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def run(self):
        self.parts()
        self.anchors()
        if self.rooms:
            self.map()
            for room in self.rooms:
                self.room(*room)
            self.messages()
        self.long_lines()
        return self.problems

    # ---- Parts I, II, III ----
    def parts(self):
        two = next((i for i, s in enumerate(self.lines, 1) if "PART II:" in s), 0)
        three = next((i for i, s in enumerate(self.lines, 1) if "PART III:" in s), 0)
        self.three = three
        self.checks += 4
        if not two or not three or two > three:
            self.bad(1, "the banners PART II: and PART III: are missing or out of order")
            return
        self.sizes = [("Part I", two - 1), ("Part II", three - two)]
        if two - 1 > PART1_MAX:
            self.bad(two, "Part I has %d lines, at most %d" % (two - 1, PART1_MAX))
        if three - two > PART2_MAX:
            self.bad(three, "Part II has %d lines, at most %d" % (three - two, PART2_MAX))
        if not re.match(r"/\* dsmoe\.h - v\d+\.\d+\.\d+ - .+ - .+", self.lines[0]):
            self.bad(1, "the first line must be: dsmoe.h - vX.Y.Z - one sentence - licence")
        m = re.search(r'#define DSM_VERSION "([\d.]+)"', self.text)
        if not m or not self.lines[0].startswith("/* dsmoe.h - v%s -" % m.group(1)):
            self.bad(1, "the first line and DSM_VERSION disagree")
        if not any("may stop reading here" in s for s in self.lines[two:three]):
            self.bad(three, "Part II does not end with the line that says so")

    # ---- Anchors: all, once, in order, and below PART III ----
    def anchors(self):
        found = [(m.group(1), i) for i, s in enumerate(self.lines, 1) for m in [re.match(r"// >>(\w+)$", s)] if m]
        names = [r[0] for r in ROOMS]
        self.checks += 1
        self.rooms = []
        for i, s in enumerate(self.lines, 1):
            if s.startswith("// >>") and not re.match(r"// >>\w+$", s):
                self.bad(i, "an anchor is exactly: // >>name")
            elif re.search(r"(^|[^:])//", blank(s)[0]) is None and s.startswith("//") and not s.startswith("// >>"):
                self.bad(i, "comments are /* */; // is for anchors")
        if [f[0] for f in found] != names:
            self.bad(found[0][1] if found else 1, "rooms are %s; expected %s" % (" ".join(f[0] for f in found), " ".join(names)))
            found = [f for f in found if f[0] in names]
        if found and found[0][1] < self.three:
            self.bad(found[0][1], "a room stands above PART III")
        end = next((i for i in range(len(self.lines), 0, -1) if "DSMOE_IMPLEMENTED" in self.lines[i - 1]), len(self.lines))
        stops = [f[1] for f in found[1:]] + [end]
        self.rooms = [(name, first, stop) for (name, first), stop in zip(found, stops)]

    # ---- The map of Part I: a line `   >>name   what it is` for every room ----
    def map(self):
        self.checks += 1
        head = self.lines[:next(i for i, s in enumerate(self.lines) if "PART II:" in s)]
        entries = [(m.group(1), i) for i, s in enumerate(head, 1) for m in [re.match(r"\s*>>(\w+)\s+\S", s)] if m]
        if [e[0] for e in entries] != [r[0] for r in ROOMS]:
            self.bad(entries[0][1] if entries else 1, "the map in Part I names: %s; the rooms are: %s" %
                     (" ".join(e[0] for e in entries) or "nothing", " ".join(r[0] for r in ROOMS)))

    # ---- One room ----
    def room(self, name, first, stop):
        lines = self.lines[first - 1:stop - 1]
        text = "\n".join(lines)
        code, strings = blank(text)
        plain = without_preprocessor(code)
        at = lambda offset: first + text.count("\n", 0, offset)
        self.checks += 8
        self.sizes.append((">>" + name, len(lines)))

        # a head comment of at most eight lines with the room's test
        m = re.match(r"// >>\w+\n/\*(.*?)\*/", text, re.S)
        if not m:
            self.bad(first, "%s: the anchor is followed by a comment that says what the room is" % name)
        else:
            if m.group(1).count("\n") >= 8 and name != "kern":
                self.bad(first, "%s: the head comment has %d lines, at most 8" % (name, m.group(1).count("\n") + 1))
            tests = re.findall(r"\btests/[\w/.-]*\w", m.group(1))
            if not re.search(r"\bTests?:", m.group(1)) or not tests:
                self.bad(first, "%s: the head comment does not name the room's test (Test: tests/x.c)" % name)
            for t in tests:
                if not os.path.exists(os.path.join(self.root, t)):
                    self.bad(first, "%s: the test %s does not exist" % (name, t))

        # functions: tag, no declaration before the definition
        tag = re.compile(dict(ROOMS)[name] + r"$")
        makers = set(m.group(1) for m in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(\w+\)[^\n]*\bdsm__k_", code, re.M)) if name == "kern" else set()
        for line, head, kind in top_level(plain):
            f = function_of(head, makers)
            if not f:
                continue
            line += first - 1
            if kind == ";":
                self.bad(line, "%s: %s is declared before it is defined; Part III has no forward declarations" % (name, f))
            elif "(" not in f and not tag.match(f):  # a macro that makes names gives the tag itself
                self.bad(line, "%s: %s does not carry the room's tag (%s)" % (name, f, dict(ROOMS)[name]))

        # headers
        for m in re.finditer(r"^[ \t]*#[ \t]*include[ \t]*<([^>]+)>", code, re.M):
            h = m.group(1)
            ok = (name == "base" and h in STANDARD_HEADERS or name == "kern" and h in INTRINSIC_HEADERS or name == "cpu" and h in CPU_HEADERS or
                  name == "os" and h not in INTRINSIC_HEADERS | CPU_HEADERS | {"stdio.h", "assert.h"})
            if not ok:
                self.bad(at(m.start()), "%s: includes <%s>" % (name, h))
        for rule, rooms, what in ((INTRINSICS, ("kern",), "intrinsics"), (ALLOCATION, ("os",), "the system's allocator"), (CALLBACKS, ("mem",), "the allocator callbacks"),
                                  (OS_CALLS, ("os",), "the operating system"), (NEVER, (), "what the library never does")):
            if name not in rooms:
                for m in rule.finditer(code):
                    if name == "cpu" and m.group(1).startswith(("_xgetbv", "getauxval")) or name == "pool" and m.group(1).startswith("pthread_"):
                        continue  # the one thing each of them is for
                    self.bad(at(m.start()), "%s: %s: %s" % (name, what, re.sub(r"\s*\($", "", m.group(0))))
        if name not in ("os", "mem"):
            for m in re.finditer(r"\bdsm__os_(alloc|free)\b", code):
                self.bad(at(m.start()), "%s: memory comes from mem: %s" % (name, m.group(0)))
        if name != "desk":
            for m in re.finditer(r"\b(dsm_[a-z]\w*)\s*\(", plain):
                if m.group(1) in self.public():
                    self.bad(at(m.start()), "%s: calls the public %s" % (name, m.group(1)))
        if name not in ("arch", "tok"):
            for offset, s in strings:
                if s in MODEL_NAMES:
                    self.bad(at(offset), "%s: names a model: \"%s\"" % (name, s))

        # one capital letter is a macro in somebody's program (C, I, L, R, ... ): kern puts those that it uses aside, with push_macro
        seen = set()
        for m in re.finditer(r"(?<![\w.'\"\\])([A-Z])(?![\w'\"])", plain):
            if m.group(1) not in seen and 'push_macro(\\"%s\\")' % m.group(1) not in text:
                seen.add(m.group(1))
                self.bad(at(m.start()), "%s: the name %s is one capital letter" % (name, m.group(1)))

        # macros: a name of ours, or gone before the room ends
        for m in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", code, re.M):
            if not re.match(r"(DSM__|dsm__|DSM_[A-Z]|DSMOE_|_DEFAULT_SOURCE|_FILE_OFFSET_BITS)", m.group(1)) and \
                    not re.search(r"^[ \t]*#[ \t]*undef[ \t]+%s\b" % m.group(1), code[m.end():], re.M) and \
                    not all('%s_macro(\\"%s\\")' % (p, m.group(1)) in text for p in ("push", "pop")):
                self.bad(at(m.start()), "%s: the macro %s stays defined" % (name, m.group(1)))

    def public(self):
        if not hasattr(self, "_public"):
            self._public = set(re.findall(r"^DSMOE_API[^;(]*?\b(dsm_\w+)\s*\(", blank("\n".join(self.lines[:self.three]))[0], re.M))
        return self._public

    # ---- Every message is used ----
    def messages(self):
        self.checks += 1
        start = next((i for i, s in enumerate(self.lines) if re.match(r"#define DSM__ERR_LIST\(", s)), None)
        if start is None:
            self.bad(self.three, "there is no DSM__ERR_LIST")
            return
        end = start
        while self.lines[end].endswith("\\"):
            end += 1
        listed = [(m.group(1), i + 1) for i in range(start, end + 1) for m in [re.match(r"\s*X\((\w+),", self.lines[i])] if m]
        rest = blank("\n".join(self.lines[:start] + self.lines[end + 1:]))[0]
        for name, line in listed:
            if not re.search(r"\bDSM__ERR_%s\b" % name, rest):
                self.bad(line, "err: nothing uses the message %s" % name)

    def long_lines(self):
        self.checks += 1
        for i, s in enumerate(self.lines, 1):
            if len(s) > LINE_MAX:
                self.bad(i, "%d columns, at most %d" % (len(s), LINE_MAX))
            if "\t" in s or s != s.rstrip():
                self.bad(i, "a tab, or blanks at the end of the line")


def plant(text, room, code):
    """The text with code put at the end of a room (before the next anchor)."""
    names = [r[0] for r in ROOMS]
    i = names.index(room)
    if i + 1 < len(names):
        return text.replace("// >>%s\n" % names[i + 1], code + "\n// >>%s\n" % names[i + 1], 1)
    at = text.rindex("#endif", 0, text.rindex("DSMOE_IMPLEMENTED"))
    at = text.rindex("\n#ifdef __cplusplus", 0, at)
    return text[:at] + "\n" + code + text[at:]


def self_test(path):
    text = open(path, encoding="utf-8").read()
    before = Check(path, text).run()
    known = set(w for _, w in before)
    once = ("the map in Part I names", "expected base", "disagree")  # said once, however often it is true
    filler = "/* line */\n"
    cases = [
        ("two rooms change places", text.replace("// >>num\n", "// >>tmp\n", 1).replace("// >>fmt\n", "// >>num\n", 1).replace("// >>tmp\n", "// >>fmt\n", 1), "expected base"),
        ("a room is missing", text.replace("// >>kv\n", "", 1), "expected base"),
        ("a wrong tag", plant(text, "num", "DSM__FN int dsm__tok_planted(int a) { return a; }"), "does not carry the room's tag"),
        ("a wrong tag over two lines", plant(text, "tok", "DSM__FN const char *\ndsm__nn_planted(const char *a,\n    int b) {\n    if (b) { a++; }\n    return a;\n}"), "does not carry the room's tag"),
        ("a public name in a room", plant(text, "nn", "DSM__FN int dsm_planted(void) { return 1; }"), "does not carry the room's tag"),
        ("a helper without any tag", plant(text, "run", "static int planted(int a) { return a; }"), "does not carry the room's tag"),
        ("a forward declaration", plant(text, "file", "DSM__FN int dsm__file_planted(int (*f)(int), int b);"), "no forward declarations"),
        ("a forward declaration with a prototype's attribute", plant(text, "mem", "static int dsm__mem_planted(void) __attribute__((noinline));"), "no forward declarations"),
        ("an OS header", plant(text, "file", "#include <stdio.h>"), "includes <stdio.h>"),
        ("an OS header in pool", plant(text, "pool", "#include <pthread.h>"), "includes <pthread.h>"),
        ("an intrinsics header", plant(text, "nn", "# include <immintrin.h>"), "includes <immintrin.h>"),
        ("x86 intrinsics", plant(text, "nn", "DSM__FN void dsm__nn_planted(void) { (void)_mm256_setzero_ps(); }"), "intrinsics: _mm256_setzero_ps"),
        ("ARM intrinsics", plant(text, "fmt", "DSM__FN void dsm__fmt_planted(float *a) { vst1q_f32(a, vdupq_n_f32(0)); }"), "intrinsics: vst1q_f32"),
        ("a vector type", plant(text, "nn", "typedef struct dsm__nn_planted { float32x4_t a; } dsm__nn_planted;"), "intrinsics: float32x4_t"),
        ("malloc", plant(text, "tok", "DSM__FN void *dsm__tok_planted(void) { return malloc(1); }"), "the system's allocator: malloc"),
        ("free", plant(text, "desk", "DSM__FN void dsm__desk_planted(void *p) { free(p); }"), "the system's allocator: free"),
        ("an allocator callback", plant(text, "run", "DSM__FN void dsm__run_planted(const dsm_allocator *a) { a->free(a->user, 0, 0); }"), "the allocator callbacks"),
        ("memory past mem", plant(text, "tok", "DSM__FN void *dsm__tok_planted(void) { return dsm__os_alloc(1, 1); }"), "memory comes from mem"),
        ("an OS call", plant(text, "file", "DSM__FN int dsm__file_planted(void) { return open(\"x\", 0); }"), "the operating system: open"),
        ("printing", plant(text, "arch", "DSM__FN void dsm__arch_planted(void) { printf(\"x\"); }"), "never does: printf"),
        ("the environment", plant(text, "os", "DSM__FN void dsm__os_planted(void) { (void)getenv(\"x\"); }"), "never does: getenv"),
        ("exit", plant(text, "os", "DSM__FN void dsm__os_planted(void) { exit(1); }"), "never does: exit"),
        ("a call upwards through the desk", plant(text, "run", "DSM__FN const char *dsm__run_planted(void) { return dsm_version(); }"), "calls the public dsm_version"),
        ("a model's name", plant(text, "nn", "static const char dsm__nn_planted[] = \"deepseek2\";"), "names a model"),
        ("a macro that stays", plant(text, "kv", "#define planted 1"), "the macro planted stays defined"),
        ("a message that nothing uses", text.replace("#define DSM__ERR_LIST(X) \\\n", "#define DSM__ERR_LIST(X) \\\n    X(PLANTED, DSM_E_IO, \"planted\") \\\n", 1), "nothing uses the message PLANTED"),
        ("a test that does not exist", text.replace("// >>num\n/*", "// >>num\n/* Test: tests/planted.c", 1), "tests/planted.c does not exist"),
        ("no test named", text.replace("// >>nn\n/*", "// >>nn\n/* no */ /*", 1).replace("// >>mem\n/*", "// >>mem\n/* no */ /*", 1), "does not name the room's test"),
        ("no head comment", text.replace("// >>num\n/*", "// >>num\nint dsm__num_planted; /*", 1), "followed by a comment"),
        ("a long line", plant(text, "num", "/* " + "x" * LINE_MAX + " */"), "columns, at most"),
        ("a tab", plant(text, "num", "\t/* */"), "a tab"),
        ("Part I too long", text.replace("\n", "\n" + filler * (PART1_MAX + 1), 1), "Part I has"),
        ("Part II too long", text.replace("#define DSM_VERSION ", filler * (PART2_MAX + 1) + "#define DSM_VERSION ", 1), "Part II has"),
        ("another version", text.replace("#define DSM_VERSION \"", "#define DSM_VERSION \"9", 1), "disagree"),
        ("a line of the map less", re.sub(r"\n\s*>>kern\s[^\n]*", "", text, count=1) if re.search(r"\n\s*>>kern\s", text) else text.replace("\n", "\n   >>base the first\n", 1), "the map in Part I names"),
        ("a macro of kern that stays", plant(text, "kern", "#undef ROWS2\n#define ROWS2 1"), "the macro ROWS2 stays defined"),
        ("a wrong tag in a branch", plant(text, "num", "#if DSM__X\nDSM__FN int dsm__num_a(int a) { if (a) {\n#else\nDSM__FN int dsm__tok_b(int a) { {\n#endif\n    } return a; }"), "dsm__tok_b does not carry"),
        ("a wrong tag after branches", plant(text, "num", "DSM__FN int dsm__num_a(int a) {\n#if DSM__X\n if (a) {\n#else\n if (!a) {\n#endif\n    } return a; }\nstatic int nn_c(void) { return 1; }"), "nn_c does not carry"),
        ("a capital letter", plant(text, "nn", "DSM__FN int dsm__nn_planted(int V) { return V; }"), "the name V is one capital letter"),
        ("a // comment", plant(text, "kv", "// planted"), "comments are /* */"),
    ]
    good = [  # what must not be taken for a violation
        ("names in comments and strings", plant(text, "nn", "/* malloc( exit( _mm256_add_ps( dsm_version( #include <stdio.h> */\nstatic const char *const dsm__nn_planted = \"printf(exit(\";")),
        ("a struct of function pointers", plant(text, "pool", "typedef struct dsm__pool_planted { int (*run)(void *user, int i); void (*stop)(void); } dsm__pool_planted;")),
        ("a table of functions", plant(text, "backend", "static int (*const dsm__be_planted[2])(int) = { 0, 0 };")),
        ("a member that is called like a function of libc", plant(text, "nn", "typedef struct dsm__nn_planted { int (*exit)(int); } dsm__nn_planted;\nDSM__FN int dsm__nn_planted2(dsm__nn_planted *a) { return (a->exit)(1); }")),
    ]
    passed = failed = 0
    count = lambda problems, expected: sum(expected in w for _, w in problems)
    for what, changed, expected in cases:
        if count(Check(path, changed).run(), expected) > count(before, expected) or changed != text and expected in once and count(before, expected):
            passed += 1
        else:
            failed += 1
            print("FAILED: planted %s, and it was not found%s" % (what, "" if changed != text else " (nothing was planted)"))
    for what, changed in good:
        found = [(n, w) for n, w in Check(path, changed).run() if w not in known]
        if found:
            failed += 1
            print("FAILED: %s, and it was taken for a violation: line %d: %s" % (what, found[0][0], found[0][1]))
        else:
            passed += 1
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


def main():
    args = [a for a in sys.argv[1:] if a != "--self-test"]
    path = args[0] if args else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dsmoe.h")
    if "--self-test" in sys.argv:
        return self_test(path)
    c = Check(path)
    problems = c.run()
    long = sum(len(s) > 150 for s in c.lines)
    print("lines: " + ", ".join("%s %d" % s for s in c.sizes) + ", in all %d; %d have more than 150 columns" % (len(c.lines) - 1, long))
    for line, what in sorted(problems):
        print("%s:%d: %s" % (path, line, what))
    bad = len(problems)
    print("%d passed, %d failed, 0 skipped" % (max(c.checks - bad, 0), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
