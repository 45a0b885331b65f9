#!/usr/bin/env python3
"""Writes the table of Unicode classes into dsmoe.h, between its two markers.

    python3 tools/unicode.py [--check]

Source: tools/unicode_ranges_15_1.txt (facts of the Unicode character database 15.1, Unicode License V3) and the set of cased letters of the deepseek-llm
pre-tokeniser, below. --check changes nothing and says by its exit code whether the header is up to date.

The table is a list of transitions in order of code points. One is a digit of base 91, value = state + 8 * step, and the digits of a long step:
step 0..8: step + 1 code points further; 9: one more digit; 10: three more digits. A transition never crosses a line.
"""
import os, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGIN, END = '/* unicode: written by tools/unicode.py */\n', '/* end of unicode */\n'
STATES = ['', 'W', 'L', 'A', 'M', 'N', 'P', 'S']  # A: a letter of the cased set
CASED = '''41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376-377 37B-37D 37F 386 388-38A 38C 38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556
10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D
1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D
212F-2134 2139 213C-213F 2145-2149 214E 2183-2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2-2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF
FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943'''
ALPHABET = [chr(c) for c in range(33, 127) if chr(c) not in '"\\?']


def states():
    kind = [0] * 0x110001
    for line in open(os.path.join(ROOT, 'tools', 'unicode_ranges_15_1.txt'), encoding='ascii'):
        if line.startswith('#'):
            continue
        name, first, last = line.split()
        if name in STATES:
            for c in range(int(first, 16), int(last, 16) + 1):
                assert kind[c] == 0
                kind[c] = STATES.index(name)
    for item in CASED.split():
        ends = item.split('-')
        for c in range(int(ends[0], 16), int(ends[-1], 16) + 1):
            assert STATES[kind[c]] == 'L'
            kind[c] = STATES.index('A')
    return kind


def table():
    kind, at, state, lines, line = states(), 0, 0, [], ''
    for c in range(0x110001):
        if kind[c] == state:
            continue
        step, state = c - at, kind[c]
        at = c
        if step <= 9:
            word = ALPHABET[state + 8 * (step - 1)]
        elif step < 91:
            word = ALPHABET[state + 72] + ALPHABET[step]
        else:
            word = ALPHABET[state + 80] + ALPHABET[step // 8281] + ALPHABET[step // 91 % 91] + ALPHABET[step % 91]
        if len(line) + len(word) > 144:
            lines.append(line)
            line = ''
        line += word
    lines.append(line)
    return 'static const char *const dsm__tok_unicode[] = {\n' + ''.join('    "%s",\n' % x for x in lines)[:-2] + ' };\n'


def main():
    path = os.path.join(ROOT, 'dsmoe.h')
    text = open(path, encoding='utf-8').read()
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    new = table()
    if '--check' in sys.argv[1:]:
        sys.exit(0 if old == new else 'dsmoe.h: the table of Unicode classes is not what tools/unicode.py writes')
    open(path, 'w', encoding='utf-8').write(before + BEGIN + new + END + after)


main()
