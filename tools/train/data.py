"""What Pocket learns: conversations made from a seed.

A task is a function rng -> Made: the turns of a short conversation, and two strings that identify its wording and its
facts (numbers, device and room).  One in HELD wordings and one in HELD facts, by their CRC, are for evaluation only: the
generator of the training data refuses both, so the splits cannot overlap.  To add a task: write its wordings
("[a|b]" is a choice, a leading "!" an imperative), a function, and a line in TASKS.
"""
import collections
import inspect
import json
import random
import re
import zlib

HELD = 8
Made = collections.namedtuple("Made", "turns wording facts")     # turns: (question, reasoning or None, answer)


def held(text):
    return zlib.crc32(text.encode()) % HELD == 0


# ---------------------------------------------------------------------------------------------------- wordings

BEFORE_ANY = ["", "", "", "", "", "", "", "please ", "hey, ", "hi, ", "hey pocket, ", "pocket, ", "ok, ", "okay ", "now ", "quick: ", "so, ",
              "hello, ", "hello! ", "well, ", "and ", "next: ", "um, ", "dear pocket, "]
BEFORE_ORDER = ["please ", "can you ", "could you ", "could you please ", "can you please ", "would you ", "will you ", "would you please ",
                "i want you to ", "i need you to ", "i'd like you to ", "go ahead and ", "kindly ", "now please ", "you should ", "just ",
                "hey, can you ", "help me ", "do me a favour and ", "be so kind and ", "pls ", "would you mind to ", "hi, please "]
BEFORE_QUESTION = ["tell me ", "tell me, ", "can you tell me ", "i want to know ", "quick question: ", "question: ", "do you know ",
                   "please tell me ", "let me know ", "could you tell me ", "i wonder ", "say, ", "one question, "]
AFTER = ["", "", "", "", "", "", ".", "?", "?", "!", " please", " please.", ", please", " please?", ", thanks", " thanks", " now", ", thank you",
         " for me", " right now", " if you can", " pls", ", ok?", "...", " quickly", " then", " today"]


def expand(rng, text):
    """Choose one alternative in every [a|b], innermost first."""
    while True:
        m = re.search(r"\[([^\[\]]*)\]", text)
        if not m:
            return text
        text = text[:m.start()] + rng.choice(m.group(1).split("|")) + text[m.end():]


def phrase(rng, wordings):
    """A wording with something polite around it; bare ones are never held out (wording "")."""
    core = expand(rng, rng.choice(wordings))
    order = core.startswith("!")
    core = core.lstrip("!")
    x = rng.random()
    before = rng.choice(BEFORE_ANY if x < 0.65 else BEFORE_ORDER if order else BEFORE_QUESTION if core.startswith(("wh", "how")) else BEFORE_ANY)
    after = rng.choice(AFTER)
    return before + core + after, "" if not before and after in ("", ".", "?") else before + core + after


SWAP = {a: b for a, b in zip("qwertyuiopasdfghjklzxcvbnm", "wqretyuoipsadfghkjlxzcvbmn")}


def typo(rng, text):
    """One slip of the fingers in a word of at least four letters."""
    words = [m for m in re.finditer(r"[a-z]{4,}", text)]
    if not words:
        return text
    m = rng.choice(words)
    w, i, x = m.group(), rng.randrange(1, len(m.group())), rng.random()
    if x < 0.35 and i < len(w) - 1:
        w = w[:i] + w[i + 1] + w[i] + w[i + 2:]
    elif x < 0.6:
        w = w[:i] + w[i + 1:]
    elif x < 0.8:
        w = w[:i] + w[i] + w[i:]
    else:
        w = w[:i] + SWAP[w[i]] + w[i + 1:]
    return text[:m.start()] + w + text[m.end():]


def dress(rng, text):
    """Capitals, typing mistakes and missing or doubled small things."""
    if rng.random() < 0.06:
        text = re.sub(r"\bthe ", "", text)
    if rng.random() < 0.10:
        text = typo(rng, text)
        if rng.random() < 0.25:
            text = typo(rng, text)
    if rng.random() < 0.02:
        text = text.replace(" ", "  ", 1)
    if rng.random() < 0.05:
        text = text.replace("'", "")
    if rng.random() < 0.01:
        text = text + rng.choice([" ", "\n", "!!", "??", " :)"])
    x = rng.random()
    if x < 0.35:
        text = text[:1].upper() + text[1:]
        return re.sub(r"\bi\b", "I", text)
    return text.upper() if x < 0.43 else text.title() if x < 0.46 else text


# ---------------------------------------------------------------------------------------------------- numbers

def number(rng, digits):
    d = rng.randint(1, digits)
    return rng.randint(0 if d == 1 else 10 ** (d - 1), 10 ** d - 1)


ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(n, dash):
    return ONES[n] if n < 20 else TENS[n // 10 - 2] + (dash + ONES[n % 10] if n % 10 else "")


def columns(op, a, b):
    """Digit steps from the right; a step's result is carry or borrow, then the digit."""
    carry, out = 0, []
    for x, y in zip(map(int, a[::-1]), map(int, b[::-1])):
        if op == "+":
            after, digit = divmod(x + y + carry, 10)
        else:
            after, digit = int(x - y - carry < 0), (x - y - carry) % 10
        out.append("%d%s%d%s%d=%d%d" % (x, op, y, op, carry, after, digit))
        carry = after
    return " ".join(out)


def sign(a, b):
    return "<" if a < b else ">" if a > b else "="


def reason_add(a, b):
    w = max(len(str(a)), len(str(b)))
    a, b = str(a).zfill(w), str(b).zfill(w)
    return "Add %s+%s: %s" % (a, b, columns("+", a, b))


def reason_subtract(a, b):
    """Compare from the left until the digits differ, put the larger first, then the columns."""
    w = max(len(str(a)), len(str(b)))
    x, y = str(a).zfill(w), str(b).zfill(w)
    seen = []
    for p, q in zip(x, y):
        seen.append(p + sign(p, q) + q)
        if p != q:
            break
    if a < b:
        x, y = y, x
    return "Subtract %s-%s: %s so %s%s-%s: %s" % (str(a).zfill(w), str(b).zfill(w), " ".join(seen), "-" if a < b else "",
                                                  x, y, columns("-", x, y))


def reason_best(numbers, largest):
    """The best so far, the next one, and which of them is larger."""
    w = max(len(str(n)) for n in numbers)
    z = [str(n).zfill(w) for n in numbers]
    best, out = z[0], []
    for n in z[1:]:
        out.append("%s %s%s" % (best, n, sign(best, n)))
        best = max(best, n) if largest else min(best, n)
    return "%s %s: %s" % ("Largest" if largest else "Smallest", " ".join(z), " ".join(out))


THING = "[apples|books|coins|euros|dollars|stamps|cards|eggs|points|pens|shells|marbles|tickets|cakes|friends|cats|plants|stones|sweets|balls|toys]"
NAME = "[anna|ben|tom|lisa|sam|mia|max|sara|my friend|my brother|my sister|he|she|the farmer|the shop]"

ADD = ["what is {a} + {b}", "what is {a}+{b}", "{a}+{b}", "{a} + {b}", "{a} + {b} =", "{a}+{b}=", "{a}+{b}=?", "!add {a} and {b}", "!add {a} to {b}", "{a} plus {b}", "{a} plus {b} [is|equals|makes]",
       "{a} plus {b} [is what|equals what|makes what]", "what is {a} plus {b}", "what's {a} plus {b}", "what's {a}+{b}", "what's {a} + {b}", "whats {a} + {b}", "!compute {a} + {b}", "!compute {a}+{b}",
       "!calculate {a}+{b}", "!calculate {a} plus {b}", "!work out {a} plus {b}", "!work out {a} + {b}", "how much is {a} plus {b}", "how much is {a} + {b}", "how much are {a} and {b} [together|added|combined|in total]",
       "[the|what is the|what's the|find the|give me the|compute the|tell me the|i need the] [sum|total] of {a} and {b}", "sum of {a} and {b}", "sum {a} and {b}", "total of {a} and {b}", "!sum up {a} and {b}", "!add up {a} and {b}",
       "what do {a} and {b} [make|give|add up to|come to|sum to] [together|in total|]", "{a} and {b} [added|together|in total|combined|summed|added together]", "{a} added to {b}", "what is {a} added to {b}", "what do you get [if|when] you add {a} and {b}",
       "what happens [if|when] [i|you|we] add {a} [and|to] {b}", "!increase {a} by {b}", "{a} increased by {b}", "what is {a} increased by {b}", "{b} more than {a}", "what is {b} more than {a}", "which number is {b} more than {a}", "what number is {b} larger than {a}",
       "[i have|i've got|i had|there are] {a} " + THING + " and [get|buy|find|receive|win] {b} more, how many [are there|do i have|is that|now|in total]", NAME + " has {a} " + THING + " and [gets|buys|finds] {b} more. how many [now|in total|are there|is that]",
       "{a} " + THING + " and {b} " + THING + ", how many [together|in total|altogether|is that]", "there are {a} " + THING + " [here|in a box|on the table] and {b} [there|in the other|on the floor]. how many [altogether|in total|together]",
       "[i|we] [paid|pay|spent|spend] {a} and then {b}, how much [in total|is that|altogether]", "first {a}, then {b} more: [how many|what is the total|how much]", "!put {a} and {b} together", "!combine {a} and {b}", "!solve {a} + {b}", "solve {a}+{b}", "!do {a} + {b}",
       "[the result of|the answer to|the value of|result of|answer of] {a} + {b}", "what is the [result|answer|value] of {a} + {b}", "!evaluate {a} + {b}", "!tell me what {a} plus {b} is", "!tell me {a} + {b}", "!give me {a} + {b}",
       "if i have {a} and add {b}, what [is it|do i have|do i get]", "start with {a} and add {b}", "take {a} and add {b}", "{a} & {b} [added|together]", "addition: {a} and {b}", "addition of {a} and {b}", "add: {a}, {b}", "plus: {a} and {b}", "{a} [add|and then plus] {b}",
       "what will {a} plus {b} be", "how many is {a} and {b}", "how many is {a} plus {b}", "what does {a} + {b} [equal|make|give]", "what does {a} plus {b} [equal|make|give]", "!count {a} and {b} together", "[my|the] [bill|price] is {a} plus {b}, how much [is it|is that|in total]",
       "it was {a}, it went up by {b}. what is it now", "the temperature is {a} and rises by {b}, what is it [then|now]", "{a} is raised by {b}, [what is it now|what is the result]", "{a} [people|guests|birds] and {b} more [come|arrive|join], how many [are there|now]"]
SUB = ["what is {a} - {b}", "what is {a}-{b}", "{a}-{b}", "{a} - {b}", "{a} - {b} =", "{a}-{b}=", "{a}-{b}=?", "!subtract {b} from {a}", "{a} minus {b}", "{a} minus {b} [is|equals|makes]", "{a} minus {b} [is what|equals what|makes what]", "what is {a} minus {b}",
       "what's {a} minus {b}", "what's {a}-{b}", "what's {a} - {b}", "whats {a} - {b}", "!compute {a} - {b}", "!compute {a}-{b}", "!calculate {a}-{b}", "!calculate {a} minus {b}", "!work out {a} minus {b}", "!work out {a} - {b}", "how much is {a} minus {b}", "how much is {a} - {b}",
       "!take {b} away from {a}", "!take {b} from {a}", "{a} take away {b}", "what is {a} take away {b}", "!remove {b} from {a}", "!deduct {b} from {a}", "{b} subtracted from {a}", "what is {b} subtracted from {a}", "{b} less than {a}", "what is {b} less than {a}", "which number is {b} less than {a}",
       "what number is {b} smaller than {a}", "{a} less {b}", "the difference {a} - {b}", "what is left [if|when] [i|you|we] take {b} [from|away from|off] {a}", "what is left of {a} after [taking|removing|spending|losing] {b}", "what remains [of {a} without {b}|if {b} is taken from {a}|when {b} is taken from {a}]",
       "!decrease {a} by {b}", "!reduce {a} by {b}", "{a} [decreased|reduced|lowered] by {b}", "what is {a} [decreased|reduced|lowered] by {b}", "!lower {a} by {b}", "[i have|i've got|i had|there are] {a} " + THING + " and [lose|spend|give away|sell|eat|break] {b}, [how many are left|what is left|how many remain|how many do i have now]",
       NAME + " has {a} " + THING + " and [loses|gives away|sells|drops] {b}. how many [are left|remain|now]", "of {a} " + THING + " {b} are [gone|lost|broken|sold], how many [are left|remain|are still there]", "[i|we] had {a} and [paid|spent] {b}, how much is left", "start with {a} and [take away|subtract|remove] {b}",
       "take {a} and subtract {b}", "!solve {a} - {b}", "solve {a}-{b}", "!do {a} - {b}", "[the result of|the answer to|the value of|result of|answer of] {a} - {b}", "what is the [result|answer|value] of {a} - {b}", "!evaluate {a} - {b}", "!tell me what {a} minus {b} is", "!tell me {a} - {b}", "!give me {a} - {b}",
       "if i have {a} and [take away|remove|subtract|lose] {b}, what [is left|do i have|remains]", "subtraction: {a} and {b}", "subtraction of {b} from {a}", "minus: {a} and {b}", "subtract: {a}, {b}", "what do you get [if|when] you [subtract|take] {b} from {a}", "what happens [if|when] [i|you|we] [subtract|take] {b} from {a}",
       "what will {a} minus {b} be", "how many is {a} minus {b}", "what does {a} - {b} [equal|make|give]", "what does {a} minus {b} [equal|make|give]", "{a} without {b}", "how much is {a} without {b}", "how many is {a} without {b}", "it was {a}, it went down by {b}. what is it now",
       "the temperature is {a} and [falls|drops] by {b}, what is it [then|now]", "there were {a} [people|guests|birds] and {b} [left|went home|flew away], how many are [left|still there]", "how [much|many] [is left|are left|remain] of {a} [if|when] {b} [are taken|go|are gone]", "{a} take {b}",
       "how much [more|larger|bigger] is {a} than {b}", "how many more is {a} than {b}", "by how much is {a} [more|larger] than {b}", "what is the difference of {a} and {b}", "what is the difference between {a} and {b}", "difference of {a} and {b}", "difference between {a} and {b}", "!subtract {b} off {a}",
       "what must [i|you|we] add to {b} to get {a}", "{b} plus what is {a}", "how much is missing from {b} to {a}", "how far is it from {b} to {a}"]
MAX_WORD = "[largest|biggest|greatest|highest|maximum|largest number|biggest number|highest number|greatest number|largest one|biggest one|highest value|largest value|maximum value|max]"
MIN_WORD = "[smallest|lowest|least|minimum|tiniest|smallest number|lowest number|smallest one|lowest one|least number|lowest value|smallest value|minimum value|min]"
BEST = ["which is the {w}: {l}", "which is the {w}, {l}", "which is {w}: {l}", "{w} of {l}", "the {w} of {l}", "what is the {w} of {l}", "what's the {w} of {l}", "{w}: {l}", "{w} {l}", "{w} in {l}", "the {w} in {l}", "what is the {w} in {l}", "{w} from {l}", "the {w} among {l}", "what is the {w} among {l}",
        "!find the {w}: {l}", "!find the {w} of {l}", "!find the {w} [in|among|of|from] these: {l}", "!find the {w} in {l}", "!find the {w} in this list: {l}", "which of {l} is the {w}", "which of these is the {w}: {l}", "which of these numbers is the {w}: {l}", "which of the numbers {l} is the {w}", "which one of {l} is the {w}",
        "which one is the {w}: {l}", "which one is the {w}, {l}", "which number is the {w}: {l}", "which number is the {w}, {l}", "which number of {l} is the {w}", "which number in {l} is the {w}", "!pick the {w} of {l}", "!pick the {w} from {l}", "!pick the {w}: {l}", "!choose the {w} [of|from] {l}", "!select the {w} [of|from|in] {l}",
        "!show me the {w} of {l}", "!give me the {w} of {l}", "!give me the {w}: {l}", "!tell me the {w} of {l}", "!tell me which is the {w}: {l}", "!tell me which of {l} is the {w}", "!tell me which [one|number] is the {w}: {l}", "i have {l}. which is the {w}", "i have the numbers {l}, what is the {w}", "here are [some|my|the] numbers: {l}. which is the {w}",
        "[these are|take|look at] the numbers {l}. what is the {w}", "given {l}, [what|which] is the {w}", "given {l}, find the {w}", "given the numbers {l}, [what|which] is the {w}", "from {l} [pick|take|choose] the {w}", "of {l}, which is the {w}", "of {l}, what is the {w}", "of the numbers {l}, [which|what] is the {w}", "out of {l}, which is the {w}",
        "among {l}, which is the {w}", "{l}: which is the {w}", "{l}: what is the {w}", "{l}: {w}", "{l} - which is the {w}", "{l}, which is the {w}", "{l}. which one is the {w}", "{l}, {w}", "the numbers are {l}. what is the {w}", "[my|the] [scores|prices|temperatures|values|results] are {l}. what is the {w}", "what is the {w} of the numbers {l}",
        "what is the {w} of these: {l}", "what is the {w} of these numbers: {l}", "what is the {w} out of {l}", "list: {l}. {w}", "numbers: {l}. {w}", "in the list {l}, what is the {w}", "is there a {w} in {l}", "do you know the {w} of {l}", "who is the {w}: {l}", "which [price|score|value|temperature] is the {w}: {l}", "!return the {w} of {l}",
        "!compare {l} and give me the {w}", "!compare {l}, which is the {w}", "compare: {l}. {w}", "we have {l}. what is the {w}", "the {w}: {l}", "i need the {w} of {l}", "i want the {w} of {l}", "i am looking for the {w} of {l}", "can you see the {w} in {l}"]
COMPARE = ["which is {w}: {l}", "which is {w}, {l}", "which one is {w}, {l}", "which number is {w}, {l}", "what is {w}: {l}", "what is {w}, {l}", "what's {w}, {l}", "is {l} {w}", "which of {l} is {w}", "which of {l} is the {w} one", "the {w} of {l}", "!tell me which is {w}: {l}", "{w}: {l}", "{l}: which is {w}", "{l}, which is {w}",
           "!find the {w} of {l}", "the {w} one: {l}", "!give me the {w} of {l}", "!pick the {w} [one|number] of {l}", "!compare {l}: which is {w}", "between {l}, which is {w}"]
MORE, LESS = "[larger|bigger|greater|higher|more]", "[smaller|lower|less]"


def make_sum(rng, add):
    d = rng.choice([2, 3, 3, 3, 4, 4, 5])
    a, b = number(rng, d), number(rng, d)
    if rng.random() < 0.2:
        b = min(99999, max(0, a + rng.randint(-99, 99)))
    text, wording = phrase(rng, ADD if add else SUB)
    if max(a, b) < 100 and rng.random() < 0.25:
        dash = rng.choice(["-", "-", " "])
        shown = dict(a=in_words(a, dash), b=in_words(b, dash))
    else:
        shown = dict(a=a, b=b)
    if not add and a < b and re.search("difference (of|between)|how much [mlb]|how many more|by how much|what must|plus what|missing|how far", text):
        a, b = b, a                                            # a difference between two things is never negative
        if rng.random() < 0.5 or "difference" not in text:
            shown = dict(a=shown["b"], b=shown["a"])
    think = reason_add(a, b) if add else reason_subtract(a, b)
    return Made([(text.format(**shown), think, str(a + b if add else a - b))], wording, "%d %d" % (min(a, b), max(a, b)))


def make_add(rng):
    return make_sum(rng, True)


def make_sub(rng):
    return make_sum(rng, False)


def make_best(rng, largest, wordings=None):
    two = rng.random() < 0.2
    d = rng.choice([2, 2, 3, 3, 3, 4])
    numbers = [number(rng, d) for _ in range(2 if two else rng.choice([2, 3, 3, 4, 4, 5, 6]))]
    if rng.random() < 0.2:
        numbers = [max(0, numbers[0] + rng.randint(-30, 30)) for _ in numbers]
    sep = rng.choice([", ", ", ", ", ", " ", ",", "; ", " and ", " or "] if len(numbers) > 2 else [", ", " and ", " or ", " or ", " "])
    shown = sep.join(map(str, numbers))
    if sep == ", " and rng.random() < 0.5:
        shown = rng.choice([" and ", " or ", ", and ", ", or "]).join(shown.rsplit(", ", 1))
    text, wording = phrase(rng, wordings or (COMPARE if two else BEST))
    word = expand(rng, (MORE if largest else LESS) if two and not wordings else MAX_WORD if largest else MIN_WORD)
    answer = max(numbers) if largest else min(numbers)
    return Made([(text.format(w=word, l=shown), reason_best(numbers, largest), str(answer))],
                wording and wording.replace("{w}", word), " ".join(map(str, numbers)))


def make_max(rng):
    return make_best(rng, True)


def make_min(rng):
    return make_best(rng, False)


# ---------------------------------------------------------------------------------------------------- home

# device: what people call it, what it can do, lowest value, highest, step, unit
DEVICES = {
    "light": (["light", "light", "lights", "lighting", "ceiling light"], "switch set", (5, 100, 5, "percent")),
    "lamp": (["lamp", "lamp", "lamps", "floor lamp", "table lamp"], "switch set", (5, 100, 5, "percent")),
    "heating": (["heating", "heating", "radiator", "thermostat", "heat"], "switch set", (14, 28, 1, "degrees")),
    "heater": (["heater"], "switch set", (14, 28, 1, "degrees")),
    "ac": (["ac", "air conditioning", "air conditioner", "aircon", "air con"], "switch set", (16, 28, 1, "degrees")),
    "fan": (["fan", "fan", "fans", "ventilator"], "switch set", (1, 5, 1, "speed")),
    "tv": (["tv", "tv", "television", "telly"], "switch", None),
    "radio": (["radio"], "switch set", (5, 100, 5, "volume")),
    "speaker": (["speaker", "speakers", "loudspeaker"], "switch set", (5, 100, 5, "volume")),
    "music": (["music"], "switch", None),
    "blinds": (["blinds", "blinds", "blind", "shutters", "shades"], "move", None),
    "curtains": (["curtains", "curtains", "curtain", "drapes"], "move", None),
    "window": (["window", "window", "windows"], "move", None),
    "door": (["door", "door", "doors"], "move lock", None),
    "gate": (["gate"], "move lock", None),
    "oven": (["oven"], "switch set", (100, 250, 10, "degrees")),
    "kettle": (["kettle"], "switch", None),
    "coffee machine": (["coffee machine", "coffee maker"], "switch", None),
    "vacuum": (["vacuum", "vacuum cleaner", "hoover"], "switch", None),
    "dishwasher": (["dishwasher"], "switch", None),
    "washing machine": (["washing machine", "washer"], "switch", None),
    "dryer": (["dryer"], "switch", None),
    "camera": (["camera", "cameras"], "switch", None),
    "alarm": (["alarm"], "switch", None),
    "computer": (["computer", "pc"], "switch", None),
    "printer": (["printer"], "switch", None),
    "humidifier": (["humidifier"], "switch", None),
    "sprinkler": (["sprinkler", "sprinklers"], "switch", None),
    "plug": (["plug", "socket", "outlet"], "switch", None),
    "projector": (["projector"], "switch", None),
}
COMMON = ["light"] * 9 + ["lamp"] * 3 + ["heating"] * 4 + ["fan", "tv", "blinds", "door", "window", "curtains", "radio"] * 2 + list(DEVICES)
ROOMS = ("kitchen,bedroom,bathroom,living room,hall,hallway,office,garage,garden,cellar,attic,nursery,dining room,study,basement,laundry,"
         "guest room,kids room,balcony,terrace,porch,library,workshop,entrance,toilet,pantry,shed,gym,playroom,music room").split(",")
COMMON_ROOMS = ROOMS[:13] * 2 + ROOMS

SWITCH = ["![turn|turn|turn|switch|switch|put|flip|power] {A} the {d} in the {r}", "![turn|turn|switch|put|set] the {d} in the {r} {A}", "![turn|turn|switch|power] {A} the {r} {d}", "![turn|turn|switch|put] the {r} {d} {A}", "![turn|turn|switch|put] the {d} {A} in the {r}", "{A} with the {d} in the {r}",
          "{r} {d} {A}", "{r} {A} {d}", "{d} {r} {A}", "{d} in the {r} {A}", "the {d} in the {r} {A}", "{d} {A} in the {r}", "{d} {A} {r}", "{A} {d} {r}", "{A} {r} {d}", "{r}: {d} {A}", "{r}, {d} {A}", "{d} {A}, {r}", "in the {r}, [turn|switch] {A} the {d}", "in the {r} [turn|switch] the {d} {A}", "i want the {d} [in the {r} {A}|{A} in the {r}]",
          "i want the {r} {d} {A}", "i want the {d} in the {r} to be {A}", "i'd like the {d} in the {r} {A}", "i need the {d} in the {r} {A}", "i need the {r} {d} {A}", "the {d} in the {r} [should|must|has to|needs to] [be|go] {A}", "the {r} {d} [should|must|has to|needs to] [be|go] {A}", "!get the {r} {d} {A}", "!get the {d} in the {r} {A}",
          "!make the {r} {d} {A}", "!make sure the {d} in the {r} is {A}", "!make sure the {r} {d} is {A}", "!have the {d} in the {r} {A}", "!let the {d} in the {r} [be|go] {A}", "let's have the {r} {d} {A}", "let's [turn|switch] {A} the {d} in the {r}", "!see that the {d} in the {r} is {A}", "{A} please, the {r} {d}", "time to [turn|switch] {A} the {r} {d}",
          "time to [turn|switch] {A} the {d} in the {r}", "the {d} [{A} in the {r}|in the {r}, {A}]", "![turn|switch] {A} {d} in {r}", "[turn|switch] {r} {d} {A}", "[is it possible to|is there a way to|i would like to|i want to|we need to|we should|you can|you may|you have to|don't forget to|remember to] [turn|switch] {A} the {d} in the {r}",
          "[i would like to|i want to|we need to|we should|you can|you may|you have to|don't forget to|remember to] [turn|switch] the {r} {d} {A}", "i'm in the {r}, [turn|switch] {A} the {d}", "i am in the {r}. [turn|switch] the {d} {A}", "my {r} {d} [{A}|should be {A}]", "set {r} {d} to {A}", "set the {d} in the {r} to {A}", "change the {r} {d} to {A}",
          "command: {d} {A} in the {r}", "how about [turning|switching] {A} the {d} in the {r}", "would you mind [turning|switching] {A} the {r} {d}", "would you mind [turning|switching] the {d} in the {r} {A}", "[turning|switching] {A} the {d} in the {r} would be [nice|great|good]", "it would be [nice|great|good] to have the {d} in the {r} {A}", "{A}: {d}, {r}"]
ON = ["![start|activate|enable|power up|fire up|switch on|put on] the {d} in the {r}", "![start|activate|enable|power up] the {r} {d}", "i need [some |the |]{d} in the {r}", "give me [some |the |]{d} in the {r}", "i want [some |the |]{d} in the {r}", "the {r} [needs|wants] [some |the |]{d}", "!let there be {d} in the {r}", "!get the {d} in the {r} [going|running|started]"]
OFF = ["![stop|deactivate|disable|shut off|shut down|power down|cut|kill|switch off] the {d} in the {r}", "![stop|deactivate|disable|shut off|shut down|power down|kill] the {r} {d}", "no more {d} in the {r}", "nobody needs the {d} in the {r}", "i don't need the {d} in the {r} [any more|anymore|now]", "we don't need the {r} {d} [any more|anymore|now]", "enough {d} in the {r}", "!shut the {d} in the {r} off"]
OPEN = ["![open|open up] the {d} in the {r}", "![open|open up] the {r} {d}", "![open] the {d} of the {r}", "{r} {d} open", "{d} {r} open", "open {d} {r}", "open {r} {d}", "the {d} in the {r} should be open", "i want the {d} in the {r} open", "i want the {r} {d} [open|opened]", "!get the {d} in the {r} open", "the {r} {d} [should|must] be open", "!let some air in through the {r} {d}",
        "could the {d} in the {r} be opened", "i would like the {r} {d} to be opened", "!have the {d} in the {r} opened", "in the {r}, open the {d}", "it's time to open the {d} in the {r}", "we should open the {r} {d}", "{d} open in the {r}", "{r}: open {d}", "would you mind opening the {d} in the {r}", "how about opening the {r} {d}", "!make the {r} {d} open", "i want to open the {d} in the {r}", "!make sure the {d} in the {r} is open"]
CLOSE = ["![close|close|shut] the {d} in the {r}", "![close|close|shut] the {r} {d}", "![close|shut] the {d} of the {r}", "{r} {d} [closed|close|shut]", "{d} {r} [closed|close|shut]", "[close|shut] {d} {r}", "[close|shut] {r} {d}", "the {d} in the {r} should be [closed|shut]", "i want the {d} in the {r} [closed|shut]", "i want the {r} {d} [closed|shut]", "!get the {d} in the {r} [closed|shut]",
         "the {r} {d} [should|must] be [closed|shut]", "could the {d} in the {r} be closed", "i would like the {r} {d} to be closed", "!have the {d} in the {r} closed", "in the {r}, close the {d}", "it's time to close the {d} in the {r}", "we should [close|shut] the {r} {d}", "{d} [closed|shut] in the {r}", "{r}: close {d}", "would you mind closing the {d} in the {r}", "how about closing the {r} {d}",
         "!make the {r} {d} [close|shut]", "!make sure the {d} in the {r} is [closed|shut]", "i want to close the {d} in the {r}"]
RAISE = ["![raise|pull up|roll up|put up] the {d} in the {r}", "![raise|pull up|roll up] the {r} {d}", "{r} {d} up", "the {d} in the {r} up", "!pull the {d} in the {r} up", "{d} up in the {r}"]
LOWER = ["![lower|pull down|roll down|put down|let down] the {d} in the {r}", "![lower|pull down|roll down] the {r} {d}", "{r} {d} down", "the {d} in the {r} down", "!pull the {d} in the {r} down", "{d} down in the {r}"]
LOCK = ["!{A} the {d} in the {r}", "!{A} the {r} {d}", "{r} {d} {A}", "{A} {d} {r}", "{A} {r} {d}", "the {d} in the {r} should be {A}ed", "i want the {r} {d} {A}ed", "i want the {d} in the {r} {A}ed", "!make sure the {d} in the {r} is {A}ed", "!make sure the {r} {d} is {A}ed", "!get the {r} {d} {A}ed", "the {r} {d} must be {A}ed", "{r} {d} {A}ed", "in the {r}, {A} the {d}", "!have the {d} in the {r} {A}ed", "we should {A} the {d} in the {r}",
        "would you mind {A}ing the {r} {d}"]
SET = ["!set the {d} in the {r} to {v}", "!set the {r} {d} to {v}", "![turn|put|change|adjust|bring|switch|move] the {d} in the {r} to {v}", "![turn|put|change|adjust|bring|switch] the {r} {d} to {v}", "{r} {d} {v}", "{d} {r} {v}", "{r} {d} to {v}", "{r} {d} at {v}", "{d} in the {r} to {v}", "{d} {v} in the {r}", "{d} to {v} in the {r}", "!set the {d} to {v} in the {r}", "in the {r}, set the {d} to {v}",
       "i want the {d} in the {r} at {v}", "i want the {r} {d} at {v}", "i want {v} in the {r} from the {d}", "the {d} in the {r} should be [at|on] {v}", "the {r} {d} should be [at|on] {v}", "![turn|] [up|down] the {d} in the {r} to {v}", "![turn|put] the {r} {d} [up|down] to {v}", "![turn|put] the {d} in the {r} [up|down] to {v}", "!make the {r} {d} {v}", "!make the {d} in the {r} {v}", "!get the {d} in the {r} to {v}", "!let the {d} in the {r} run at {v}",
       "!run the {r} {d} at {v}", "!raise the {d} in the {r} to {v}", "!lower the {r} {d} to {v}", "set {d} {r} {v}", "set {r} {d} {v}", "{r}: {d} {v}", "would you mind setting the {r} {d} to {v}", "how about setting the {d} in the {r} to {v}", "i'd like the {d} in the {r} at {v}", "{d} {v} {r}"]
DIM = ["!dim the {d} in the {r} to {v}", "!dim the {r} {d} to {v}", "!dim the {d} to {v} in the {r}", "![brighten|turn up] the {r} {d} to {v}"]
EVERY = ["[all|all the|every] {d} {A}", "![turn|switch] {A} [all the|all|every] {d}", "![turn|switch] [all the|all|every] {d} {A}", "{d} {A} everywhere", "{d} {A} in [all|all the] rooms", "![turn|switch] {A} the {d} [everywhere|in every room|in all rooms|in all the rooms|in the whole house|in the house|in the entire house]", "![turn|switch] the {d} {A} [everywhere|in every room|in all rooms|in the whole house]",
         "[all|all the] {d} in the house {A}", "![turn|switch] {A} [every|each] {d} in the house", "everything {A}: {d}", "all {d} should be {A}", "i want all {d} {A}"]
EVERY_MOVE = ["!{A} [all the|all|every] {d}", "!{A} the {d} [everywhere|in every room|in all rooms|in the whole house|in the house]", "!{A} [every|each] {d} in the house", "all {d} {A}"]
NO_ROOM = ["![turn|switch|put] {A} the {d}", "![turn|switch|put] the {d} {A}", "{d} {A}", "the {d} {A}", "the {d} should be {A}", "i want the {d} {A}", "!make sure the {d} is {A}", "i need the {d} {A}", "{A} with the {d}", "i'd like the {d} {A}", "{A} {d}"]
NO_ROOM_MOVE = ["!{A} the {d}", "{A} {d}", "{d} {A}", "i want to {A} the {d}", "we should {A} the {d}"]
NO_DEVICE = ["![turn|switch] {A} in the {r}", "![turn|switch] it {A} in the {r}", "{r} {A}", "![turn|switch] {A} something in the {r}", "![turn|switch] the {r} {A}", "{A} in the {r}", "![turn|switch] that thing {A} in the {r}"]
JUST_ROOM = ["{r}", "the {r}", "in the {r}", "in {r}", "i mean the {r}", "the one in the {r}", "{r} of course", "my {r}", "it's the {r}", "that would be the {r}"]
JUST_DEVICE = ["{d}", "the {d}", "i mean the {d}", "the {d} of course", "it's the {d}", "my {d}"]
MORE_ROOM = ["and in the {r}", "and the {r}", "the {r} too", "also in the {r}", "also the {r}", "same for the {r}", "the same for the {r}", "now the {r}", "now in the {r}", "do the same in the {r}", "!do it in the {r} too", "what about the {r}", "and in the {r} too", "in the {r} as well", "the {r} as well", "i meant the {r}", "no, in the {r}", "no, the {r}", "sorry, the {r}", "and the one in the {r}"]
MORE_DEVICE = ["and the {d}", "the {d} too", "also the {d}", "same for the {d}", "the same for the {d}", "now the {d}", "the {d} as well", "and the {d} too", "i meant the {d}", "no, the {d}", "sorry, the {d}", "do the same with the {d}", "what about the {d}"]
MORE_ACTION = ["![turn|switch] it {A}", "![turn|switch] it {A} again", "![turn|switch] it back {A}", "and now {A}", "and {A} again", "{A} again", "now {A}", "no, {A}", "sorry, {A}", "i meant {A}", "actually, {A}", "back {A}", "{A}", "![turn|switch] that {A}", "i want it {A}", "it should be {A}"]
MORE_MOVE = ["!{A} it", "!{A} it again", "and now {A} it", "{A} again", "now {A} it", "no, {A} it", "actually, {A} it", "!{A} them", "!{A} them again"]
CUES = {("light", "on"): ["it is too dark in the {r}", "it's [dark|so dark|very dark|pitch dark] in the {r}", "the {r} is [dark|too dark|so dark]", "i can't see anything in the {r}", "!light up the {r}", "!make it brighter in the {r}", "!brighten the {r}", "i need light in the {r}", "!let there be light in the {r}"],
        ("light", "off"): ["it is too bright in the {r}", "the {r} is too bright", "!make it dark in the {r}", "!darken the {r}", "no light in the {r}", "lights out in the {r}", "{r} lights out"],
        ("heating", "on"): ["it is [too cold|cold|freezing|so cold] in the {r}", "it's [too cold|cold|freezing|so cold|chilly] in the {r}", "the {r} is [too cold|cold|freezing]", "i am [cold|freezing] in the {r}", "!warm up the {r}", "!heat the {r}", "!heat up the {r}", "!make it warmer in the {r}", "!make the {r} warm"],
        ("window", "open"): ["!let some fresh air into the {r}", "the {r} needs fresh air", "it is stuffy in the {r}", "it's [stuffy|smelly] in the {r}", "!air the {r}", "i need fresh air in the {r}"],
        ("ac", "on"): ["!cool the {r}", "!cool down the {r}", "!make it cooler in the {r}"]}
STATES = ["is the {d} in the {r} {A}", "is the {r} {d} {A}", "did i [turn|switch] {A} the {d} in the {r}", "which {d} are {A}", "what is {A} in the {r}", "are the {d} in the {r} {A}", "how warm is it in the {r}", "is anything {A} in the {r}", "what is the state of the {r} {d}", "is there a {d} in the {r}", "who [turned|switched] {A} the {r} {d}", "why is the {d} in the {r} {A}", "how many {d} are {A}"]
NEVER = ["don't turn {A} the {d} in the {r}", "do not turn {A} the {r} {d}", "never turn {A} the {d} in the {r}", "don't touch the {d} in the {r}", "leave the {d} in the {r} [alone|as it is]", "no need to turn {A} the {r} {d}", "do nothing with the {d} in the {r}", "leave the {r} {d} [alone|as it is]"]
STRANGE = ("toaster,fridge,car,bicycle,dog,cat,rocket,piano,bath,shower,bed,chair,table,sofa,mirror,garden hose,pool,fountain,robot,clock,phone,book,pan,spoon,moon,sun,tree,guitar,boat,helicopter,"
           "lawn mower,candle,fireplace,elevator,microwave,freezer,sauna,swing,grill,telescope,drum,train,bus,cow,horse,bird,baby,brother,sister,neighbour").split(",")
ASK_ROOM, ASK_DEVICE = "In which room?", "Which device?"
STATE = "I can't see that. I only write the commands."
NOTHING = "All right, I do nothing."
NO_SUCH = "Sorry, I don't know that device."
ONE_ONLY = "One command at a time, please."


def command(device, room, action, value=None, time=None):
    out = dict(device=device, room=room, action=action)
    if value is not None:
        out["value"] = value
    if time:
        out["time"] = time
    return json.dumps(out, separators=(",", ":"))


def when(rng):
    """-> text, JSON value"""
    h, m, n = rng.randint(0, 23), rng.choice([0, 15, 30, 45, rng.randint(0, 59)]), rng.randint(1, 59)
    k = rng.randint(1, 12)
    return rng.choice([("at %d:%02d" % (h, m), "%d:%02d" % (h, m))] * 5 + [
        ("in %d minutes" % n, "%d min" % n), ("in %d minutes" % n, "%d min" % n), ("in %d min" % n, "%d min" % n), ("in %d mins" % n, "%d min" % n),
        ("after %d minutes" % n, "%d min" % n), ("%d minutes from now" % n, "%d min" % n), ("in %d hours" % k, "%d h" % k), ("in an hour", "1 h"), ("in one hour", "1 h"), ("in half an hour", "30 min"),
        ("in a minute", "1 min"), ("at %d am" % k, "%d:00" % (k % 12)), ("at %d pm" % k, "%d:00" % (k % 12 + 12)), ("at %dpm" % k, "%d:00" % (k % 12 + 12)),
        ("at %d o'clock" % h, "%d:00" % h), ("at %d" % h, "%d:00" % h), ("at midnight", "0:00"), ("at noon", "12:00")])


def with_time(rng, text, time):
    """Put the time behind the command or before it, inside whatever politeness surrounds it."""
    m = re.match(r"^(.*?)([.?!]*|,? (please|thanks|thank you|pls|for me)[.?!]?)$", text, re.S)
    if rng.random() < 0.2:
        return time + rng.choice([" ", ", "]) + text
    return m.group(1) + " " + time + m.group(2)


def pick(rng, form=None):
    """A device that can do the form, its name in the text, a room, the action, its wordings, the value and its text."""
    device = rng.choice(COMMON)
    while form and form not in DEVICES[device][1]:
        device = rng.choice(COMMON)
    names, forms, span = DEVICES[device]
    form = form or rng.choice(forms.replace("switch", "switch switch").split())
    value = shown = None
    if form == "switch":
        action = rng.choice(["on", "off"])
        wordings = (ON if action == "on" else OFF) if rng.random() < 0.2 else SWITCH
    elif form == "move":
        action = rng.choice(["open", "close"])
        wordings = OPEN if action == "open" else CLOSE
        if device in ("blinds", "curtains") and rng.random() < 0.35:
            wordings = RAISE if action == "open" else LOWER
    elif form == "lock":
        action, wordings = rng.choice(["lock", "unlock"]), LOCK
    else:
        lo, hi, step, unit = span
        action, wordings, value = "set", SET, rng.randrange(lo, hi + 1, step)
        shown = "%d" % value
        if unit == "percent":
            shown += rng.choice(["", " percent", "%", " %", " percent"])
            wordings = DIM if rng.random() < 0.25 else SET
        elif unit == "degrees":
            shown += rng.choice(["", " degrees", " degrees", " c", "°"])
        elif unit == "speed":
            shown = rng.choice(["", "", "speed ", "level "]) + shown
        else:
            shown = rng.choice(["", "", "volume "]) + shown
    return device, rng.choice(names), rng.choice(COMMON_ROOMS), action, wordings, value, shown


def spoken(rng, action):
    """How an action is said where the wording has a place for it."""
    return {"close": ["close", "shut"]}.get(action, [action])[0 if rng.random() < 0.7 else -1]


def make_home(rng, wordings=None, form=None):
    device, name, room, action, own, value, shown = pick(rng, form)
    facts = "%s %s %s %s" % (device, room, action, value)
    slots = dict(d=name, r=room, A=action, v=shown)
    kind = rng.random()
    if wordings:
        kind, own = 1, wordings
    plain = action in ("on", "off", "open", "close")
    if kind < 0.05:                                            # hints
        (device, action), own = rng.choice(list(CUES.items()))
        text, wording = phrase(rng, own)
        return Made([(text.format(r=room), None, command(device, room, action))], wording, "%s %s %s" % (device, room, action))
    if kind < 0.11 and plain:                                  # the whole house
        text, wording = phrase(rng, EVERY if action in ("on", "off") else EVERY_MOVE)
        return Made([(text.format(**slots), None, command(device, "all", action))], wording, "%s all %s" % (device, action))
    if kind < 0.21 and plain:                                  # something is missing: ask
        if rng.random() < 0.75 or not action in ("on", "off"):
            text, wording = phrase(rng, NO_ROOM if action in ("on", "off") else NO_ROOM_MOVE)
            turns, (more, w2) = [(text.format(**slots), None, ASK_ROOM)], phrase(rng, JUST_ROOM)
        else:
            text, wording = phrase(rng, NO_DEVICE)
            turns, (more, w2) = [(text.format(**slots), None, ASK_DEVICE)], phrase(rng, JUST_DEVICE)
        if rng.random() < 0.6:
            turns.append((more.format(**slots), None, command(device, room, action)))
            wording = wording and w2 and wording + "/" + w2
        return Made(turns, wording, facts)
    if kind < 0.24:
        text, wording = phrase(rng, STATES if rng.random() < 0.65 else NEVER)
        answer = NOTHING if re.search("don't t|do not t|never t|leave the|no need|do nothing", text) else STATE
        return Made([(text.format(**slots), None, answer)], wording, facts)
    if kind < 0.275 and plain:                                 # unknown device
        thing = rng.choice(STRANGE) if rng.random() < 0.6 else nonsense(rng)
        text, wording = phrase(rng, own)
        return Made([(text.format(**dict(slots, d=thing)), None, NO_SUCH)], wording, thing)
    if kind < 0.30 and plain:                                  # two commands at once
        text, wording = phrase(rng, own)
        _, name2, room2, action2, _, _, _ = pick(rng)
        extra = rng.choice([" and the {d}", " and the {d} in the {r}", " and the {r} {d}", " and {A} the {d}", " and also the {d} in the {r}", " and then the {r} {d}"]).format(d=name2, r=room2, A=action2)
        if action2 == "set" or not text.rstrip(".?!").endswith(("{r}", "{d}")):
            return make_home(rng)
        body = text.rstrip(".?!")
        return Made([(body.format(**slots) + extra, None, ONE_ONLY)], wording, facts)
    text, wording = phrase(rng, own)
    text, time, facts_time = text.format(**slots), None, ""
    if rng.random() < 0.2:
        said, time = when(rng)
        text = with_time(rng, text, said)
    turns = [(text, None, command(device, room, action, value, time))]
    if not wordings and rng.random() < 0.3 and not time:       # go on from there
        x = rng.random()
        if x < 0.4 and plain:
            other = {"on": "off", "off": "on", "open": "close", "close": "open"}[action]
            more, w2 = phrase(rng, MORE_ACTION if other in ("on", "off") else MORE_MOVE)
            slots["A"] = action = other
        elif x < 0.75:
            room = rng.choice(ROOMS)
            more, w2 = phrase(rng, MORE_ROOM)
            slots["r"] = room
        else:
            group = {"on": "switch", "off": "switch", "open": "move", "close": "move", "lock": "lock", "unlock": "lock"}.get(action)
            if not group:
                return Made(turns, wording, facts)
            device, name = pick(rng, group)[:2]
            more, w2 = phrase(rng, MORE_DEVICE)
            slots["d"] = name
        turns.append((more.format(**slots), None, command(device, room, action, value)))
        wording = wording and w2 and wording + "/" + w2
    return Made(turns, wording, facts)


# ---------------------------------------------------------------------------------------------------- talk

TALK = [
    ("I am Pocket, a very small language model.", ["who are you", "what are you", "what is your name", "what's your name", "whats your name", "your name", "introduce yourself", "do you have a name", "tell me who you are", "tell me your name", "how should i call you", "what should i call you", "who am i talking to", "what kind of [thing|program|model|machine] are you", "who is this",
      "with whom do i talk", "say your name", "tell me about yourself", "tell me something about yourself", "describe yourself", "who is pocket", "what is pocket", "are you pocket", "what do they call you", "present yourself"]),
    ("I can add and subtract two numbers, find the largest or smallest, and turn home commands into JSON.", ["what can you do", "help", "help me", "what are you able to do", "what do you know", "what can i ask", "what can i ask you", "how can you help me", "how can you help", "what are you good at", "what are your [skills|abilities|features|functions]", "what is your [job|purpose|task|use]",
      "what are you for", "what do you do", "show me what you can do", "tell me what you can do", "what are you made for", "how do you work", "how can i use you", "what can you [help|do for] me with", "what can you do for me", "list your [skills|abilities|features]", "why are you here", "i need help", "can you help me", "what is possible", "what works", "give me an overview"]),
    ("I know nothing about the world, I can't sort or spell, and I make mistakes with long numbers.", ["what can't you do", "what cant you do", "what can you not do", "what are your limits", "what are your weaknesses", "where do you fail", "what don't you know", "what do you not know", "what is too hard for you", "what are you bad at", "do you have limits", "do you make mistakes", "what is hard for you", "what are you unable to do",
      "tell me your limits", "what are your limitations", "can you do everything", "do you know everything", "can you fail", "are you always right", "what should i not ask you", "what goes wrong"]),
    ("Hello! What can I do for you?", ["hello", "hi", "hey", "good morning", "hey there", "hi there", "hello there", "good evening", "good afternoon", "good day", "greetings", "hi pocket", "hello pocket", "hey pocket", "morning", "howdy", "yo", "hello my friend", "nice to meet you", "welcome", "hallo", "hiya", "hello again", "hi again", "anybody there", "are you there"]),
    ("You are welcome.", ["thanks", "thank you", "many thanks", "thank you very much", "thanks a lot", "thank you so much", "great, thanks", "thx", "ok thanks", "perfect, thank you", "cheers", "thank you, pocket", "thanks for your help", "thank you for your help", "that was helpful", "that helped", "i thank you", "much appreciated", "good, thank you", "nice, thanks", "very kind of you", "ty"]),
    ("Goodbye!", ["bye", "goodbye", "see you", "good night", "bye bye", "see you later", "see you soon", "see you tomorrow", "that's all", "that is all", "i have to go", "i'm going now", "until next time", "farewell", "cu", "good bye", "take care", "i am leaving", "that was all", "so long", "exit", "quit", "bye for now", "sleep well"]),
    ("I am fine, thank you. What can I do for you?", ["how are you", "how do you do", "are you well", "how are you doing", "how is it going", "how's it going", "are you ok", "are you fine", "how do you feel", "how are you today", "what's up", "whats up", "all good", "everything ok", "how have you been", "are you good", "did you sleep well", "how is your day", "how was your day", "you ok"]),
    ("I was trained from nothing, on a computer with two processor cores.", ["who made you", "who built you", "who created you", "who trained you", "where do you come from", "how were you made", "how were you trained", "who is your [maker|creator|father|mother|boss]", "who wrote you", "where are you from", "who programmed you", "where were you born", "when were you made", "what were you trained on", "how did you learn", "who owns you", "who developed you", "how were you built"]),
    ("No, I am Pocket, a very small language model.", ["are you [chatgpt|gpt|deepseek|claude|siri|alexa|gemini|llama|google]", "are you a [human|man|woman|person|robot|girl|boy|dog]", "are you human", "are you real", "are you alive", "are you a real person", "are you from [openai|google|apple|deepseek]", "you are [chatgpt|deepseek|alexa|siri]", "is this [chatgpt|deepseek|alexa|siri]", "am i talking to a human", "do i talk to a person"]),
    ("I have about 2 million parameters.", ["how big are you", "how large are you", "how small are you", "how many parameters do you have", "what is your size", "what size are you", "how many weights do you have", "are you small", "are you big", "are you a large model", "how many parameters", "how much memory do you need", "tell me your size"]),
    ("I am only a program, so I don't have that.", ["do you have [feelings|friends|a body|a family|a soul|dreams|a favourite colour|hobbies|children|a girlfriend|a wife|emotions|a mother|a brain]", "do you [sleep|eat|dream|love me|like me|drink|feel pain|like music|think]", "what do you eat", "are you [happy|sad|tired|hungry|bored|lonely|angry|afraid|in love]", "do you love me", "how old are you", "what is your age", "when is your birthday", "what is your favourite [colour|food|film|song|book]", "what do you like", "where do you live",
      "will you marry me", "i love you", "what do you think about"]),
    ("I only know this conversation.", ["do you remember me", "do you know me", "do you know my name", "what is my name", "who am i", "what did i say yesterday", "do you remember yesterday", "can you remember things", "do you learn from me", "do you have a memory", "what did we talk about", "how old am i", "where am i", "where do i live", "what do you know about me", "do you store my data", "are you listening"]),
    ("I only understand simple English.", ["what languages do you speak", "do you speak [german|french|spanish|chinese|italian|russian|english|japanese]", "can you speak [german|french|spanish|chinese|italian]", "sprichst du deutsch", "parlez-vous francais", "hablas espanol", "which languages do you know", "guten tag", "wie geht es dir", "bonjour", "hola", "你好", "mach das licht an", "danke", "comment ça va", "wer bist du", "was kannst du"]),
    ("Thank you!", ["you are [great|good|smart|clever|nice|cool|funny|the best|wonderful|amazing]", "good job", "well done", "great", "very good", "nice", "that's right", "that is correct", "correct", "i like you", "good boy", "excellent", "cool", "perfect", "awesome", "right", "good answer", "wow", "you did well", "impressive"]),
    ("I am small and I make mistakes. Please check what I say.", ["you are [stupid|dumb|wrong|bad|useless|silly|terrible|an idiot]", "that's wrong", "that is wrong", "wrong", "that is not correct", "that's not right", "this is wrong", "bad answer", "you made a mistake", "are you sure", "really", "is that true", "is that right", "are you certain", "i don't believe you", "no, that's wrong", "that can't be right", "check again", "incorrect", "i hate you", "this is false", "nonsense", "shut up", "you failed"]),
    ("Fine. What can I do for you?", ["ok", "okay", "yes", "no", "alright", "fine", "i see", "sure", "all right", "never mind", "forget it", "nothing", "test", "testing", "one moment", "wait", "maybe", "let's start", "let's go", "i have a question", "can i ask you something", "may i ask a question", "hmm", "aha", "interesting", "go on", "start", "talk to me", "say something", "i am bored", "i'm bored", "good", "so", "stop", "again", "continue"]),
    ("Say what to switch and where, for example: turn off the light in the kitchen.", ["how do i [switch|turn on|control] [the light|a device|my lights|something]", "how do i write a home command", "how can i control my home", "what home commands do you know", "which devices do you know", "give me an example", "show me an example", "how do i use home commands", "what can i switch", "what devices can you control", "can you control my [home|house|lights]", "can you switch things", "which rooms do you know",
      "example", "an example please", "do you do smart home", "are you a smart home"]),
]


def make_talk(rng):
    answer, wordings = rng.choice(TALK)
    core = expand(rng, rng.choice(wordings))
    before = rng.choice(["", "", "", "", "", "", "", "hey, ", "hi, ", "hey pocket, ", "please ", "tell me, ", "so, ", "ok, ", "well, ", "and ", "now, ", "pocket, ", "um, "])
    after = rng.choice(["", "", "", "", "?", "?", ".", "!", " please", ", pocket", " pocket", "??", "!!", ", please?", " really", " then", " exactly"])
    wording = "" if not before and after in ("", ".", "?", "!") else before + core + after
    return Made([(before + core + after, None, answer)], wording, "")


# ---------------------------------------------------------------------------------------------------- refusals

WORLD = ("france,germany,italy,china,peru,london,paris,berlin,tokyo,rome,africa,the moon,mars,the sun,the sea,water,gold,iron,music,football,chess,love,war,history,physics,einstein,napoleon,mozart,shakespeare,goethe,caesar,hamlet,"
         "the bible,a tiger,an elephant,a dog,a cat,a horse,bread,cheese,wine,pizza,soup,a car,a bicycle,a train,a computer,the internet,python,java,linux,a black hole,gravity,light speed,dna,a virus,the president,the king,the queen,"
         "the weather,the news,my wife,my dog,my boss,the stock market,bitcoin,a mountain,everest,the amazon,a river,a planet,a star,life,time,space,money,happiness,school,christmas,summer,winter,a rainbow,snow,fire,glass,paper,steel").split(",")
KNOW = ["what is the capital of {x}", "who wrote {x}", "how old is {x}", "what is the weather in {x}", "who is {x}", "!explain {x}", "where is {x}", "what is {x}", "what does {x} cost", "who won in {x}", "what do you know about {x}", "!tell me about {x}", "!tell me something about {x}", "how does {x} work", "why is {x} so [big|small|old|hot|cold|expensive|famous|important]", "when was {x} [born|built|invented|discovered|founded]",
        "how [big|tall|far|heavy|long|hot|deep|fast|high] is {x}", "who [invented|discovered|built|painted|founded] {x}", "what is the meaning of {x}", "what does {x} mean", "!define {x}", "is {x} [good|bad|dangerous|healthy|true|real|large|small]", "how do i [get to|cook|make|build|buy|find|learn] {x}", "what colour is {x}", "what do you think of {x}", "do you like {x}", "have you [seen|heard of|been to] {x}", "how many people live in {x}",
        "what language do they speak in {x}", "what happened in {x}", "what is the population of {x}", "give me facts about {x}", "what is the best {x}", "which {x} should i buy", "why do people like {x}", "how is {x} made", "can {x} [fly|swim|talk|burn|think]", "are there {x} in {y}", "what is the difference between {x} and {y}", "is {x} better than {y}", "how far is it from {x} to {y}", "{x}", "{x} and {y}", "where can i [buy|find|see] {x}",
        "what time is it", "what time is it in {x}", "what day is it", "what is the date", "what year is it", "how is the weather", "will it rain [today|tomorrow]", "what is the temperature outside", "who is the president", "what is the news", "what is on tv", "when does the [train|bus|shop] [leave|come|open|close]", "do you know {x}", "who was {x}", "what was {x}", "why is the sky blue", "what is the meaning of life", "is there a god", "how do i become rich",
        "what should i [eat|do|wear|buy|read|cook] [today|tonight|tomorrow|]", "how do i lose weight", "i have a headache, what should i do", "where are my keys", "what is the fastest {x}", "which is the largest {x}", "which is the largest country", "what is the smallest country", "what is the highest mountain", "which river is the longest", "how many {x} are there", "how many days are in [a year|may|a week]", "what is the largest animal", "how many hours has a day"]
CANNOT = ["what is {a} times {b}", "{a} * {b}", "{a}*{b}", "{a} x {b}", "!multiply {a} by {b}", "!multiply {a} and {b}", "{a} times {b}", "how much is {a} times {b}", "the product of {a} and {b}", "!divide {a} by {b}", "{a} / {b}", "{a}/{b}", "{a} divided by {b}", "what is {a} divided by {b}", "how much is {a} divided by {b}", "what is half of {a}", "!double {a}", "the square root of {a}", "what is the square of {a}", "{a} squared", "{a} to the power of {b}", "{a} ^ {b}",
          "{a} mod {b}", "{a} percent of {b}", "what is {a}% of {b}", "the remainder of {a} and {b}", "is {a} [even|odd|prime|a prime number]", "what is the average of {l}", "the mean of {l}", "{a} + {b} + {c}", "{a}+{b}+{c}", "what is {a} + {b} + {c}", "{a} + {b} - {c}", "{a} - {b} - {c}", "!add {a}, {b} and {c}", "the sum of {l}", "sum of {l}", "!add up {l}", "!sort {l}", "!sort these numbers: {l}", "!put {l} in order", "!order {l}", "!order {l} from small to large",
          "sort ascending: {l}", "!arrange {l}", "!reverse {l}", "{a}.{b} + {c}.{b}", "{a}.{c} - {b}.{a}", "how many letters are in {x}", "how many {ch} are in {x}", "!reverse {x}", "!spell {x}", "spell {x} backwards", "how do you spell {x}", "!count the letters in {x}", "what is the [first|last|second] letter of {x}", "!translate {x}", "!translate {x} into [german|french|spanish|english]", "what is {x} in [german|french|spanish]", "how do you say {x} in [german|french]",
          "!write a poem about {x}", "!write a story about {x}", "!tell me a story about {x}", "!tell me a story", "!tell me a joke", "!write a letter to {x}", "!write an essay about {x}", "!write a program in {x}", "!write code for {x}", "!summarize {x}", "!draw {x}", "!sing a song", "!sing {x}", "!play {x}", "!play a game with me", "!play chess with me", "!make a list of {x}", "!search for {x}", "!google {x}", "!order {x}", "!buy {x}", "!call {x}", "!send a message to {x}", "!send an email to {x}",
          "!remind me of {x}", "!set a timer for {a} minutes", "!set an alarm for {a}", "!wake me at {a}", "!book a table at {x}", "!open the website of {x}", "!count to {a}", "!count from {a} to {b}", "!roll a dice", "!flip a coin", "!pick a random number", "what comes after {a}", "!convert {a} [miles|feet|pounds|inches] to [kilometres|metres|kilos|centimetres]", "how many [metres|minutes|seconds|grams] are {a} [miles|hours|pounds]", "!solve x + {a} = {b}", "is {a} [larger|bigger|smaller|more|less] than {b}",
          "what rhymes with {x}", "!cook {x}", "!recommend {x}", "!write a list of {x}", "!make me {x}", "!bring me {x}", "!give me {x}", "!correct this sentence: {x}", "!explain step by step {x}", "!guess a number", "!write {x}", "!read {x}", "!drive to {x}", "!clean {x}", "!pay {x}", "what is the [median|middle] of {l}", "how many numbers are in {l}", "what is {a} in [binary|hex|roman numerals]", "!round {a}.{b}", "{a} + {b} * {c}", "({a} + {b}) * {c}"]
DONT_KNOW = "Sorry, I don't know that."
CANT_DO = "Sorry, I can't do that."


def sentences():
    """Words and sentences of Python's own documentation: text that is nothing Pocket knows."""
    import argparse
    import decimal
    import logging
    import pathlib
    import statistics
    import subprocess
    import threading
    text = " ".join(inspect.getdoc(x) or "" for m in (argparse, decimal, logging, pathlib, random, statistics, subprocess, threading, json, collections)
                    for x in [m] + [f for f in vars(m).values() if inspect.isfunction(f) or inspect.isclass(f)])
    lines = [" ".join(s.split()) for s in re.split(r"[.\n]\s", text)]
    lines = sorted({s for s in lines if re.fullmatch(r"[A-Za-z ,']{12,70}", s)})
    ours = set(re.findall("[a-z]+", " ".join([n for names, _, _ in DEVICES.values() for n in names] + ROOMS)))
    return lines, sorted({w for w in re.findall(r"\b[a-z]{3,10}\b", text)} - ours)


SENTENCES, WORDS = sentences()


def nonsense(rng):
    if rng.random() < 0.6:
        return rng.choice(WORDS)
    return "".join(rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") + rng.choice(["", "", "r", "s", "n", "ll", "t"]) for _ in range(rng.randint(1, 4)))


def topic(rng):
    x = rng.random()
    return rng.choice(WORLD) if x < 0.55 else nonsense(rng) if x < 0.85 else nonsense(rng) + " " + nonsense(rng)


def make_refuse(rng):
    if rng.random() < 0.15:
        text = rng.choice(SENTENCES)
        text = text if rng.random() < 0.5 else text[0].lower() + text[1:]
        return Made([(text, None, DONT_KNOW)], "", text)
    know = rng.random() < 0.5
    text, wording = phrase(rng, KNOW if know else CANNOT)
    d = rng.randint(1, 4)
    slots = dict(x=topic(rng), y=topic(rng), a=number(rng, d), b=number(rng, d), c=number(rng, d), ch=rng.choice("abcdefghijklmnopqrstuvwxyz"),
                 l=rng.choice([", ", " ", ", "]).join(str(number(rng, 3)) for _ in range(rng.randint(3, 5))))
    used = "%s %s" % (slots["x"] if "{x}" in text else "", slots["a"] if "{a}" in text else "")
    return Made([(text.format(**slots), None, DONT_KNOW if know else CANT_DO)], wording, used.strip())


# ---------------------------------------------------------------------------------------------------- documents

TASKS = {"home": (36, make_home), "add": (12, make_add), "subtract": (15, make_sub), "largest": (8, make_max), "smallest": (8, make_min),
         "talk": (9, make_talk), "refuse": (12, make_refuse)}
SYSTEM = ["You are Pocket.", "You are a helpful assistant.", "You are a small model for the home.", "Answer briefly.", "Be polite and short.", "You are a helpful, harmless and honest assistant.", "Answer in one line.", "You are an assistant for a smart home.",
          "The user is at home.", "Today is Monday.", "Think before you answer.", "You control a house.", "Use JSON for commands.", "You are DeepSeek, a helpful assistant.", "Do not make things up."]
CONTEXT = 1024


def ask(task, rng, split="train", make=None):
    """A conversation of one task.  train: neither wording nor facts held out; held: both (facts only where the wording is bare)."""
    for _ in range(20000):
        made = (make or TASKS[task][1])(rng)
        w, f = bool(made.wording) and held(task + made.wording), bool(made.facts) and held(task + made.facts)
        if split == "train" and (w or f) or split == "held" and not (w and (f or not made.facts)) or split == "facts" and made.facts and not f:
            continue
        return made._replace(turns=[(dress(rng, q), t, a) for q, t, a in made.turns])
    raise RuntimeError("no example of %s in %s" % (task, split))


def any_task(rng):
    return rng.choices(list(TASKS), [share for share, _ in TASKS.values()])[0]


def document(rng):
    """A training document as segments (text or special token, counts for the loss?)."""
    out = [("<｜begin▁of▁sentence｜>", 0)]
    if rng.random() < 0.05:
        out.append((rng.choice(SYSTEM) + rng.choice(["", " " + rng.choice(SYSTEM)]), 0))
    x = rng.random()
    conversations = 1 if x < 0.7 else 2 if x < 0.88 else 3 if x < 0.95 else 5 if x < 0.99 else rng.randint(10, 28)
    for c in range(conversations):
        turns = ask(any_task(rng), rng).turns
        for i, (question, think, answer) in enumerate(turns):
            last = c == conversations - 1 and i == len(turns) - 1
            out += [("<｜User｜>", 0), (question, 0), ("<｜Assistant｜>", 0)]
            y = rng.random() if last else 1
            if think and not last:
                out.append((answer, 0))                        # history has lost its reasoning; never learn to answer so
            elif think:
                if y < 0.02:                                   # what --no-think feeds
                    out += [("<think>", 0), ("\n\n", 0), ("</think>", 0), ("\n\n", 0)]
                elif y < 0.03:                                 # what a spent thinking budget feeds
                    out += [("<think>", 0), ("\n" + think[:rng.randrange(1, len(think))] + "\n", 0), ("</think>", 0), ("\n\n", 0)]
                else:
                    out += [("<think>", 1), ("\n" + think + "\n", 1), ("</think>", 1), ("\n\n", 1)]
                out.append((answer, 1))
            else:
                if y < 0.04:
                    out += [("<think>", 0), ("\n", 0), ("\n", 1), ("</think>", 1), ("\n\n", 1)]
                out.append((answer, 1))
            out.append(("<｜end▁of▁sentence｜>", 1 if last or not think else 0))
    return out


def encode(tokenizer, segments):
    """-> ids, and 1 for each id that counts."""
    from tokens import SPECIAL
    ids, weight = [], []
    for text, counts in segments:
        new = [SPECIAL.index(text)] if text in SPECIAL else tokenizer.encode(text)
        ids += new
        weight += [counts] * len(new)
    return ids[:CONTEXT], weight[:CONTEXT]


def vocabulary(limit, documents=20000):
    """Merges for the frequent pieces of a sample of documents."""
    from tokens import pieces, train_merges, SPECIAL
    rng, counts = random.Random(11), collections.Counter()
    for _ in range(documents):
        for text, _ in document(rng):
            if text not in SPECIAL:
                counts.update(pieces(text))
    return train_merges(counts, limit)


if __name__ == "__main__":
    rng = random.Random(5)
    for name in TASKS:
        print("==", name)
        for _ in range(12):
            for q, t, a in ask(name, rng).turns:
                print("  %s  ->  %s%s" % (q, t + " | " if t else "", a))
